"""Slow requests are explained by the store first: every call must be measured, by outcome."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio
from scrapes import OPENMETRICS, Scrape

from devops_api.errors import ConflictError, NotFoundError, PreconditionFailedError, StoreUnavailableError
from devops_api.items.metrics import STORE_OPERATIONS
from devops_api.items.model import Item, ItemFields
from devops_api.items.settings import IDENTITY
from devops_api.items.store.metered import MeteredStore, WriterTelemetry
from devops_api.items.store.protocol import ItemQuery
from devops_api.items.store.sqlite.store import open_sqlite_store
from devops_api.logs.writer import open_logs
from devops_api.telemetry.pipeline import Telemetry, create_telemetry

FIELDS = ItemFields("Test", 999)
COUNT = "db_client_operation_duration_seconds_count"


class Metered:
    """A metered store and its metrics."""

    def __init__(self, store: MeteredStore, telemetry: Telemetry) -> None:
        self.store = store
        self.telemetry = telemetry
        self.is_closed = False

    async def count(self) -> dict[tuple[str, str], int]:
        """Return the number of calls by operation and error type, without zeros."""
        found = Scrape((await self.telemetry.render(OPENMETRICS, "")).body.decode())
        return {
            (sample.labels["db_operation_name"], sample.labels.get("error_type", "")): int(sample.value)
            for sample in found.find(COUNT)
            if sample.value
        }


@pytest_asyncio.fixture
async def metered(tmp_path: Path) -> AsyncIterator[Metered]:
    with (tmp_path / "log").open("wb", buffering=0) as file:
        logs = open_logs("error", "json", file.fileno())
        telemetry = create_telemetry(IDENTITY, {}, logs, forced_samples_per_s=10, flush_timeout_s=1)
        store = MeteredStore(open_sqlite_store(tmp_path / "items.db", observer=WriterTelemetry(telemetry)), telemetry)
        metered = Metered(store, telemetry)
        yield metered
        if not metered.is_closed:
            await store.close()
        telemetry.stop()
        logs.close(1)


async def test_every_call_is_measured_by_operation(metered: Metered) -> None:
    store = metered.store
    item = (await store.create(FIELDS)).item
    assert len(await store.create_batch([FIELDS, FIELDS])) == 2
    await store.import_chunk([FIELDS], is_upsert=False, stop_at_rejection=False)
    assert await store.get(item.id) == item
    await store.find(ItemQuery())
    await store.update(item.id, lambda _: FIELDS)
    await store.delete(item.id)
    async with aclosing(store.export(ItemQuery())) as chunks:
        assert sum([len(chunk) async for chunk in chunks]) == 3
    assert await store.count() == 3
    await store.ping()
    assert await metered.count() == {(operation, ""): 1 for operation in STORE_OPERATIONS}


async def test_failures_are_measured_by_type_and_unknown_types_as_other(metered: Metered) -> None:
    store = metered.store

    def crash(_: Item) -> ItemFields:
        raise ZeroDivisionError

    item = (await store.create(ItemFields("Test", 999, sku="s"))).item
    with pytest.raises(ConflictError):
        await store.create(ItemFields("Test", 999, sku="s"))
    with pytest.raises(NotFoundError):
        await store.get("none")
    with pytest.raises(PreconditionFailedError):
        await store.delete(item.id, frozenset({99}))
    with pytest.raises(ZeroDivisionError):
        await store.update(item.id, crash)
    assert await metered.count() == {
        ("create", ""): 1,
        ("create", "ConflictError"): 1,
        ("get", "NotFoundError"): 1,
        ("delete", "PreconditionFailedError"): 1,
        ("update", "_OTHER"): 1,
    }


async def test_calls_on_a_closed_store_are_measured_as_unavailable(metered: Metered) -> None:
    await metered.store.close()
    metered.is_closed = True
    with pytest.raises(StoreUnavailableError):
        await metered.store.create(FIELDS)
    assert await metered.count() == {("create", "StoreUnavailableError"): 1}


async def test_abandoned_export_is_measured_as_cancelled(metered: Metered) -> None:
    await metered.store.create_batch([FIELDS] * 3)
    async with aclosing(metered.store.export(ItemQuery())) as chunks:
        async for _ in chunks:
            break
    assert await metered.count() == {("create_batch", ""): 1, ("export", "CancelledError"): 1}


async def test_series_of_store_calls_exist_from_the_start(metered: Metered) -> None:
    found = Scrape((await metered.telemetry.render(OPENMETRICS, "")).body.decode())
    born = {(s.labels["db_operation_name"], s.labels.get("error_type", "")) for s in found.find(COUNT)}
    assert born == {(operation, error) for operation in STORE_OPERATIONS for error in ("", "StoreUnavailableError")}
