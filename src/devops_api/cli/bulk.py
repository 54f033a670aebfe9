"""`devops-api import` and `export`: through a running service, or directly on the database file."""

import argparse
import asyncio
import contextlib
import os
import select
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from http import HTTPStatus
from io import FileIO
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO, Final, Protocol

import aiohttp
import msgspec
from tqdm import tqdm

from devops_api.errors import DevopsApiError
from devops_api.items.bulk.formats import FORMATS, Format
from devops_api.items.bulk.imports import Importer
from devops_api.items.settings import IDENTITY, read_item_settings
from devops_api.items.store.protocol import ItemQuery, ItemStore
from devops_api.items.store.sqlite.store import open_sqlite_store

READ_BYTES: Final = 256 * 1024
_ERRORS_SHOWN: Final = 20


class TransferError(DevopsApiError):
    """An import or export failed, or the service cannot be reached. The message says how much was stored."""


class Target(Protocol):
    """The place that holds the items: a running service or a database file."""

    async def import_stream(
        self, body: AsyncIterator[bytes], file_format: Format, *, is_upsert: bool, stops_at_error: bool
    ) -> dict[str, Any]:
        """Import items; return the members of the report. TransferError: the import did not end."""

    def export_stream(self, file_format: Format) -> AsyncGenerator[tuple[bytes, int], None]:
        """Yield the export in parts, each with the approximate number of items in it."""

    async def count(self) -> int:
        """Return the number of items."""


class DatabaseTarget:
    """The database file that the settings name."""

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    async def import_stream(
        self, body: AsyncIterator[bytes], file_format: Format, *, is_upsert: bool, stops_at_error: bool
    ) -> dict[str, Any]:
        """Import items; return the members of the report. TransferError: interrupted, or the store failed."""
        importer = Importer(self._store, file_format, is_upsert=is_upsert, stops_at_error=stops_at_error)
        try:
            await importer.run(body, lambda: False)
        except (asyncio.CancelledError, DevopsApiError) as error:
            report = msgspec.to_builtins(importer.report)
            raise TransferError(f"{str(error) or 'interrupted'}; {_describe(report)}") from None
        return dict(msgspec.to_builtins(importer.report))

    async def export_stream(self, file_format: Format) -> AsyncGenerator[tuple[bytes, int], None]:
        """Yield the export, which is read from one snapshot."""
        yield file_format.header, 0
        async with contextlib.aclosing(self._store.export(ItemQuery())) as chunks:
            async for chunk in chunks:
                yield file_format.encode(chunk), len(chunk)

    async def count(self) -> int:
        """Return the number of stored items."""
        return await self._store.count()


class ServiceTarget:
    """A running service. `session` is bound to its URL and sends the token."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def import_stream(
        self, body: AsyncIterator[bytes], file_format: Format, *, is_upsert: bool, stops_at_error: bool
    ) -> dict[str, Any]:
        """Import items; return the members of the report. TransferError: the import was rejected or did not end."""
        options = {"on_error": "abort" if stops_at_error else "skip"} | ({"upsert": "sku"} if is_upsert else {})
        headers = {"Content-Type": file_format.media_type}
        async with self._session.post("/items/import", params=options, data=body, headers=headers) as response:
            report: dict[str, Any] = await response.json(content_type=None)
            # An import that stopped at an invalid line, as requested, ended like any other.
            if "created" in report and response.status in {HTTPStatus.OK, HTTPStatus.UNPROCESSABLE_ENTITY}:
                return report
            stored = f"; {_describe(report)}" if "created" in report else ""
            raise TransferError(f"the service responded {response.status}: {report.get('detail')}{stored}")

    async def export_stream(self, file_format: Format) -> AsyncGenerator[tuple[bytes, int], None]:
        """Yield the export as the service streams it."""
        async with self._session.get("/items/export", headers={"Accept": file_format.media_type}) as response:
            if not response.ok:
                raise TransferError(f"the service responded {response.status}: {await response.text()}")
            async for part in response.content.iter_any():
                yield part, part.count(b"\n")

    async def count(self) -> int:
        """Return the number of items that the service holds."""
        async with self._session.get("/items", params={"count": "exact", "limit": "1"}) as response:
            response.raise_for_status()
            return int((await response.json())["total"])


@contextlib.asynccontextmanager
async def open_target(url: str | None, token: str | None, *, must_exist: bool) -> AsyncIterator[Target]:
    """Open the service at `url`, or without a URL the database that the settings name.

    With `must_exist` a missing database is a TransferError; otherwise it is created.
    """
    if url is None:
        path = read_item_settings(os.environ).database_path
        if must_exist and not path.exists():
            raise TransferError(f"{path} does not exist; set {IDENTITY.settings_prefix}DATABASE_URL to your database")
        store = open_sqlite_store(path)
        try:
            yield DatabaseTarget(store)
        finally:
            await store.close()
        return
    async with open_session(url, token) as session:
        yield ServiceTarget(session)


def open_session(url: str, token: str | None) -> aiohttp.ClientSession:
    """Return a client of a service, without a limit on the duration of a request. TransferError: the URL is invalid."""
    headers: Mapping[str, str] = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=300)
    try:
        if url.startswith(("http://", "https://")):
            return aiohttp.ClientSession(url, headers=headers, timeout=timeout)
    except ValueError:
        pass  # aiohttp rejects a malformed URL and one with a path.
    raise TransferError(f"--url must be a service's URL without a path, such as http://127.0.0.1:8000, not {url!r}")


def read_token(options: argparse.Namespace) -> str | None:
    """Return the token from the file `--token-file`. Other users of the machine could read it on a command line."""
    return Path(options.token_file).read_text("utf-8").strip() if options.token_file else None


def run_import(options: argparse.Namespace) -> int:
    """Import a file; return 1 if a line was rejected."""
    return _run(_import(options))


def run_export(options: argparse.Namespace) -> int:
    """Export all items to a file."""
    return _run(_export(options))


def _run(command: Coroutine[Any, Any, int]) -> int:
    try:
        return asyncio.run(command)
    except aiohttp.ClientError as error:
        raise TransferError(f"the service cannot be reached, or the connection broke: {error}") from None


async def _import(options: argparse.Namespace) -> int:
    with _open_source(options.file) as source:
        size = os.fstat(source.fileno()).st_size or None
        async with open_target(options.url, read_token(options), must_exist=False) as target:
            with tqdm(total=size, unit="B", unit_scale=True, unit_divisor=1024, disable=None, desc="import") as bar:
                report = await target.import_stream(
                    _read_parts(source, bar),
                    FORMATS[_choose_format(options)],
                    is_upsert=options.upsert,
                    stops_at_error=options.abort,
                )
    sys.stdout.write(_describe(report) + "\n")
    for rejection in report["errors"][:_ERRORS_SHOWN]:
        fields = "; ".join(f"{error['pointer']} {error['detail']}" for error in rejection.get("errors", ()))
        sys.stderr.write(f"line {rejection['line']}: {fields or rejection['detail']}\n")
    return 1 if report["rejected"] else 0


async def _read_parts(source: FileIO, bar: "tqdm[Any]") -> AsyncIterator[bytes]:
    while part := await _read_part(source):
        bar.update(len(part))
        yield part


async def _read_part(source: FileIO) -> bytes:
    """Return the next bytes. A daemon thread reads them, so that a silent pipe does not prevent an interrupt."""
    done: Future[bytes] = Future()
    done.set_running_or_notify_cancel()

    def read() -> None:
        try:
            while (part := source.read(READ_BYTES)) is None:  # Another process made the shared pipe non-blocking.
                select.select([source], [], [])
            done.set_result(part)
        except OSError as error:
            done.set_exception(error)

    Thread(target=read, name="import-source", daemon=True).start()
    return await asyncio.wrap_future(done)


def _describe(report: Mapping[str, Any]) -> str:
    return (
        f"{report['created']} created, {report['updated']} updated, {report['rejected']} rejected; "
        f"processed through line {report['stored_through_line']}"
    )


async def _export(options: argparse.Namespace) -> int:
    async with open_target(options.url, read_token(options), must_exist=True) as target:
        total = await target.count()
        with (
            _open_sink(options.file) as sink,
            tqdm(total=total, unit=" items", unit_scale=True, disable=None, desc="export") as bar,
        ):
            async with contextlib.aclosing(target.export_stream(FORMATS[_choose_format(options)])) as parts:
                async for part, count in parts:
                    sink.write(part)
                    bar.update(min(count, total - bar.n))
    return 0


def _choose_format(options: argparse.Namespace) -> str:
    """Return `--format`; without it `csv` for a file named `*.csv` and `ndjson` for every other."""
    return str(options.format or ("csv" if options.file.lower().endswith(".csv") else "ndjson"))


def _open_source(name: str) -> FileIO:
    return FileIO(sys.stdin.fileno(), closefd=False) if name == "-" else FileIO(name)


@contextlib.contextmanager
def _open_sink(name: str) -> Iterator[BinaryIO]:
    """Open a file that gets its name only once it is complete; `-` is standard output."""
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    part = Path(f"{name}.part")
    try:
        with part.open("wb") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(name)
    finally:
        part.unlink(missing_ok=True)
