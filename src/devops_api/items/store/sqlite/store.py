"""The embedded store: SQLite in one file, written by one thread, read on the event loop if that is quick."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeVar

import apsw

from devops_api.errors import NotFoundError, StoreUnavailableError
from devops_api.items.ids import parse_id
from devops_api.items.model import Item, ItemFields
from devops_api.items.store.protocol import ChunkOutcome, Created, IdempotencyKey, ItemQuery, Page
from devops_api.items.store.sqlite import writes
from devops_api.items.store.sqlite.columns import SELECT_ITEM, read_item
from devops_api.items.store.sqlite.file import DATABASE_ERRORS, Diagnosis, FileLock, open_writer
from devops_api.items.store.sqlite.queries import SELECT_COUNT, find_page, is_bounded
from devops_api.items.store.sqlite.readers import LoopReader, Readers
from devops_api.items.store.sqlite.writer import SilentObserver, StoreObserver, Writer

T = TypeVar("T")

WRITE_TRUSTED_S: Final = 1.0  # A commit of this age shows that writing works; another check would cost a flush.
DISK_FREE_MIN_BYTES: Final = 1024 * 1024  # With less, small writes may still succeed while larger ones fail.


class SqliteStore:
    """An `ItemStore` in an SQLite file; see `open_sqlite_store`."""

    def __init__(self, path: Path, observer: StoreObserver) -> None:
        self._path = path
        self._diagnosis = Diagnosis()
        self._closing: asyncio.Future[None] | None = None
        self._lock = FileLock(path, exclusive=False)
        try:
            connection = open_writer(path)
            self._inode = path.stat().st_ino
            self._reader = LoopReader(path)
            self._readers = Readers(path, self._diagnosis)
        except BaseException:
            self._lock.release()
            raise
        self._connection = connection
        self._writer = Writer(connection, observer, self._diagnosis)

    @property
    def writer_queue_length(self) -> int:
        """The number of changes that wait for the writer or are being written."""
        return self._writer.queue_length

    def database_bytes(self) -> int:
        """Return the size of the database on disk, its write-ahead log included."""
        return sum(_read_size(self._path.with_name(self._path.name + suffix)) for suffix in ("", "-wal", "-shm"))

    async def create(self, fields: ItemFields, idempotency: IdempotencyKey | None = None) -> Created:
        """See `ItemStore.create`."""
        if idempotency is None:
            return Created(await self._writer.submit_item(fields), is_replay=False)
        change = partial(writes.create_once, fields=fields, idempotency=idempotency)
        return await self._writer.submit(change)

    async def create_batch(self, batch: Sequence[ItemFields]) -> list[Item]:
        """See `ItemStore.create_batch`."""
        return await self._writer.submit(partial(writes.create_all, batch=batch), len(batch))

    async def import_chunk(
        self, rows: Sequence[ItemFields], *, is_upsert: bool, stop_at_rejection: bool
    ) -> ChunkOutcome:
        """See `ItemStore.import_chunk`."""
        change = partial(writes.import_rows, rows=rows, is_upsert=is_upsert, stop_at_rejection=stop_at_rejection)
        return await self._writer.submit(change, len(rows))

    async def get(self, item_id: str) -> Item:
        """See `ItemStore.get`."""
        sequence = parse_id(item_id)
        if sequence is not None:
            try:
                rows = self._reader.read(SELECT_ITEM, (sequence,))
            except apsw.BusyError:
                rows = await self._readers.run(lambda reader: reader.execute(SELECT_ITEM, (sequence,)).fetchall())
            except DATABASE_ERRORS as error:
                raise self._diagnosis.explain(error) from error
            item = read_item(rows[0]) if rows else None
            if item and item.id == item_id:
                return item
        raise NotFoundError("There is no such item")

    async def find(self, query: ItemQuery) -> Page:
        """See `ItemStore.find`."""
        read = partial(find_page, query=query)
        return await (self._read_quickly(read) if is_bounded(query) else self._readers.run(read))

    async def update(
        self, item_id: str, edit: Callable[[Item], ItemFields], expected: frozenset[int] | None = None
    ) -> Item:
        """See `ItemStore.update`; `edit` is called in the writer's thread."""
        return await self._writer.submit(partial(writes.update, item_id=item_id, edit=edit, expected=expected))

    async def delete(self, item_id: str, expected: frozenset[int] | None = None) -> None:
        """See `ItemStore.delete`."""
        await self._writer.submit(partial(writes.delete, item_id=item_id, expected=expected))

    async def export(self, query: ItemQuery) -> AsyncGenerator[Sequence[Item], None]:
        """See `ItemStore.export`."""
        async with aclosing(self._readers.export(query)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def count(self) -> int:
        """See `ItemStore.count`. Triggers keep the number, so that it takes the same time for any number."""
        rows: list[Any] = await self._read_quickly(lambda reader: reader.execute(SELECT_COUNT).fetchall())
        return int(rows[0][0])

    async def ping(self) -> None:
        """See `ItemStore.ping`; writes something unless there was a commit within the last second."""
        if _read_inode(self._path) != self._inode:
            raise StoreUnavailableError("The database file was moved or removed; restart the service")
        if _read_disk_free(self._path) < DISK_FREE_MIN_BYTES:
            raise StoreUnavailableError("The disk that holds the database is full")
        if self._diagnosis.is_damaged:
            raise StoreUnavailableError("The database is damaged; restore a backup")
        await self.count()
        if monotonic() - self._writer.written_at > WRITE_TRUSTED_S:
            await self._writer.submit(writes.check)

    async def _read_quickly(self, read: Callable[[apsw.Connection], T]) -> T:
        """Read on the loop, or in a thread if the database is locked, so that the loop does not wait."""
        try:
            return read(self._reader.connect())
        except apsw.BusyError:
            return await self._readers.run(read)
        except DATABASE_ERRORS as error:
            raise self._diagnosis.explain(error) from error

    async def close(self) -> None:
        """See `ItemStore.close`."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await self._writer.stop()
        await self._readers.close()
        self._reader.close()
        self._connection.close()
        self._lock.release()


def open_sqlite_store(path: Path, observer: StoreObserver | None = None) -> SqliteStore:
    """Open the database, or create it and its folder, and migrate it to this version of the service.

    StoreRefusedError: it is damaged, newer than this service, or belongs to another program. StoreUnavailableError:
    it is locked, read-only or cannot be opened.
    """
    return SqliteStore(path, observer or SilentObserver())


def _read_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read_inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - twice as fast, on the loop
    except OSError:
        return None


def _read_disk_free(path: Path) -> int:
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize
