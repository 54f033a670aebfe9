"""Group commit: one thread writes, and what arrives while a commit runs goes into the next transaction."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic, perf_counter
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import apsw

from devops_api.errors import ConflictError, StoreUnavailableError
from devops_api.items.model import Item, ItemFields
from devops_api.items.store.sqlite.file import DAMAGE, DATABASE_ERRORS, Diagnosis
from devops_api.items.store.sqlite.writes import create_each

CHANGES_MAX: Final = 1_024  # in one transaction, so that the first of them does not wait for ever
WEIGHT_MAX: Final = 4_000  # rows, for the same reason
T = TypeVar("T")


class StoreObserver(Protocol):
    """Whoever wants to know how the writer does; called in its thread after each commit, failed ones included."""

    def batch(self, size: int, wait_s: float, commit_s: float) -> None:
        """`size` changes were committed together, the first of which waited `wait_s`; writing them took `commit_s`."""


class SilentObserver:
    """An observer that does not care."""

    def batch(self, size: int, wait_s: float, commit_s: float) -> None:
        """Do nothing."""


class Job(NamedTuple):
    """A change that waits: a new item, or a function to call in the transaction; `weight` in rows."""

    change: ItemFields | Callable[[apsw.Connection], Any]
    future: "asyncio.Future[Any]"
    submitted_at: float
    weight: int


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

    def submit(self, change: Callable[[apsw.Connection], T], weight: int = 1) -> "asyncio.Future[T]":
        """Queue a change; the future ends when it is on disk. A change that raises takes back what it did, alone."""
        return self._submit(change, weight)

    def submit_item(self, fields: ItemFields) -> "asyncio.Future[Item]":
        """Queue a new item; those that wait together are stored by the same few statements. ConflictError."""
        return self._submit(fields, 1)

    async def stop(self) -> None:
        """Write what was accepted and end the thread."""
        self._is_stopping = True
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _submit(self, change: ItemFields | Callable[[apsw.Connection], Any], weight: int) -> "asyncio.Future[Any]":
        if self._is_stopping:
            raise StoreUnavailableError("The store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if not self._tick:
            # One hand-over for all that the loop does before it comes around: fewer wake-ups, larger groups.
            loop.call_soon(self._hand_over)
        self._tick.append(Job(change, future, perf_counter(), weight))
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
            jobs = _first_of(waiting)
            del waiting[: len(jobs)]
            if jobs:
                self._write(jobs)

    def _take(self, waiting: list[Job], *, block: bool) -> bool:
        """Add what was handed over last; False where nothing was, or nothing more will be."""
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
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            jobs[0].future.get_loop().call_soon_threadsafe(self._deliver, outcomes, len(jobs))

    def _commit(self, jobs: Sequence[Job]) -> list[Outcome]:
        try:
            return self._write_together(jobs)
        except Exception as error:  # noqa: BLE001 - every caller must hear of it, and the thread must live on
            self._roll_back()
            if isinstance(error, DAMAGE) and len(jobs) > 1:
                # Whoever keeps clear of the damage is served.
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
        except Exception as raised:  # noqa: BLE001 - it is the caller's
            self._execute("ROLLBACK TO change")
            result, error = None, raised
        self._execute("RELEASE change")
        return result, error

    def _explain(self, error: Exception) -> Exception:
        """What one caller is told; each gets an exception of its own, since callers add to it."""
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


def _first_of(waiting: Sequence[Job]) -> Sequence[Job]:
    """The jobs that share the next transaction: at least one, and no more rows than the bound."""
    weight = 0
    for index, job in enumerate(waiting):
        weight += job.weight
        if index and weight > WEIGHT_MAX:
            return waiting[:index]
    return waiting[:]
