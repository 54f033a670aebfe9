"""Every store must keep the promises of `ItemStore`: a broken one loses or invents items."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from devops_api.errors import (
    ConflictError,
    InvalidError,
    MalformedError,
    NotFoundError,
    PreconditionFailedError,
    StoreUnavailableError,
)
from devops_api.items.ids import create_id
from devops_api.items.model import SORT_KEYS, Item, ItemFields
from devops_api.items.store.protocol import IdempotencyKey, ItemQuery, ItemStore
from devops_api.items.store.sqlite.store import open_sqlite_store

OpenStore = Callable[[], ItemStore]
SORTS = [(sort, is_descending) for sort in SORT_KEYS for is_descending in (False, True)]


@pytest.fixture(params=["sqlite"])
def open_store(tmp_path: Path) -> OpenStore:
    """Open a store on the same database each time."""
    return lambda: open_sqlite_store(tmp_path / "data" / "items.db")


@pytest_asyncio.fixture
async def store(open_store: OpenStore) -> AsyncIterator[ItemStore]:
    opened = open_store()
    yield opened
    await opened.close()


def fields(name: str = "Test", price: int = 999, **others: object) -> ItemFields:
    return ItemFields(name=name, price=price, **others)  # type: ignore[arg-type]


def replace_by(_: Item, *, new: ItemFields) -> ItemFields:
    return new


async def walk(store: ItemStore, query: ItemQuery, between: Callable[[], Awaitable[None]] | None = None) -> list[Item]:
    seen: list[Item] = []
    while True:
        page = await store.find(query)
        seen += page.items
        if page.next is None:
            return seen
        query = query._replace(after=page.next)
        if between is not None:
            await between()


async def export(store: ItemStore, query: ItemQuery) -> list[Item]:
    async with aclosing(store.export(query)) as chunks:
        return [item async for chunk in chunks for item in chunk]


@pytest.mark.parametrize("price", [0, 1, 110, 9_999_999_999_99])
async def test_item_is_returned_as_given_also_after_a_restart(open_store: OpenStore, price: int) -> None:
    store = open_store()
    given = fields("Grüße, мир, 日本 😀 'quoted' 100%", price, sku="ä/1", description='a\nb\t"c"', tags=("b", "a"))
    item = (await store.create(given)).item
    assert item.fields == given
    assert item.version == 1
    assert item.updated_at_ms == item.created_at_ms
    assert await store.get(item.id) == item
    await store.close()
    store = open_store()
    assert await store.get(item.id) == item
    await store.close()


async def test_items_created_concurrently_are_all_stored_with_unique_ids(store: ItemStore) -> None:
    created = await asyncio.gather(*(store.create(fields(f"n{number}", number)) for number in range(300)))
    assert len({entry.item.id for entry in created}) == 300
    for number, entry in enumerate(created):
        assert entry.item.fields.name == f"n{number}"
        assert await store.get(entry.item.id) == entry.item
    assert await store.count() == 300


@pytest.mark.parametrize("item_id", ["", "x", create_id(1 << 50), "0192f5c0-0000-4000-8000-000000000000"])
async def test_missing_item_is_not_found(store: ItemStore, item_id: str) -> None:
    with pytest.raises(NotFoundError):
        await store.get(item_id)
    with pytest.raises(NotFoundError):
        await store.update(item_id, lambda _: fields())
    with pytest.raises(NotFoundError):
        await store.delete(item_id)


async def test_id_with_another_random_half_is_not_found(store: ItemStore) -> None:
    item = (await store.create(fields())).item
    other = item.id[:-1] + ("0" if item.id[-1] != "0" else "1")
    with pytest.raises(NotFoundError):
        await store.get(other)
    with pytest.raises(NotFoundError):
        await store.delete(other)
    assert await store.get(item.id) == item


async def test_one_of_several_concurrent_creations_with_one_sku_wins(store: ItemStore) -> None:
    results = await asyncio.gather(
        *(store.create(fields(f"n{number}", sku="same")) for number in range(20)), return_exceptions=True
    )
    conflicts = [result for result in results if isinstance(result, ConflictError)]
    assert len(conflicts) == 19
    assert [error.where for error in conflicts[0].errors] == ["/sku"]
    assert await store.count() == 1


async def test_conflict_does_not_affect_other_changes_of_its_commit(store: ItemStore) -> None:
    await store.create(fields(sku="taken"))
    results = await asyncio.gather(
        *(store.create(fields(f"n{number}", sku="taken" if number % 2 else f"s{number}")) for number in range(20)),
        return_exceptions=True,
    )
    assert [isinstance(result, ConflictError) for result in results] == [bool(number % 2) for number in range(20)]
    assert await store.count() == 11


async def test_sku_is_free_again_after_its_item_changes_or_is_deleted(store: ItemStore) -> None:
    first = (await store.create(fields(sku="a"))).item
    await store.update(first.id, lambda _: fields(sku="b"))
    second = (await store.create(fields(sku="a"))).item
    await store.delete(second.id)
    assert (await store.create(fields(sku="a"))).item.fields.sku == "a"


async def test_idempotency_key_creates_one_item_concurrently_and_after_a_restart(open_store: OpenStore) -> None:
    store = open_store()
    key = IdempotencyKey("me\nkey", b"digest")
    replies = await asyncio.gather(*(store.create(fields("once", tags=("t",)), key) for _ in range(50)))
    assert len({reply.item.id for reply in replies}) == 1
    assert sorted(reply.is_replay for reply in replies) == [False] + [True] * 49
    await store.update(replies[0].item.id, lambda _: fields("changed"))
    await store.close()
    store = open_store()
    again = await store.create(fields("once", tags=("t",)), key)
    assert again.is_replay
    assert again.item == replies[0].item
    assert await store.count() == 1
    await store.close()


async def test_idempotency_key_with_another_body_is_rejected(store: ItemStore) -> None:
    await store.create(fields(), IdempotencyKey("k", b"one"))
    with pytest.raises(InvalidError) as refused:
        await store.create(fields(), IdempotencyKey("k", b"two"))
    assert [(error.where, error.kind) for error in refused.value.errors] == [("Idempotency-Key", "header")]
    assert await store.count() == 1


async def test_failed_creation_does_not_use_up_its_key(store: ItemStore) -> None:
    holder = (await store.create(fields(sku="a"))).item
    key = IdempotencyKey("k", b"one")
    with pytest.raises(ConflictError):
        await store.create(fields(sku="a"), key)
    await store.delete(holder.id)
    assert not (await store.create(fields(sku="a"), key)).is_replay


async def test_batch_is_stored_completely_and_in_order(store: ItemStore) -> None:
    items = await store.create_batch([fields(f"n{number}", number, sku=f"s{number}") for number in range(1000)])
    assert [item.fields.name for item in items] == [f"n{number}" for number in range(1000)]
    assert [item.id for item in items] == sorted(item.id for item in items)
    assert await walk(store, ItemQuery(is_descending=False, limit=200)) == items


async def test_batch_with_taken_skus_changes_nothing_and_names_each(store: ItemStore) -> None:
    await store.create(fields(sku="taken"))
    batch = [fields(), fields(sku="taken"), fields(sku="new"), fields(sku="new"), fields(sku="fine")]
    with pytest.raises(ConflictError) as refused:
        await store.create_batch(batch)
    assert [error.where for error in refused.value.errors] == ["/1/sku", "/3/sku"]
    assert await store.count() == 1


async def test_import_skips_rejected_rows(store: ItemStore) -> None:
    await store.create(fields("kept", sku="a"))
    rows = [fields("0"), fields("1", sku="a"), fields("2", sku="b"), fields("3", sku="b"), fields("4")]
    outcome = await store.import_chunk(rows, is_upsert=False, stop_at_rejection=False)
    assert (outcome.created, outcome.updated) == (3, 0)
    assert [rejection.row for rejection in outcome.rejections] == [1, 3]
    assert [item.fields.name for item in await walk(store, ItemQuery(is_descending=False))] == ["kept", "0", "2", "4"]


async def test_import_that_stops_stores_the_rows_before(store: ItemStore) -> None:
    rows = [fields("0", sku="a"), fields("1"), fields("2", sku="a"), fields("3"), fields("4", sku="a")]
    outcome = await store.import_chunk(rows, is_upsert=False, stop_at_rejection=True)
    assert (outcome.created, outcome.updated, [rejection.row for rejection in outcome.rejections]) == (2, 0, [2])
    assert await store.count() == 2


async def test_repeated_upsert_changes_nothing_more(store: ItemStore) -> None:
    old = (await store.create(fields("old", sku="a", description="rust", tags=("x",)))).item
    rows = [fields("new", 5, sku="a", tags=("y",)), fields("first", sku="b"), fields("second", sku="b"), fields("c")]
    outcome = await store.import_chunk(rows, is_upsert=True, stop_at_rejection=True)
    assert (outcome.created, outcome.updated, list(outcome.rejections)) == (2, 2, [])
    new = await store.get(old.id)
    assert (new.fields, new.version) == (rows[0], 2)
    assert new.created_at_ms == old.created_at_ms
    assert [item.fields.name for item in (await store.find(ItemQuery(filters={"sku": "b"}))).items] == ["second"]
    assert (await store.find(ItemQuery(text="rust"))).items == []
    await store.import_chunk(rows[:3], is_upsert=True, stop_at_rejection=True)
    assert await store.get(old.id) == new
    assert await store.count() == 3


async def test_update_replaces_every_field_and_increments_the_version(store: ItemStore) -> None:
    item = (await store.create(fields("a", 1, sku="s", description="d", tags=("t",)))).item
    updated = await store.update(item.id, lambda old: fields("b", old.fields.price + 1, tags=("u", "t")))
    assert updated == await store.get(item.id)
    assert updated.fields == fields("b", 2, tags=("u", "t"))
    assert (updated.version, updated.created_at_ms) == (2, item.created_at_ms)
    assert updated.updated_at_ms >= item.updated_at_ms
    assert [found.id for found in (await store.find(ItemQuery(filters={"tag": ("u",)}))).items] == [item.id]
    assert (await store.find(ItemQuery(text="d"))).items == []


async def test_update_to_a_taken_sku_is_rejected_and_changes_nothing(store: ItemStore) -> None:
    await store.create(fields(sku="a"))
    item = (await store.create(fields(sku="b"))).item
    with pytest.raises(ConflictError):
        await store.update(item.id, lambda _: fields("changed", sku="a"))
    assert await store.get(item.id) == item
    assert (await store.update(item.id, lambda _: fields("changed", sku="b"))).fields.name == "changed"


async def test_error_in_an_edit_reaches_the_caller_and_changes_nothing(store: ItemStore) -> None:
    item = (await store.create(fields())).item

    def refuse(_: Item) -> ItemFields:
        raise MalformedError("no")

    with pytest.raises(MalformedError):
        await store.update(item.id, refuse)
    assert await store.get(item.id) == item


async def test_one_of_two_concurrent_updates_of_a_version_wins(store: ItemStore) -> None:
    item = (await store.create(fields(price=0))).item
    results = await asyncio.gather(
        *(store.update(item.id, lambda old: fields(price=old.fields.price + 1), frozenset({1})) for _ in range(2)),
        return_exceptions=True,
    )
    assert [type(result) for result in results if isinstance(result, Exception)] == [PreconditionFailedError]
    assert ((await store.get(item.id)).fields.price, (await store.get(item.id)).version) == (1, 2)


async def test_update_without_expected_version_loses_the_other_update(store: ItemStore) -> None:
    """The control of the test above: the race is real, and only the check prevents it."""
    item = (await store.create(fields(price=0))).item
    seen = [await store.get(item.id), await store.get(item.id)]
    raised = [fields(price=was.fields.price + 1) for was in seen]
    await asyncio.gather(*(store.update(item.id, partial(replace_by, new=new)) for new in raised))
    assert ((await store.get(item.id)).fields.price, (await store.get(item.id)).version) == (1, 3)


async def test_increments_inside_edits_are_never_lost(store: ItemStore) -> None:
    item = (await store.create(fields(price=0))).item
    await asyncio.gather(*(store.update(item.id, lambda old: fields(price=old.fields.price + 1)) for _ in range(100)))
    assert (await store.get(item.id)).fields.price == 100


async def test_deletion_requires_the_expected_version(store: ItemStore) -> None:
    item = (await store.create(fields("words", tags=("t",)))).item
    with pytest.raises(PreconditionFailedError):
        await store.delete(item.id, frozenset({2, 3}))
    with pytest.raises(PreconditionFailedError):
        await store.delete(item.id, frozenset())
    await store.delete(item.id, frozenset({1, 7}))
    with pytest.raises(NotFoundError):
        await store.get(item.id)
    assert await store.count() == 0
    assert (await store.find(ItemQuery(text="words", has_total=True))).total == 0
    assert (await store.find(ItemQuery(filters={"tag": ("t",)}))).items == []


@pytest.mark.parametrize(("sort", "is_descending"), SORTS)
async def test_walk_sees_unchanged_items_exactly_once_during_changes(
    store: ItemStore, sort: str, *, is_descending: bool
) -> None:
    stay = await store.create_batch([fields(f"n{number % 3}", number % 4, tags=("stay",)) for number in range(60)])
    go = await store.create_batch([fields(f"n{number % 5}", number % 3) for number in range(60)])

    async def disturb() -> None:
        if go:
            await store.delete(go.pop().id)
            await store.delete(go.pop(0).id)
        for number in range(3):
            await store.create(fields(f"n{number}", number))

    query = ItemQuery(sort=sort, is_descending=is_descending, limit=7)
    seen = [item.id for item in await walk(store, query, disturb) if "stay" in item.fields.tags]
    assert sorted(seen) == [item.id for item in stay]


@pytest.mark.parametrize(
    "text", ["%", "_", '"', "'", "*", "NEAR", "NEAR(a b)", "a AND b", "-a", "name:a", "^a", "😀", ""]
)
async def test_search_operators_are_plain_text(store: ItemStore, text: str) -> None:
    plain = (await store.create(fields("alpha beta"))).item
    named = (await store.create(fields("near and a name: b"))).item
    found = {item.id for item in (await store.find(ItemQuery(text=text))).items}
    words = [word for word in "".join(c if c.isalpha() else " " for c in text).lower().split() if word]
    wanted = {
        item.id
        for item in (plain, named)
        if words
        and all(any(part.startswith(word) for part in item.fields.name.replace(":", "").split()) for word in words)
    }
    assert found == wanted


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Crème brûlée", "creme BRU"),
        ("Cre\u0300me", "crème"),
        ("हिन्दी भाषा", "हिन्दी"),
        ("русский язык", "ЯЗЫ"),
        ("日本語テスト", "日本"),
        ("ไทยแลนด์", "ไทย"),
        ("عربى كلام", "كلام"),
        ("İstanbul", "istanbul"),
        ("size 4x100", "4x1"),
        ("don't", "don't"),
    ],
)
async def test_words_of_any_script_are_found_by_prefix(store: ItemStore, name: str, text: str) -> None:
    by_name = (await store.create(fields(name))).item
    by_description = (await store.create(fields("other", description=f"before {name} after"))).item
    await store.create(fields("something else", description="without them"))
    found = await store.find(ItemQuery(text=text, has_total=True, is_descending=False))
    assert ([item.id for item in found.items], found.total) == ([by_name.id, by_description.id], 2)


async def test_all_words_must_match_in_name_or_description(store: ItemStore) -> None:
    both = (await store.create(fields("red chair", description="made of oak"))).item
    await store.create(fields("red table"))
    assert [item.id for item in (await store.find(ItemQuery(text="oak red"))).items] == [both.id]


async def test_export_is_one_snapshot_during_writes(store: ItemStore) -> None:
    before = await store.create_batch([fields(f"n{number}", number) for number in range(3000)])
    exported: list[Item] = []
    async with aclosing(store.export(ItemQuery(is_descending=False))) as chunks:
        async for chunk in chunks:
            exported += chunk
            await store.create(fields("new"))
            await store.delete(before[-len(exported)].id)
            await store.update(before[1400].id, lambda _: fields("changed"))
    assert exported == before


async def test_abandoned_export_leaves_the_store_usable(store: ItemStore) -> None:
    await store.create_batch([fields() for _ in range(1000)])
    for _ in range(20):
        async with aclosing(store.export(ItemQuery())) as chunks:
            assert len(await anext(chunks)) > 0
    assert len(await export(store, ItemQuery(sort="price"))) == 1000
    await store.create(fields())


async def test_cancelled_export_releases_its_snapshot(store: ItemStore) -> None:
    await store.create_batch([fields(f"n{number}", number) for number in range(1000)])
    for delay_s in (0, 0.0005, 0.001, 0.002, 0.005):
        exporting = asyncio.create_task(export(store, ItemQuery(sort="name", text="n")))
        await asyncio.sleep(delay_s)
        exporting.cancel()
        await asyncio.wait([exporting])
    assert len(await export(store, ItemQuery(sort="name", text="n"))) == 1000


async def test_closed_store_rejects_reads(open_store: OpenStore) -> None:
    store = open_store()
    items = await store.create_batch([fields() for _ in range(3000)])
    chunks = store.export(ItemQuery())
    await anext(chunks)
    await store.close()
    for call in (store.get(items[0].id), store.find(ItemQuery()), store.find(ItemQuery(text="a")), store.ping()):
        with pytest.raises(StoreUnavailableError):
            await call
    with pytest.raises(StoreUnavailableError):
        async for _ in chunks:
            pass


async def test_close_finishes_accepted_writes(open_store: OpenStore) -> None:
    store = open_store()
    await store.ping()
    accepted = [asyncio.create_task(store.create(fields(f"n{number}"))) for number in range(50)]
    await asyncio.sleep(0)
    await store.close()
    items = [(await task).item for task in accepted]
    with pytest.raises(StoreUnavailableError):
        await store.create(fields())
    store = open_store()
    assert [await store.get(item.id) for item in items] == items
    await store.close()


async def test_cancelled_caller_does_not_affect_others(store: ItemStore) -> None:
    tasks = [asyncio.create_task(store.create(fields(f"n{number}"))) for number in range(40)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results[1::2]:
        assert not isinstance(result, BaseException)
        assert await store.get(result.item.id) == result.item
    assert 20 <= await store.count() <= 40


async def test_store_can_be_closed_repeatedly(open_store: OpenStore) -> None:
    store = open_store()
    async with asyncio.timeout(10):
        await asyncio.gather(store.close(), store.close())
        await store.close()
