"""The SQLite store against a plain model of it, and the file it is given at start: new, older, newer, not its own."""

import asyncio
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devops_api.errors import StoreRefusedError, StoreUnavailableError
from devops_api.items.model import Item, ItemFields
from devops_api.items.store.protocol import IdempotencyKey, ItemQuery
from devops_api.items.store.sqlite.file import APPLICATION_ID, list_migrations, migrate
from devops_api.items.store.sqlite.readers import THREADS
from devops_api.items.store.sqlite.store import SqliteStore, open_sqlite_store

WORDS = ("ash", "oak", "oaken", "Öl", "b1", "мир")
NAMES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
TAGS = st.lists(st.sampled_from(("a", "b", "c")), unique=True, max_size=3).map(tuple)
FIELDS = st.builds(ItemFields, NAMES, st.integers(0, 5), st.none(), st.none() | NAMES, TAGS)
QUERIES = st.builds(
    ItemQuery,
    sort=st.sampled_from(("created_at", "price", "name")),
    is_descending=st.booleans(),
    limit=st.integers(1, 7),
    after=st.none(),
    text=st.none() | st.sampled_from(("oa", "ol", "МИ b", "ash oak", "zzz", "?")),
    tags=st.lists(st.sampled_from(("a", "b")), unique=True, max_size=2).map(tuple),
    min_price=st.none() | st.integers(0, 5),
    max_price=st.none() | st.integers(0, 5),
    sku=st.none() | st.sampled_from(("s3", "s-none")),
    has_total=st.booleans(),
)
FOLDED = {"Öl": "ol"}


class Recorder:
    """Keeps what an observer is told."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, float, float]] = []

    def batch(self, size: int, wait_s: float, commit_s: float) -> None:
        """Keep it."""
        self.batches.append((size, wait_s, commit_s))


def matches(item: Item, query: ItemQuery) -> bool:
    words = [FOLDED.get(word, word).lower() for word in f"{item.name} {item.description or ''}".split()]
    asked = [part for part in (query.text or "").lower().replace("?", "").split() if part]
    return (
        (query.text is None or (bool(asked) and all(any(word.startswith(part) for word in words) for part in asked)))
        and set(query.tags) <= set(item.tags)
        and (query.min_price is None or item.price >= query.min_price)
        and (query.max_price is None or item.price <= query.max_price)
        and (query.sku is None or item.sku == query.sku)
    )


def place(item: Item, query: ItemQuery) -> tuple[Any, str]:
    return ({"created_at": 0, "price": item.price, "name": item.name}[query.sort], item.id)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(items=st.lists(FIELDS, max_size=30), queries=st.lists(QUERIES, min_size=1, max_size=8))
def test_pages_totals_and_exports_are_those_of_a_plain_model(
    tmp_path_factory: pytest.TempPathFactory, items: list[ItemFields], queries: list[ItemQuery]
) -> None:
    async def compare() -> None:
        store = open_sqlite_store(tmp_path_factory.mktemp("model") / "items.db")
        rows = [ItemFields(f.name, f.price, f"s{n}", f.description, f.tags) for n, f in enumerate(items)]
        stored = await store.create_batch(rows)
        for query in queries:
            wanted = sorted((item for item in stored if matches(item, query)), key=lambda item: place(item, query))
            if query.is_descending:
                wanted.reverse()
            await compare_query(store, query, wanted)
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
def test_any_text_is_stored_as_it_is_and_any_text_can_be_asked_for(tmp_path: Path, name: str, asked: str) -> None:
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


async def test_many_changes_share_a_commit_and_the_observer_hears_of_each(tmp_path: Path) -> None:
    recorder = Recorder()
    store = open_sqlite_store(tmp_path / "items.db", recorder)
    creating = asyncio.gather(*(store.create(ItemFields("n", 1)) for _ in range(200)))
    await asyncio.sleep(0)
    assert store.writer_queue_length == 200
    await creating
    assert store.writer_queue_length == 0
    await store.close()
    assert sum(size for size, _, _ in recorder.batches) == 200
    assert len(recorder.batches) < 20
    assert all(wait_s >= 0 and commit_s > 0 for _, wait_s, commit_s in recorder.batches)


async def test_the_next_item_comes_after_a_deleted_one_though_the_clock_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_sqlite_store(tmp_path / "items.db")
    monkeypatch.setattr("devops_api.items.store.sqlite.writes.time_ns", lambda: 1_000_000_000)
    first = (await store.create(ItemFields("a", 1))).item
    await store.delete(first.id)
    second = (await store.create(ItemFields("b", 1))).item
    assert first.id[:18] < second.id[:18]
    await store.close()


async def test_times_never_run_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_sqlite_store(tmp_path / "items.db")
    item = (await store.create(ItemFields("a", 1))).item
    monkeypatch.setattr("devops_api.items.store.sqlite.writes.time_ns", lambda: 1_000_000_000)
    updated = await store.update(item.id, lambda _: ItemFields("b", 1))
    assert updated.updated_at_ms == item.updated_at_ms
    await store.close()


async def test_an_idempotency_key_is_forgotten_after_a_day_and_its_row_goes(
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


async def test_a_search_that_is_given_up_stops_and_leaves_the_readers_free(tmp_path: Path) -> None:
    store = open_sqlite_store(tmp_path / "items.db")

    def read_for_ever(reader: apsw.Connection) -> object:
        endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
        return reader.execute(endless).fetchall()

    searches = [asyncio.create_task(store._readers.run(read_for_ever)) for _ in range(2 * THREADS)]
    await asyncio.sleep(0.1)
    for search in searches:
        search.cancel()
    async with asyncio.timeout(5):
        assert (await store.find(ItemQuery(text="a", has_total=True))).total == 0
    await store.close()


async def test_an_update_that_breaks_in_the_middle_takes_back_what_it_did(tmp_path: Path) -> None:
    """Through the writer itself: no change of the store's own raises after it has written."""
    store = open_sqlite_store(tmp_path / "items.db")

    def break_off(connection: apsw.Connection) -> None:
        connection.execute("UPDATE state SET item_count = 99")
        raise ValueError("broken off")

    results = await asyncio.gather(
        store.create(ItemFields("a", 1)),
        store._writer.submit(break_off),
        store.create(ItemFields("b", 1)),
        return_exceptions=True,
    )
    assert isinstance(results[1], ValueError)
    assert await store.count() == 2
    await store.close()


async def test_reads_of_one_turn_of_the_loop_are_of_one_moment_and_hold_nothing_up(tmp_path: Path) -> None:
    store = open_sqlite_store(tmp_path / "items.db")
    item = (await store.create(ItemFields("Ash", 100))).item
    other = apsw.Connection(str(tmp_path / "items.db"))
    before = await store.get(item.id)
    other.execute("UPDATE items SET price = 200, version = 2")
    same_turn = await store.get(item.id)
    page = await store.find(ItemQuery(sort="price"))
    await asyncio.sleep(0)
    after = await store.get(item.id)
    busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
    await asyncio.sleep(0)
    idle, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
    other.close()
    await store.close()
    assert [before.price, same_turn.price, page.items[0].price, after.price] == [100, 100, 100, 200]
    assert (busy, idle) == (1, 0), "the log can be emptied as soon as the turn has ended"


async def test_two_stores_on_one_file_see_each_other_and_never_share_a_place(tmp_path: Path) -> None:
    stores = [open_sqlite_store(tmp_path / "items.db") for _ in range(2)]
    created = await asyncio.gather(*(stores[n % 2].create(ItemFields(f"n{n}", 1)) for n in range(100)))
    assert len({entry.item.id[:18] for entry in created}) == 100
    for entry in created:
        assert await stores[0].get(entry.item.id) == await stores[1].get(entry.item.id) == entry.item
    for store in stores:
        await store.close()


async def test_the_writer_waits_for_the_disk_before_it_acknowledges(tmp_path: Path) -> None:
    store = open_sqlite_store(tmp_path / "items.db")
    full = 2
    assert store._connection.pragma("synchronous") == full
    assert store._connection.pragma("journal_mode") == "wal"
    await store.close()


async def test_the_size_on_disk_grows_with_what_is_stored(tmp_path: Path) -> None:
    store = open_sqlite_store(tmp_path / "items.db")
    before = store.database_bytes()
    await store.create_batch([ItemFields("a", 1, description="x" * 2000) for _ in range(1000)])
    assert store.database_bytes() > before + 2_000_000
    await store.close()


@pytest.mark.parametrize("version", range(len(list_migrations())))
async def test_a_database_of_every_earlier_version_is_brought_up_with_its_items(tmp_path: Path, version: int) -> None:
    path = tmp_path / "items.db"
    connection = apsw.Connection(str(path))
    migrate(connection, path, list_migrations()[:version])
    if version:
        values = (5 << 60 >> 3, "0192f5c0-0000-7000-8000-000000000000", "old oak", 5, None, None, "", 1, 1)
        connection.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        if version > 1:
            connection.execute("INSERT INTO item_words (rowid, text) VALUES (?, ?)", (values[0], "old oak\n"))
    connection.close()
    store = open_sqlite_store(path)
    await store.create(ItemFields("new oak", 1))
    page = await store.find(ItemQuery(text="oak", has_total=True))
    assert [item.name for item in page.items] == (["new oak", "old oak"] if version else ["new oak"])
    assert await store.count() == page.total
    await store.close()
    connection = apsw.Connection(str(path))
    assert connection.pragma("user_version") == len(list_migrations())
    assert connection.pragma("application_id") == APPLICATION_ID
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


def test_a_migration_that_fails_changes_nothing_and_says_which(tmp_path: Path) -> None:
    path = tmp_path / "items.db"
    connection = apsw.Connection(str(path))
    with pytest.raises(StoreRefusedError, match="0002_wrong"):
        migrate(
            connection, path, [list_migrations()[0], ("0002_wrong.sql", "CREATE TABLE a (x); CREATE TABLE items (x)")]
        )
    assert connection.pragma("user_version") == 1
    assert not connection.table_exists(None, "a")
    connection.close()


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [name[:4] for name, _ in list_migrations()] == [f"{n + 1:04d}" for n in range(len(list_migrations()))]


async def test_services_that_start_at_once_on_a_new_file_migrate_it_once(tmp_path: Path) -> None:
    stores = await asyncio.gather(*(asyncio.to_thread(open_sqlite_store, tmp_path / "items.db") for _ in range(4)))
    for store in stores:
        await store.create(ItemFields("a", 1))
        await store.close()


@pytest.mark.parametrize("kind", ["newer", "foreign", "text", "torn"])
def test_a_file_that_cannot_be_used_is_refused_untouched_with_what_to_mend(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "items.db"
    asyncio.run(open_sqlite_store(path).close())
    if kind == "text":
        path.write_text("Dear diary" * 1000)
    elif kind == "torn":
        data = bytearray(path.read_bytes())
        data[100:4096] = b"\xff" * 3996
        path.write_bytes(data)
    else:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99" if kind == "newer" else "PRAGMA application_id = 7")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.close()
    before = path.read_bytes()
    wanted = {"newer": "newer devops-api", "foreign": "another program", "text": "no SQLite", "torn": "damaged"}[kind]
    with pytest.raises(StoreRefusedError, match=wanted):
        open_sqlite_store(path)
    assert path.read_bytes() == before


def test_a_path_that_cannot_be_opened_is_refused_with_what_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError, match="cannot be opened"):
        open_sqlite_store(tmp_path / "file" / "items.db")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StoreUnavailableError, match="cannot be opened"):
        open_sqlite_store(tmp_path / "folder.db")


async def test_no_thread_outlives_its_store(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    store = open_sqlite_store(tmp_path / "items.db")
    await store.find(ItemQuery(text="a"))
    await store.close()
    left: set[threading.Thread] = {thread for thread in set(threading.enumerate()) - before if "store" in thread.name}
    assert not left
    assert store.database_bytes() == (tmp_path / "items.db").stat().st_size
