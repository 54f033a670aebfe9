"""The order in which SQLite joins tables decides whether a query takes microseconds or minutes."""

from typing import Any

import apsw
import pytest

from devops_api.items.ids import create_id
from devops_api.items.store.protocol import ItemQuery, Position
from devops_api.items.store.sqlite.queries import Source, create_source, is_bounded, select_all

PRICE_OF = "items.price >= ? AND items.price <= ?"
TAGGED = "item_tags AS tag_0 CROSS JOIN item_tags AS tag_1"
BOTH_TAGS = "tag_0.tag = ? AND tag_1.tag = ? AND tag_1.sequence = tag_0.sequence"
FOUND = "item_words CROSS JOIN item_tags AS tag_0 CROSS JOIN items"
MATCHING = "item_words MATCH ? AND tag_0.tag = ? AND items.price <= ?"
WORDS_JOINED = "tag_0.sequence = item_words.rowid AND items.sequence = item_words.rowid"
SKU_FIRST = (
    "items CROSS JOIN item_words WHERE items.sku = ? AND item_words MATCH ? AND item_words.rowid = items.sequence"
)


def describe(source: Source | None) -> str:
    """The statement behind SELECT … FROM."""
    assert source is not None
    return source.select("*").removeprefix("SELECT * FROM ")


@pytest.mark.parametrize(
    ("query", "selected", "counted"),
    [
        ({}, "items", "items"),
        ({"filters": {"max_price": 5, "min_price": 1}}, f"items WHERE {PRICE_OF}", f"items WHERE {PRICE_OF}"),
        (
            {"filters": {"tag": ("a", "b")}},
            f"{TAGGED} CROSS JOIN items WHERE {BOTH_TAGS} AND items.sequence = tag_0.sequence",
            f"{TAGGED} WHERE {BOTH_TAGS}",
        ),
        (
            {"text": "oak", "filters": {"tag": ("a",), "max_price": 5}},
            f"{FOUND} WHERE {MATCHING} AND {WORDS_JOINED}",
            f"{FOUND} WHERE {MATCHING} AND {WORDS_JOINED}",
        ),
        ({"text": "oak", "filters": {"sku": "s"}}, SKU_FIRST, SKU_FIRST),
    ],
)
def test_indexes_are_joined_before_items_and_a_sku_before_both(
    query: dict[str, Any], selected: str, counted: str
) -> None:
    source = create_source(apsw.Connection(":memory:"), ItemQuery(**query))
    assert describe(source) == selected
    assert source is not None
    assert describe(source.counted) == counted


def test_text_without_a_word_has_no_source() -> None:
    assert create_source(apsw.Connection(":memory:"), ItemQuery(text="?!")) is None


def test_export_ignores_limit_and_position() -> None:
    query = ItemQuery(sort="price", limit=1, after=Position(5, create_id(1)))
    source = create_source(apsw.Connection(":memory:"), query)
    assert source is not None
    statement, values = select_all(source, query)
    assert statement.endswith(" FROM items ORDER BY items.price DESC, items.sequence DESC")
    assert values == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"sort": "name"}, True),
        ({"has_total": True}, False),
        ({"text": "a"}, False),
        ({"filters": {"min_price": 0}}, False),
    ],
)
def test_only_plain_pages_are_bounded(query: dict[str, Any], *, expected: bool) -> None:
    assert is_bounded(ItemQuery(**query)) == expected
