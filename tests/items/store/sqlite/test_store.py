"""The SQLite store must return what a plain model of it returns, in every order and after every restart."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from multidict import MultiDict
from samples import matches

from devops_api.items.encoding import encode_item
from devops_api.items.model import Item, ItemFields
from devops_api.items.parameters import SORTS
from devops_api.items.query import parse_query
from devops_api.items.store.protocol import IdempotencyKey, ItemQuery
from devops_api.items.store.sqlite.store import SqliteStore, open_sqlite_store

WORDS = ("ash", "oak", "oaken", "Öl", "b1", "мир")
NAMES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
TAGS = st.lists(st.sampled_from(("a", "b", "c")), unique=True, max_size=3).map(tuple)
FIELDS = st.builds(ItemFields, NAMES, st.integers(0, 5), description=st.none() | NAMES, tags=TAGS)
PRICES = st.integers(0, 5).map(lambda hundredths: hundredths / 100)
QUERIES = st.fixed_dictionaries(
    {"sort": st.sampled_from(SORTS), "limit": st.integers(1, 7)},
    optional={
        "q": st.sampled_from(("oa", "ol", "МИ b", "ash oak", "zzz", "?")),
        "tag": st.lists(st.sampled_from(("a", "b")), unique=True, min_size=1, max_size=2),
        "min_price": PRICES,
        "max_price": PRICES,
        "sku": st.sampled_from(("s3", "s-none")),
        "count": st.just("exact"),
    },
)


def create_query(parameters: Mapping[str, Any]) -> ItemQuery:
    given = MultiDict[str]()
    for name, value in parameters.items():
        given.extend((name, str(each)) for each in (value if isinstance(value, list) else [value]))
    return parse_query(given)


def list_matches(items: Sequence[Item], parameters: Mapping[str, Any]) -> list[Item]:
    """Return the items that match by the model, in order."""
    key = parameters["sort"].removeprefix("-")
    found = [(orjson.loads(encode_item(item)), item) for item in items]
    ordered = sorted(
        (pair for pair in found if matches(pair[0], parameters)),
        key=lambda pair: (pair[0][key], pair[1].id),
        reverse=parameters["sort"].startswith("-"),
    )
    return [item for _, item in ordered]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(items=st.lists(FIELDS, max_size=30), queries=st.lists(QUERIES, min_size=1, max_size=8))
def test_pages_totals_and_exports_equal_those_of_a_plain_model(
    tmp_path_factory: pytest.TempPathFactory, items: list[ItemFields], queries: list[dict[str, Any]]
) -> None:
    async def compare() -> None:
        store = open_sqlite_store(tmp_path_factory.mktemp("model") / "items.db")
        stored = await store.create_batch([replace(fields, sku=f"s{number}") for number, fields in enumerate(items)])
        for parameters in queries:
            await compare_query(store, create_query(parameters), list_matches(stored, parameters))
        await store.close()

    asyncio.run(compare())


async def compare_query(store: SqliteStore, query: ItemQuery, wanted: list[Item]) -> None:
    exported = [item async for chunk in store.export(query) for item in chunk]
    assert exported == wanted
    walked: list[Item] = []
    while True:
        page = await store.find(query)
        walked += page.items
        assert page.total == (len(wanted) if query.has_total else None)
        if page.next is None:
            break
        assert len(page.items) == query.limit
        query = query._replace(after=page.next)
    assert walked == wanted


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(min_size=1, max_size=60), asked=st.text(max_size=60))
def test_any_text_can_be_stored_and_searched(tmp_path: Path, name: str, asked: str) -> None:
    async def ask() -> None:
        store = open_sqlite_store(tmp_path / "items.db")
        item = (await store.create(ItemFields(name, 1))).item
        assert await store.get(item.id) == item
        await store.find(ItemQuery(text=asked))
        page = await store.find(ItemQuery(text=name, limit=200, has_total=True))
        has_words = any(character.isalnum() for character in name)
        assert item.id in [found.id for found in page.items] or not has_words or page.next is not None
        await store.close()

    asyncio.run(ask())


async def test_sequence_of_a_deleted_item_is_never_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_sqlite_store(tmp_path / "items.db")
    monkeypatch.setattr("devops_api.items.store.sqlite.writes.time_ns", lambda: 1_000_000_000)
    first = (await store.create(ItemFields("a", 1))).item
    await store.delete(first.id)
    second = (await store.create(ItemFields("b", 1))).item
    assert first.id[:18] < second.id[:18]
    await store.close()


async def test_update_time_never_goes_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_sqlite_store(tmp_path / "items.db")
    item = (await store.create(ItemFields("a", 1))).item
    monkeypatch.setattr("devops_api.items.store.sqlite.writes.time_ns", lambda: 1_000_000_000)
    updated = await store.update(item.id, lambda _: ItemFields("b", 1))
    assert updated.updated_at_ms == item.updated_at_ms
    await store.close()


async def test_idempotency_key_expires_after_a_day_and_its_row_is_purged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_sqlite_store(tmp_path / "items.db")
    now_ns = time.time_ns()
    monkeypatch.setattr("devops_api.items.store.sqlite.writes.time_ns", lambda: now_ns)
    for number in range(10):
        await store.create(ItemFields("a", 1), IdempotencyKey(f"k{number}", b"d"))
    now_ns += 24 * 3600 * 10**9 - 10**6
    assert (await store.create(ItemFields("a", 1), IdempotencyKey("k0", b"d"))).is_replay
    now_ns += 10**6
    assert not (await store.create(ItemFields("b", 1), IdempotencyKey("k0", b"other"))).is_replay
    for number in range(3):
        await store.create(ItemFields("a", 1), IdempotencyKey(f"new{number}", b"d"))
    await store.close()
    with sqlite3.connect(tmp_path / "items.db") as connection:
        keys = [row[0] for row in connection.execute("SELECT key FROM idempotency_keys ORDER BY key")]
    connection.close()
    assert keys == ["k0", "new0", "new1", "new2"]


async def test_two_stores_on_one_file_see_each_others_items_and_share_no_sequence(tmp_path: Path) -> None:
    stores = [open_sqlite_store(tmp_path / "items.db") for _ in range(2)]
    created = await asyncio.gather(*(stores[n % 2].create(ItemFields(f"n{n}", 1)) for n in range(100)))
    assert len({entry.item.id[:18] for entry in created}) == 100
    for entry in created:
        assert await stores[0].get(entry.item.id) == await stores[1].get(entry.item.id) == entry.item
    for store in stores:
        await store.close()


async def test_size_on_disk_grows_with_stored_items(tmp_path: Path) -> None:
    store = open_sqlite_store(tmp_path / "items.db")
    before = store.database_bytes()
    await store.create_batch([ItemFields("a", 1, description="x" * 2000) for _ in range(1000)])
    assert store.database_bytes() > before + 2_000_000
    await store.close()


async def test_closed_store_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    store = open_sqlite_store(tmp_path / "items.db")
    await store.find(ItemQuery(text="a"))
    await store.close()
    left: set[threading.Thread] = {thread for thread in set(threading.enumerate()) - before if "store" in thread.name}
    assert not left
    assert store.database_bytes() == (tmp_path / "items.db").stat().st_size


async def test_running_service_works_on_a_newer_schema(tmp_path: Path) -> None:
    store = open_sqlite_store(tmp_path / "items.db")
    item = (await store.create(ItemFields("before", 1))).item
    newer = apsw.Connection(str(tmp_path / "items.db"))
    newer.execute("ALTER TABLE items ADD COLUMN shelf_days INTEGER; PRAGMA user_version = 99")
    newer.execute("UPDATE items SET shelf_days = 7")
    created = (await store.create(ItemFields("after", 2, tags=("t",)), IdempotencyKey("k", b"d"))).item
    updated = await store.update(item.id, lambda _: ItemFields("updated", 3))
    assert [item async for chunk in store.export(ItemQuery(is_descending=False)) for item in chunk] == [
        updated,
        created,
    ]
    await store.delete(created.id)
    await store.close()
    assert newer.execute("SELECT name, shelf_days FROM items").get == ("updated", 7)
    newer.close()
