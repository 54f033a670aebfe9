"""How the store is read: on the event loop, in threads where many rows may be looked at, and in exports' snapshots."""

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
from devops_api.items.store.sqlite.file import DATABASE_ERRORS, Diagnosis, open_reader
from devops_api.items.store.sqlite.queries import create_source, read_item, select_all

LOOP_CACHE_KIB: Final = 8 * 1024
THREADS: Final = 4
CACHE_KIB: Final = 2 * 1024  # for each thread and each export; the kernel caches the file besides
EXPORT_ROWS: Final = 500
STEPS_BETWEEN_CHECKS: Final = 20_000  # of SQLite's machine, about a millisecond
T = TypeVar("T")


class LoopReader:
    """The event loop's own connection, for what is read at once.

    What the loop reads before it comes around is one transaction, for the locks of one cost more than a read. Nothing
    out of date is shown so: who asks after a commit was acknowledged is heard in a later turn.
    """

    def __init__(self, path: Path) -> None:
        self._connection = open_reader(path, cache_kib=LOOP_CACHE_KIB, busy_timeout_ms=0)
        self._execute = self._connection.cursor().execute
        self._is_reading = False

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows. apsw.BusyError where the database is locked, as no reader may wait on the loop."""
        if not self._is_reading:
            self._begin()
        return self._execute(sql, values).fetchall()

    def connect(self) -> apsw.Connection:
        """The connection, in this turn's transaction, for statements that follow one another without a pause."""
        if not self._is_reading:
            self._begin()
        return self._connection

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._execute("BEGIN")
        self._is_reading = True
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._is_reading = False
        with suppress(*DATABASE_ERRORS):  # closed by now, or given up by SQLite after an error that the reader was told
            self._execute("COMMIT")


class Readers:
    """A pool of threads, each read on a connection of its own that stops when the task that asked is cancelled."""

    def __init__(self, path: Path, diagnosis: Diagnosis) -> None:
        self._path = path
        self._diagnosis = diagnosis
        self._is_closed = False
        self._pool = ThreadPoolExecutor(THREADS, "store-reader")
        self._idle: SimpleQueue[apsw.Connection] = SimpleQueue()
        for _ in range(THREADS):
            self._idle.put(open_reader(path, cache_kib=CACHE_KIB))

    async def run(self, read: Callable[[apsw.Connection], T]) -> T:
        """What `read` returns. StoreUnavailableError."""
        stop = Event()
        return await self._run(stop, self._read, read, stop)

    async def export(self, query: ItemQuery) -> AsyncGenerator[Sequence[Item], None]:
        """Chunks of one snapshot, the next one read while the last is used; no thread waits in between."""
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
                upcoming.exception()  # of a chunk that nobody waited for
            await asyncio.to_thread(snapshot.close)

    async def close(self) -> None:
        """Let go of the database once the reads that run have ended."""
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
    """The state of the database at one moment, read row by row."""

    def __init__(self, path: Path, query: ItemQuery, stop: Event) -> None:
        self._lock = Lock()  # an export that is given up is closed while its last read may still be ending
        self._connection = open_reader(path, cache_kib=CACHE_KIB)
        self._connection.set_progress_handler(stop.is_set, STEPS_BETWEEN_CHECKS)
        source = create_source(self._connection, query)
        self._rows: Iterator[Any] = iter(self._connection.execute(*select_all(source, query)) if source else ())

    def read(self) -> list[Item]:
        """The next items; none at the end."""
        with self._lock:
            return [read_item(row) for row in islice(self._rows, EXPORT_ROWS)]

    def close(self) -> None:
        """Let go of the moment."""
        with self._lock:
            self._connection.close(force=True)
