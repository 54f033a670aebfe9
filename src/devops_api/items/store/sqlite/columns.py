"""The columns of the table `items`, derived from the fields, and how rows map to items.

Every statement names its columns, so that a process of an older version works on a newer schema.
"""

from typing import Any, Final, NamedTuple

from msgspec.structs import astuple

from devops_api.items.fields import Filter, list_conversions
from devops_api.items.model import FIELD_NAMES, FIELDS, SEARCHED, Item, ItemFields

_SERVER_COLUMNS: Final = ("items.id", "items.sequence >> 12", "items.updated_at_ms", "items.version")
SELECTED: Final = ", ".join([*_SERVER_COLUMNS, *(f"items.{name}" for name in FIELD_NAMES)])
_FIRST_FIELD: Final = len(_SERVER_COLUMNS)
_INSERTED: Final = ("sequence", "id", "updated_at_ms", "version", *FIELD_NAMES)
_UPDATED: Final = ("updated_at_ms", "version", *FIELD_NAMES)

SELECT_ITEM: Final = f"SELECT {SELECTED} FROM items WHERE sequence = ?"  # noqa: S608 - constants alone, as all below
INSERT_ITEM: Final = f"INSERT INTO items ({', '.join(_INSERTED)}) VALUES ({', '.join('?' * len(_INSERTED))})"  # noqa: S608
UPDATE_ITEM: Final = f"UPDATE items SET {', '.join(f'{name} = ?' for name in _UPDATED)} WHERE sequence = ?"  # noqa: S608
DELETE_ITEM: Final = "DELETE FROM items WHERE sequence = ?"
INSERT_WORDS: Final = "INSERT INTO item_words (rowid, text) VALUES (?, ?)"
DELETE_WORDS: Final = "INSERT INTO item_words (item_words, rowid, text) VALUES ('delete', ?, ?)"

_FROM_SQL: Final = list_conversions(FIELDS, "from_sql")
_TO_SQL: Final = list_conversions(FIELDS, "to_sql")


class ElementTable(NamedTuple):
    """The index of a list field that can be filtered by its elements: one row for each element of each item."""

    field: str
    name: str
    column: str

    @property
    def insert(self) -> str:
        """The statement that adds an element and the sequence number of its item."""
        return f"INSERT INTO {self.name} ({self.column}, sequence) VALUES (?, ?)"  # noqa: S608

    @property
    def delete(self) -> str:
        """The statement that removes an element of an item."""
        return f"DELETE FROM {self.name} WHERE {self.column} = ? AND sequence = ?"  # noqa: S608


ELEMENT_TABLES: Final = tuple(
    ElementTable(field.name, f"item_{field.name}", field.singular)
    for field in FIELDS
    if field.kind.filter is Filter.ALL
)


def read_item(row: Any) -> Item:
    """Return the item in a row of `SELECTED`."""
    values = list(row[_FIRST_FIELD:])  # faster than to unpack the rest of the row
    for index, convert in _FROM_SQL:
        values[index] = convert(values[index])
    return Item(id=row[0], fields=ItemFields(*values), created_at_ms=row[1], updated_at_ms=row[2], version=row[3])


def create_insert_values(sequence: int, item: Item) -> list[Any]:
    """Return the values of `INSERT_ITEM`."""
    return [sequence, item.id, item.updated_at_ms, item.version, *_create_values(item.fields)]


def create_update_values(sequence: int, item: Item) -> list[Any]:
    """Return the values of `UPDATE_ITEM`."""
    return [item.updated_at_ms, item.version, *_create_values(item.fields), sequence]


def join_words(fields: ItemFields) -> str:
    """Return the text that full-text search indexes; the view `item_texts` says the same in SQL."""
    return "\n".join([getattr(fields, name) or "" for name in SEARCHED])


def _create_values(fields: ItemFields) -> list[Any]:
    values = list(astuple(fields))
    for index, convert in _TO_SQL:
        values[index] = convert(values[index])
    return values
