"""The statements are derived: their text is compared, so that a change of the derivation cannot pass unnoticed."""

from devops_api.items.model import Item, ItemFields
from devops_api.items.store.sqlite.columns import (
    ELEMENT_TABLES,
    INSERT_ITEM,
    SELECT_ITEM,
    UPDATE_ITEM,
    create_insert_values,
    create_update_values,
    join_words,
    read_item,
)

ITEM = Item(id="id", fields=ItemFields("Name", 150, tags=("b", "a")), created_at_ms=3, updated_at_ms=4, version=2)


def test_statements_name_their_columns() -> None:
    assert SELECT_ITEM == (
        "SELECT items.id, items.sequence >> 12, items.updated_at_ms, items.version, "
        "items.name, items.price, items.sku, items.description, items.tags FROM items WHERE sequence = ?"
    )
    assert INSERT_ITEM == (
        "INSERT INTO items (sequence, id, updated_at_ms, version, name, price, sku, description, tags) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    assert UPDATE_ITEM == (
        "UPDATE items SET updated_at_ms = ?, version = ?, name = ?, price = ?, sku = ?, description = ?, tags = ? "
        "WHERE sequence = ?"
    )


def test_tags_have_an_index_table() -> None:
    assert [(table.insert, table.delete) for table in ELEMENT_TABLES] == [
        ("INSERT INTO item_tags (tag, sequence) VALUES (?, ?)", "DELETE FROM item_tags WHERE tag = ? AND sequence = ?")
    ]


def test_values_are_in_the_order_of_the_columns() -> None:
    assert create_insert_values(9, ITEM) == [9, "id", 4, 2, "Name", 150, None, None, "b a"]
    assert create_update_values(9, ITEM) == [4, 2, "Name", 150, None, None, "b a", 9]


def test_row_becomes_the_item() -> None:
    assert read_item(("id", 3, 4, 2, "Name", 150, None, None, "b a")) == ITEM


def test_searched_text_is_name_and_description() -> None:
    assert join_words(ItemFields("Name", 1)) == "Name\n"
    assert join_words(ItemFields("Name", 1, description="Words")) == "Name\nWords"
