"""`devops-api import` and `export`: through a running service, or straight on the database where none runs."""

import argparse
import asyncio
import contextlib
import os
import select
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from concurrent.futures import Future
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
from devops_api.items.settings import read_item_settings
from devops_api.items.store.protocol import ItemQuery, ItemStore
from devops_api.items.store.sqlite.store import open_sqlite_store

READ_BYTES: Final = 256 * 1024
_FAULTS_SHOWN: Final = 20


class TransferError(DevopsApiError):
    """An import or an export that did not end as it should; says how far it came."""


class Target(Protocol):
    """Where items are: behind a service, or in a database file."""

    async def import_stream(
        self, body: AsyncIterator[bytes], file_format: Format, *, is_upsert: bool, stops_at_error: bool
    ) -> dict[str, Any]:
        """Import; the members of the report."""

    def export_stream(self, file_format: Format) -> AsyncGenerator[tuple[bytes, int], None]:
        """The export in parts, each with about how many items are in it."""

    async def count(self) -> int:
        """How many items there are."""


class DatabaseTarget:
    """The database that the environment names."""

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    async def import_stream(
        self, body: AsyncIterator[bytes], file_format: Format, *, is_upsert: bool, stops_at_error: bool
    ) -> dict[str, Any]:
        """Import; also where it is broken off, the report says what is stored."""
        importer = Importer(self._store, file_format, is_upsert=is_upsert, stops_at_error=stops_at_error)
        try:
            await importer.run(body, lambda: False)
        except (asyncio.CancelledError, DevopsApiError) as error:
            raise TransferError(
                f"{str(error) or 'interrupted'}; {_describe(msgspec.to_builtins(importer.report))}"
            ) from None
        return dict(msgspec.to_builtins(importer.report))

    async def export_stream(self, file_format: Format) -> AsyncGenerator[tuple[bytes, int], None]:
        """The export, read from one snapshot."""
        yield file_format.header, 0
        async with contextlib.aclosing(self._store.export(ItemQuery())) as chunks:
            async for chunk in chunks:
                yield file_format.encode(chunk), len(chunk)

    async def count(self) -> int:
        """How many items are stored."""
        return await self._store.count()


class ServiceTarget:
    """A running service; `session` is bound to its URL and its token."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def import_stream(
        self, body: AsyncIterator[bytes], file_format: Format, *, is_upsert: bool, stops_at_error: bool
    ) -> dict[str, Any]:
        """Import; TransferError says what the service said where it broke off."""
        options = {"on_error": "abort" if stops_at_error else "skip"} | ({"upsert": "sku"} if is_upsert else {})
        headers = {"Content-Type": file_format.media_type}
        async with self._session.post("/items/import", params=options, data=body, headers=headers) as reply:
            report: dict[str, Any] = await reply.json(content_type=None)
            if "created" not in report:
                raise TransferError(f"the service answered {reply.status}: {report.get('detail')}")
            return report

    async def export_stream(self, file_format: Format) -> AsyncGenerator[tuple[bytes, int], None]:
        """The export as the service streams it."""
        async with self._session.get("/items/export", headers={"Accept": file_format.media_type}) as reply:
            if not reply.ok:
                raise TransferError(f"the service answered {reply.status}: {await reply.text()}")
            async for part in reply.content.iter_any():
                yield part, part.count(b"\n")

    async def count(self) -> int:
        """How many items the service holds."""
        async with self._session.get("/items", params={"count": "exact", "limit": "1"}) as reply:
            reply.raise_for_status()
            return int((await reply.json())["total"])


@contextlib.asynccontextmanager
async def open_target(url: str | None, token: str | None, *, must_exist: bool) -> AsyncIterator[Target]:
    """The service at `url`, or the database that the environment names; with `must_exist` none is created."""
    if url is None:
        path = read_item_settings(os.environ).database_path
        if must_exist and not path.exists():
            raise TransferError(f"{path} does not exist; name the database in DEVOPS_API_DATABASE_URL")
        store = open_sqlite_store(path)
        try:
            yield DatabaseTarget(store)
        finally:
            await store.close()
        return
    async with open_session(url, token) as session:
        yield ServiceTarget(session)


def open_session(url: str, token: str | None) -> aiohttp.ClientSession:
    """A client of a service, without a limit on the whole of a call. TransferError where the URL is none."""
    headers: Mapping[str, str] = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=300)
    try:
        if url.startswith(("http://", "https://")):
            return aiohttp.ClientSession(url, headers=headers, timeout=timeout)
    except ValueError:
        pass  # It is no URL, or one with a path.
    raise TransferError(f"{url} is not where a service is, such as http://127.0.0.1:8000")


def read_token(options: argparse.Namespace) -> str | None:
    """The token in the file that `--token-file` names: a token on a command line is everyone's to see."""
    return Path(options.token_file).read_text("utf-8").strip() if options.token_file else None


def run_import(options: argparse.Namespace) -> int:
    """`devops-api import`; 1 where a line was refused."""
    return _run_client(_import(options))


def run_export(options: argparse.Namespace) -> int:
    """`devops-api export`."""
    return _run_client(_export(options))


def _run_client(work: Any) -> int:
    try:
        return int(asyncio.run(work))
    except aiohttp.ClientError as error:
        raise TransferError(f"the service cannot be reached or broke off: {error}") from None


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
    for fault in report["errors"][:_FAULTS_SHOWN]:
        pointed = "; ".join(f"{entry['pointer']} {entry['detail']}" for entry in fault.get("errors", ()))
        sys.stderr.write(f"line {fault['line']}: {pointed or fault['detail']}\n")
    return 1 if report["rejected"] else 0


async def _read_parts(source: FileIO, bar: "tqdm[Any]") -> AsyncIterator[bytes]:
    while part := await _read_part(source):
        bar.update(len(part))
        yield part


async def _read_part(source: FileIO) -> bytes:
    """The next bytes, read by a thread that nobody waits for in the end: a pipe may be silent for ever."""
    done: Future[bytes] = Future()
    done.set_running_or_notify_cancel()

    def read() -> None:
        try:
            while (part := source.read(READ_BYTES)) is None:  # Whoever shares the pipe has made it so.
                select.select([source], [], [])
            done.set_result(part)
        except OSError as error:
            done.set_exception(error)

    Thread(target=read, name="import-source", daemon=True).start()
    return await asyncio.wrap_future(done)


def _describe(report: Mapping[str, Any]) -> str:
    return (
        f"{report['created']} created, {report['updated']} updated, {report['rejected']} rejected; "
        f"dealt with through line {report['stored_through_line']}"
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
    """`--format`, else what the file's name ends with, else NDJSON."""
    return str(options.format or ("csv" if options.file.lower().endswith(".csv") else "ndjson"))


def _open_source(name: str) -> FileIO:
    return FileIO(sys.stdin.fileno(), closefd=False) if name == "-" else FileIO(name)


@contextlib.contextmanager
def _open_sink(name: str) -> Iterator[BinaryIO]:
    """A file that appears under its name only when it is whole."""
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
