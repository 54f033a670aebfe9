"""The embedded store: SQLite in one file, written by one thread, read on the event loop where that is quick."""

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
from devops_api.items.model import Item, ItemFields, sequence_of
from devops_api.items.store.protocol import ChunkOutcome, Created, IdempotencyKey, ItemQuery, Page
from devops_api.items.store.sqlite import writes as writes
from devops_api.items.store.sqlite.file import DATABASE_ERRORS, Diagnosis, FileLock, open_writer
from devops_api.items.store.sqlite.queries import SELECT_COUNT, SELECT_ONE, find_page, is_bounded, read_item
from devops_api.items.store.sqlite.readers import LoopReader, Readers
from devops_api.items.store.sqlite.writer import SilentObserver, StoreObserver, Writer

T = TypeVar("T")

WRITE_TRUSTED_S: Final = 1.0  # a commit this young says that writing works; more checks would only cost flushes
ROOM_BYTES: Final = 1024 * 1024  # with less on the disk, small writes may work still and larger ones fail


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
        """How many changes wait for the writer or are being written."""
        return self._writer.queue_length

    def database_bytes(self) -> int:
        """What the database takes on disk, the log of its last writes included."""
        return sum(_size_of(self._path.with_name(self._path.name + suffix)) for suffix in ("", "-wal", "-shm"))

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
        sequence = sequence_of(item_id)
        if sequence is not None:
            try:
                rows = self._reader.read(SELECT_ONE, (sequence,))
            except apsw.BusyError:
                rows = await self._readers.run(lambda reader: reader.execute(SELECT_ONE, (sequence,)).fetchall())
            except DATABASE_ERRORS as error:
                raise self._diagnosis.explain(error) from error
            if rows and rows[0][0] == item_id:
                return read_item(rows[0])
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
        """See `ItemStore.count`; kept by triggers, so that it costs the same for any number."""
        rows: list[Any] = await self._read_quickly(lambda reader: reader.execute(SELECT_COUNT).fetchall())
        return int(rows[0][0])

    async def ping(self) -> None:
        """See `ItemStore.ping`; writes for the purpose where nothing was written within the last second."""
        if _inode_of(self._path) != self._inode:
            raise StoreUnavailableError("The file of the database was moved or removed; start the service again")
        if _room_beside(self._path) < ROOM_BYTES:
            raise StoreUnavailableError("The disk that holds the database is full")
        if self._diagnosis.is_damaged:
            raise StoreUnavailableError("The database is damaged; restore a backup")
        await self.count()
        if monotonic() - self._writer.written_at > WRITE_TRUSTED_S:
            await self._writer.submit(writes.check)

    async def _read_quickly(self, read: Callable[[apsw.Connection], T]) -> T:
        """Read on the loop; in a thread where the database is locked, so that the loop does not wait."""
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
    """Open the database, or create it with the folders above it, and migrate it to this version of the service.

    StoreRefusedError: it is damaged, newer than this service, or another program's. StoreUnavailableError: it is
    locked, read-only or cannot be opened.
    """
    return SqliteStore(path, observer or SilentObserver())


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _inode_of(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - twice as quick, on the loop
    except OSError:
        return None


def _room_beside(path: Path) -> int:
    room = os.statvfs(path.parent)
    return room.f_bavail * room.f_frsize
