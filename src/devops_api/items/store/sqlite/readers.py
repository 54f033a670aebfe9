"""Reading: on the event loop if it is quick, in threads if many rows may be read, and from snapshots for exports."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock
from typing import Any, Final, TypeVar

import apsw

from devops_api.errors import StoreUnavailableError
from devops_api.items.model import Item
from devops_api.items.store.protocol import ItemQuery
from devops_api.items.store.sqlite.columns import read_item
from devops_api.items.store.sqlite.file import DATABASE_ERRORS, Diagnosis, open_reader
from devops_api.items.store.sqlite.queries import create_source, select_all

LOOP_CACHE_KIB: Final = 8 * 1024
THREADS: Final = 4
CACHE_KIB: Final = 2 * 1024  # for each thread and each export; the kernel caches the file too
EXPORT_ROWS: Final = 500
STEPS_BETWEEN_CHECKS: Final = 20_000  # of SQLite's virtual machine, about a millisecond
T = TypeVar("T")


class LoopReader:
    """The event loop's own connection, for reads that take microseconds.

    All reads of one turn of the loop share a transaction, because its locks cost more than a read. This never shows
    stale data: a request that was sent after a commit was acknowledged is handled in a later turn.
    """

    def __init__(self, path: Path) -> None:
        self._connection = open_reader(path, cache_kib=LOOP_CACHE_KIB, busy_timeout_ms=0)
        self._execute = self._connection.cursor().execute
        self._is_reading = False

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows. apsw.BusyError: the database is locked, and nothing may wait on the loop."""
        if not self._is_reading:
            self._begin()
        return self._execute(sql, values).fetchall()

    def connect(self) -> apsw.Connection:
        """Return the connection in this turn's transaction, for several statements without an `await` in between."""
        if not self._is_reading:
            self._begin()
        return self._connection

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._execute("BEGIN")
        self._is_reading = True
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._is_reading = False
        with suppress(*DATABASE_ERRORS):  # The store was closed, or SQLite ended the transaction after an error.
            self._execute("COMMIT")


class Readers:
    """A pool of threads. Each read has a connection of its own and stops when the task that awaits it is cancelled."""

    def __init__(self, path: Path, diagnosis: Diagnosis) -> None:
        self._path = path
        self._diagnosis = diagnosis
        self._is_closed = False
        self._pool = ThreadPoolExecutor(THREADS, "store-reader")
        self._idle: SimpleQueue[apsw.Connection] = SimpleQueue()
        for _ in range(THREADS):
            self._idle.put(open_reader(path, cache_kib=CACHE_KIB))

    async def run(self, read: Callable[[apsw.Connection], T]) -> T:
        """Return what `read` returns. StoreUnavailableError."""
        stop = Event()
        return await self._run(stop, self._read, read, stop)

    async def export(self, query: ItemQuery) -> AsyncGenerator[Sequence[Item], None]:
        """Yield chunks of one snapshot; the next chunk is read while the last one is used. No thread waits between."""
        stop = Event()
        snapshot = await self._run(stop, _Snapshot, self._path, query, stop)
        upcoming = asyncio.create_task(self._run(stop, snapshot.read))
        try:
            while chunk := await upcoming:
                upcoming = asyncio.create_task(self._run(stop, snapshot.read))
                yield chunk
        finally:
            stop.set()
            if not upcoming.cancel() and not upcoming.cancelled():
                upcoming.exception()  # Mark the error of an unused chunk as seen.
            await asyncio.to_thread(snapshot.close)

    async def close(self) -> None:
        """Close the connections after the reads that are running."""
        self._is_closed = True
        await asyncio.to_thread(self._pool.shutdown)
        for _ in range(THREADS):
            self._idle.get().close()

    async def _run(self, stop: Event, call: Callable[..., T], *arguments: Any) -> T:
        if self._is_closed:
            raise StoreUnavailableError("The store is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)
        except asyncio.CancelledError:
            stop.set()
            raise
        except DATABASE_ERRORS as error:
            raise self._diagnosis.explain(error) from error

    def _read(self, read: Callable[[apsw.Connection], T], stop: Event) -> T:
        connection = self._idle.get()
        try:
            connection.set_progress_handler(stop.is_set, STEPS_BETWEEN_CHECKS)
            return read(connection)
        finally:
            connection.set_progress_handler(None)
            self._idle.put(connection)


class _Snapshot:
    """The state of the database at one time, read row by row."""

    def __init__(self, path: Path, query: ItemQuery, stop: Event) -> None:
        self._lock = Lock()  # A cancelled export is closed while its last read may still be running.
        self._connection = open_reader(path, cache_kib=CACHE_KIB)
        self._connection.set_progress_handler(stop.is_set, STEPS_BETWEEN_CHECKS)
        source = create_source(self._connection, query)
        self._rows: Iterator[Any] = iter(self._connection.execute(*select_all(source, query)) if source else ())

    def read(self) -> list[Item]:
        """Return the next items; an empty list at the end."""
        with self._lock:
            return [read_item(row) for row in islice(self._rows, EXPORT_ROWS)]

    def close(self) -> None:
        """Release the snapshot."""
        with self._lock:
            self._connection.close(force=True)
