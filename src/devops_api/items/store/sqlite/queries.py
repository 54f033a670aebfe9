"""Translate an `ItemQuery` into SQL, and read its page."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import apsw

from devops_api.errors import FieldError, InvalidError
from devops_api.items.ids import parse_id
from devops_api.items.model import FILTERS
from devops_api.items.store.protocol import ItemQuery, Page, Position
from devops_api.items.store.sqlite.columns import ELEMENT_TABLES, SELECTED, read_item

TOKENIZER: Final = ("unicode61", ["remove_diacritics", "2", "categories", "L* M* N* Co"])  # as in migration 0002
SELECT_COUNT: Final = "SELECT item_count FROM state"


class Table(NamedTuple):
    """A table to join, the column that holds the items' sequence number, and its own conditions with their values."""

    name: str
    sequence: str
    conditions: Sequence[str]
    values: Sequence[Any]


class Source(NamedTuple):
    """Where matching rows come from: tables that SQLite joins in this order."""

    tables: Sequence[Table]

    @property
    def sequence(self) -> str:
        """The sequence column of the first table: ordered by it, rows need no sorting."""
        return self.tables[0].sequence

    @property
    def values(self) -> list[Any]:
        """The values of the conditions."""
        return [value for table in self.tables for value in table.values]

    @property
    def counted(self) -> "Source":
        """The tables that decide how many rows match: every row of an index has its item."""
        return Source([table for table in self.tables if table.conditions] or self.tables)

    def select(self, columns: str, conditions: Sequence[str] = ()) -> str:
        """Return the statement for the rows that also match `conditions`."""
        own = [condition for table in self.tables for condition in table.conditions]
        joins = [f"{table.sequence} = {self.sequence}" for table in self.tables[1:]]
        everything = [*own, *joins, *conditions]
        where = f" WHERE {' AND '.join(everything)}" if everything else ""
        return f"SELECT {columns} FROM {' CROSS JOIN '.join(table.name for table in self.tables)}{where}"  # noqa: S608


def is_bounded(query: ItemQuery) -> bool:
    """Return whether a page costs no more than its own rows, however many items are stored."""
    return query.text is None and not query.filters and not query.has_total


def find_page(connection: apsw.Connection, query: ItemQuery) -> Page:
    """Return one page; its rows and its total are of one snapshot."""
    source = create_source(connection, query)
    if source is None:
        return Page((), None, 0 if query.has_total else None)
    if query.sort == "created_at" and not query.has_total:
        return _create_page(query, _select_rows(connection, source, query), None)
    with connection:
        rows = _select_rows(connection, source, query)
        total = _count(connection, source) if query.has_total else None
    return _create_page(query, rows, total)


def create_source(connection: apsw.Connection, query: ItemQuery) -> Source | None:
    """Return the source of the rows that match, or None for a text without a word, which finds nothing."""
    tables = list(_iterate_element_tables(query))
    if query.text is not None:
        words = _create_match(connection, query.text)
        if not words:
            return None
        tables.insert(0, Table("item_words", "item_words.rowid", ["item_words MATCH ?"], [words]))
    filters = [(f"items.{entry.field.name} {entry.comparison} ?", query.filters[name])
               for name, entry in FILTERS.items() if name in query.filters and entry.comparison != "all"]  # fmt: skip
    items = Table("items", "items.sequence", [condition for condition, _ in filters], [value for _, value in filters])
    # A sku is unique, so it leads to one item. Otherwise an index is shorter than the table of all items.
    tables.insert(0 if "sku" in query.filters else len(tables), items)
    return Source(tables)


def select_all(source: Source, query: ItemQuery) -> tuple[str, list[Any]]:
    """Return the statement for every match in order, and its values."""
    return source.select(SELECTED) + _order(source, query), source.values


def _iterate_element_tables(query: ItemQuery) -> Iterator[Table]:
    for table in ELEMENT_TABLES:
        for number, element in enumerate(query.filters.get(table.column, ())):
            alias = f"{table.column}_{number}"
            yield Table(f"{table.name} AS {alias}", f"{alias}.sequence", [f"{alias}.{table.column} = ?"], [element])


def _select_rows(connection: apsw.Connection, source: Source, query: ItemQuery) -> list[Any]:
    """Return up to one row more than the page holds."""
    rows: list[Any] = []
    for conditions, values in _list_ranges(source, query):
        sql = source.select(SELECTED, conditions) + _order(source, query) + " LIMIT ?"
        rows += connection.execute(sql, [*source.values, *values, query.limit + 1 - len(rows)]).fetchall()
        if len(rows) > query.limit:
            break
    return rows


def _list_ranges(source: Source, query: ItemQuery) -> list[tuple[list[str], list[Any]]]:
    """Return the conditions of the ranges of rows that follow `query.after`, and their values.

    Two ranges for a sort key that many items share, the rest of its items and the keys beyond it: for one comparison
    of both columns SQLite would look at every item of the key again.
    """
    if query.after is None:
        return [([], [])]
    beyond = "<" if query.is_descending else ">"
    sequence = _parse_position(query.after)
    behind = f"{source.sequence} {beyond} ?"
    if query.sort == "created_at":
        return [([behind], [sequence])]
    column, key = f"items.{query.sort}", query.after.key
    return [([f"{column} = ?", behind], [key, sequence]), ([f"{column} {beyond} ?"], [key])]


def _order(source: Source, query: ItemQuery) -> str:
    direction = "DESC" if query.is_descending else "ASC"
    keys = [source.sequence] if query.sort == "created_at" else [f"items.{query.sort}", source.sequence]
    return " ORDER BY " + ", ".join(f"{key} {direction}" for key in keys)


def _count(connection: apsw.Connection, source: Source) -> int:
    sql = source.counted.select("count(*)") if source.values else SELECT_COUNT
    rows: list[Any] = connection.execute(sql, source.values).fetchall()
    return int(rows[0][0])


def _create_page(query: ItemQuery, rows: list[Any], total: int | None) -> Page:
    items = [read_item(row) for row in rows[: query.limit]]
    if len(rows) <= query.limit:
        return Page(items, None, total)
    last = items[-1]
    key = None if query.sort == "created_at" else getattr(last.fields, query.sort)
    return Page(items, Position(key, last.id), total)


def _parse_position(position: Position) -> int:
    sequence = parse_id(position.item_id)
    if sequence is None:
        raise InvalidError(
            [FieldError("cursor", "is not a valid cursor; send `next` of a page unchanged", "parameter")]
        )
    return sequence


def _create_match(connection: apsw.Connection, text: str) -> str:
    """Return an FTS5 expression for the words of a text, each quoted and a prefix; nothing in it is syntax.

    Words are cut out of the text unfolded, so that FTS5 folds them once, as it did those that it indexed.
    """
    utf8 = text.encode("utf-8", "replace")
    name, options = TOKENIZER
    tokens: Any = connection.fts5_tokenizer(name, options)(utf8, apsw.FTS5_TOKENIZE_QUERY, None)
    words = dict.fromkeys(utf8[start:end].decode() for start, end, *_ in tokens)
    return " ".join(f'"{word}"*' for word in words)
