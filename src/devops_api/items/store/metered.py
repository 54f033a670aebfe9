"""Measure any store: durations of calls by operation and outcome, and a span in the trace of a sampled request."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from time import perf_counter
from typing import Any, TypeVar

from devops_api.items.metrics import (
    STORE_DURATION,
    STORE_ERRORS,
    STORE_OPERATIONS,
    WRITER_BATCH,
    WRITER_COMMIT,
    WRITER_WAIT,
)
from devops_api.items.model import Item, ItemFields
from devops_api.items.store.protocol import ChunkOutcome, Created, IdempotencyKey, ItemQuery, ItemStore, Page
from devops_api.telemetry.catalogue import OTHER
from devops_api.telemetry.histograms import Series
from devops_api.telemetry.pipeline import Telemetry

T = TypeVar("T")


class WriterTelemetry:
    """Records the commits of the store's writer, in the writer's thread."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._wait, self._commit, self._size = (
            telemetry.histogram(metric).open_series() for metric in (WRITER_WAIT, WRITER_COMMIT, WRITER_BATCH)
        )

    def batch(self, size: int, wait_s: float, commit_s: float) -> None:
        """Record a commit of `size` changes, the first of which waited `wait_s`."""
        self._size.record(size)
        self._wait.record(wait_s)
        self._commit.record(commit_s)


class MeteredStore:
    """An `ItemStore` around another one."""

    def __init__(self, store: ItemStore, telemetry: Telemetry) -> None:
        self._store = store
        self._telemetry = telemetry
        self._makes_spans = telemetry.makes_spans
        self._duration = telemetry.histogram(STORE_DURATION)
        self._done = {operation: self._open(operation) for operation in STORE_OPERATIONS}
        self._got = self._done["get"].pending
        unavailable = "StoreUnavailableError"
        self._failed = {(operation, unavailable): self._open(operation, unavailable) for operation in STORE_OPERATIONS}

    def create(self, fields: ItemFields, idempotency: IdempotencyKey | None = None) -> Coroutine[Any, Any, Created]:
        """See `ItemStore.create`."""
        return self._measure("create", self._store.create(fields, idempotency))

    def create_batch(self, batch: Sequence[ItemFields]) -> Coroutine[Any, Any, list[Item]]:
        """See `ItemStore.create_batch`."""
        return self._measure("create_batch", self._store.create_batch(batch))

    def import_chunk(
        self, rows: Sequence[ItemFields], *, is_upsert: bool, stop_at_rejection: bool
    ) -> Coroutine[Any, Any, ChunkOutcome]:
        """See `ItemStore.import_chunk`."""
        work = self._store.import_chunk(rows, is_upsert=is_upsert, stop_at_rejection=stop_at_rejection)
        return self._measure("import_chunk", work)

    async def get(self, item_id: str) -> Item:
        """See `ItemStore.get`; the most frequent call, so `_measure` is inlined."""
        if self._makes_spans and self._telemetry.traced_in_flight:
            return await self._measure("get", self._store.get(item_id))
        started = perf_counter()
        try:
            item = await self._store.get(item_id)
        except BaseException as error:
            self._fail("get", started, error)
            raise
        self._got.append(perf_counter() - started)
        return item

    def find(self, query: ItemQuery) -> Coroutine[Any, Any, Page]:
        """See `ItemStore.find`."""
        return self._measure("find", self._store.find(query))

    def update(
        self, item_id: str, edit: Callable[[Item], ItemFields], expected: frozenset[int] | None = None
    ) -> Coroutine[Any, Any, Item]:
        """See `ItemStore.update`."""
        return self._measure("update", self._store.update(item_id, edit, expected))

    def delete(self, item_id: str, expected: frozenset[int] | None = None) -> Coroutine[Any, Any, None]:
        """See `ItemStore.delete`."""
        return self._measure("delete", self._store.delete(item_id, expected))

    async def export(self, query: ItemQuery) -> AsyncGenerator[Sequence[Item], None]:
        """See `ItemStore.export`; measured from the first chunk to the last."""
        started = perf_counter()
        try:
            async with aclosing(self._store.export(query)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except BaseException as error:
            self._fail("export", started, error)
            raise
        self._done["export"].record(perf_counter() - started)

    def count(self) -> Coroutine[Any, Any, int]:
        """See `ItemStore.count`."""
        return self._measure("count", self._store.count())

    def ping(self) -> Coroutine[Any, Any, None]:
        """See `ItemStore.ping`."""
        return self._measure("ping", self._store.ping())

    async def close(self) -> None:
        """See `ItemStore.close`."""
        await self._store.close()

    async def _measure(self, operation: str, work: Coroutine[Any, Any, T]) -> T:
        started = perf_counter()
        try:
            if self._telemetry.traced_in_flight:
                with self._telemetry.start_span(
                    f"{operation} items",
                    {"db.system.name": "sqlite", "db.operation.name": operation, "db.collection.name": "items"},
                ):
                    result = await work
            else:
                result = await work
        except BaseException as error:
            self._fail(operation, started, error)
            raise
        self._done[operation].pending.append(perf_counter() - started)
        return result

    def _fail(self, operation: str, started: float, error: BaseException) -> None:
        # Closing an export early is a cancellation.
        name = "CancelledError" if isinstance(error, GeneratorExit) else type(error).__qualname__
        key = operation, name if name in STORE_ERRORS else OTHER
        if key not in self._failed:
            self._failed[key] = self._open(*key)
        self._failed[key].record(perf_counter() - started)

    def _open(self, operation: str, error_type: str | None = None) -> Series:
        attributes: dict[str, str | int] = {"db.system.name": "sqlite", "db.operation.name": operation}
        if error_type is not None:
            attributes["error.type"] = error_type
        return self._duration.open_series(attributes)
