"""Group commit: one thread writes; changes that arrive during a commit share the next transaction."""

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic, perf_counter
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import apsw

from devops_api.errors import ConflictError, StoreUnavailableError
from devops_api.items.model import Item, ItemFields
from devops_api.items.store.sqlite.file import DAMAGE, DATABASE_ERRORS, Diagnosis
from devops_api.items.store.sqlite.writes import create_each

CHANGES_MAX: Final = 1_024  # in one transaction, which bounds how long the first of them waits
ROWS_MAX: Final = 4_000  # for the same reason
T = TypeVar("T")


class StoreObserver(Protocol):
    """Observes each commit, failed ones included; called in the writer's thread."""

    def batch(self, size: int, wait_s: float, commit_s: float) -> None:
        """Record a commit of `size` changes that took `commit_s`; the first of them had waited `wait_s`."""


class SilentObserver:
    """An observer that does nothing."""

    def batch(self, size: int, wait_s: float, commit_s: float) -> None:
        """Do nothing."""


class Job(NamedTuple):
    """A change in the queue: a new item, or a function to call within the transaction; `rows` estimates its size."""

    change: ItemFields | Callable[[apsw.Connection], Any]
    future: "asyncio.Future[Any]"
    submitted_at: float
    rows: int


Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]


class Writer:
    """The thread that owns the writing connection. Its methods are called on one event loop, `stop` last."""

    def __init__(self, connection: apsw.Connection, observer: StoreObserver, diagnosis: Diagnosis) -> None:
        self.queue_length = 0
        self.written_at = -1.0
        self._connection = connection
        self._execute = connection.execute
        self._observer = observer
        self._diagnosis = diagnosis
        self._queue: SimpleQueue[Sequence[Job] | None] = SimpleQueue()
        self._tick: list[Job] = []
        self._is_stopping = False
        self._thread = Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, change: Callable[[apsw.Connection], T], rows: int = 1) -> "asyncio.Future[T]":
        """Queue a change; the future is done when it is on disk. A change that raises is rolled back alone."""
        return self._submit(change, rows)

    def submit_item(self, fields: ItemFields) -> "asyncio.Future[Item]":
        """Queue a new item. Items of one transaction share a few statements. ConflictError: the sku is taken."""
        return self._submit(fields, 1)

    async def stop(self) -> None:
        """Write the accepted changes and end the thread."""
        self._is_stopping = True
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _submit(self, change: ItemFields | Callable[[apsw.Connection], Any], rows: int) -> "asyncio.Future[Any]":
        if self._is_stopping:
            raise StoreUnavailableError("The store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if not self._tick:
            # One hand-over for all changes of a turn of the loop: fewer wake-ups, larger transactions.
            loop.call_soon(self._hand_over)
        self._tick.append(Job(change, future, perf_counter(), rows))
        self.queue_length += 1
        return future

    def _hand_over(self) -> None:
        if self._tick:
            self._queue.put(self._tick)
            self._tick = []

    def _run(self) -> None:
        waiting: list[Job] = []
        is_open = True
        while is_open or waiting:
            if not waiting:
                is_open = self._take(waiting, block=True)
            while is_open and len(waiting) < CHANGES_MAX and self._take(waiting, block=False):
                pass
            jobs = _take_group(waiting)
            if jobs:
                self._write(jobs)

    def _take(self, waiting: list[Job], *, block: bool) -> bool:
        """Add the next jobs of the queue. False: it is empty (without `block`) or closed."""
        try:
            jobs = self._queue.get(block=block)
        except Empty:
            return False
        if jobs is None:
            if not block:
                self._queue.put(None)
            return False
        waiting += jobs
        return True

    def _write(self, jobs: Sequence[Job]) -> None:
        started = perf_counter()
        alive = [job for job in jobs if not job.future.cancelled()]
        outcomes = self._commit(alive) if alive else []
        ended = perf_counter()
        self._observer.batch(len(jobs), started - jobs[0].submitted_at, ended - started)
        with contextlib.suppress(RuntimeError):  # The loop is closed: nothing awaits the futures.
            jobs[0].future.get_loop().call_soon_threadsafe(self._deliver, outcomes, len(jobs))

    def _commit(self, jobs: Sequence[Job]) -> list[Outcome]:
        try:
            return self._write_together(jobs)
        except Exception as error:  # noqa: BLE001 - every caller gets it, and the thread must go on
            self._roll_back()
            if isinstance(error, DAMAGE) and len(jobs) > 1:
                # Retried one by one; changes of undamaged pages succeed.
                return [outcome for job in jobs for outcome in self._commit([job])]
            return [(job.future, None, self._explain(error)) for job in jobs]

    def _write_together(self, jobs: Sequence[Job]) -> list[Outcome]:
        self._execute("BEGIN IMMEDIATE")
        outcomes: list[Outcome] = []
        fields: list[ItemFields] = []
        futures: list[asyncio.Future[Any]] = []
        for job in jobs:
            if isinstance(job.change, ItemFields):
                fields.append(job.change)
                futures.append(job.future)
            else:
                outcomes.append((job.future, *self._attempt(job.change)))
        for future, result in zip(futures, create_each(self._connection, fields) if fields else (), strict=True):
            outcomes.append((future, result, result if isinstance(result, ConflictError) else None))
        self._execute("COMMIT")
        self.written_at = monotonic()
        return outcomes

    def _attempt(self, change: Callable[[apsw.Connection], Any]) -> tuple[Any, BaseException | None]:
        self._execute("SAVEPOINT change")
        try:
            result, error = change(self._connection), None
        except DATABASE_ERRORS:
            raise
        except Exception as raised:  # noqa: BLE001 - the caller gets it
            self._execute("ROLLBACK TO change")
            result, error = None, raised
        self._execute("RELEASE change")
        return result, error

    def _explain(self, error: Exception) -> Exception:
        """Return the exception for one caller; each gets its own, because callers add to it."""
        if isinstance(error, DATABASE_ERRORS):
            return self._diagnosis.explain(error)
        return RuntimeError(f"The writer failed: {error!r}")

    def _roll_back(self) -> None:
        with contextlib.suppress(apsw.Error):
            if self._connection.in_transaction:
                self._execute("ROLLBACK")

    def _deliver(self, outcomes: Sequence[Outcome], count: int) -> None:
        self.queue_length -= count
        for future, result, error in outcomes:
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


def _take_group(waiting: list[Job]) -> list[Job]:
    """Remove and return the jobs of the next transaction: at least one, and no more rows than the bound."""
    rows = list(accumulate(job.rows for job in waiting))
    count = max(bisect_right(rows, ROWS_MAX), 1)
    group, waiting[:] = waiting[:count], waiting[count:]
    return group
