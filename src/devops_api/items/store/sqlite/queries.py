"""From an `ItemQuery` to SQL, and from rows to items."""

from typing import Any, Final, NamedTuple

import apsw

from devops_api.errors import FieldError, InvalidError
from devops_api.items.model import Item, sequence_of
from devops_api.items.store.protocol import ItemQuery, Page, Position

TOKENIZER: Final = ("unicode61", ["remove_diacritics", "2", "categories", "L* M* N* Co"])  # as in migration 0002
_COLUMNS: Final = (
    "items.id, items.name, items.price, items.sku, items.description, items.tags, items.sequence >> 12, "
    "items.updated_at_ms, items.version"
)
SELECT_ONE: Final = f"SELECT {_COLUMNS} FROM items WHERE sequence = ?"  # noqa: S608 - constants alone
SELECT_COUNT: Final = "SELECT item_count FROM state"
_KEY_COLUMNS: Final = {"price": "items.price", "name": "items.name"}
_NOTHING: Final = Page((), None, 0)


class Source(NamedTuple):
    """Where matching rows come from: tables to be joined in this order, conditions, and values in the order of those.

    `place` is the column of the first table that holds the row's place in time, whose order then needs no sorting.
    `counted` and `count_conditions` say what a count looks at, which may leave the items themselves out.
    """

    tables: list[str]
    place: str
    conditions: list[str]
    values: list[Any]
    counted: list[str]
    count_conditions: list[str]


def read_item(row: Any) -> Item:
    """The item in a row of `_COLUMNS`."""
    item_id, name, price, sku, description, tags, created_at_ms, updated_at_ms, version = row
    split = tuple(tags.split(" ")) if tags else ()
    return Item(item_id, name, price, sku, description, split, created_at_ms, updated_at_ms, version)


def is_bounded(query: ItemQuery) -> bool:
    """Whether a page costs no more than its own rows, however many items there are."""
    is_filtered = query.tags or query.text is not None or query.sku is not None
    return not (is_filtered or query.min_price is not None or query.max_price is not None or query.has_total)


def find_page(connection: apsw.Connection, query: ItemQuery) -> Page:
    """One page, its rows and its total from one snapshot."""
    source = create_source(connection, query)
    if source is None:
        return _NOTHING if query.has_total else _NOTHING._replace(total=None)
    if query.sort == "created_at" and not query.has_total:
        return _create_page(query, _select_rows(connection, source, query), None)
    with connection:
        rows = _select_rows(connection, source, query)
        total = _select_total(connection, source, query) if query.has_total else None
    return _create_page(query, rows, total)


def create_source(connection: apsw.Connection, query: ItemQuery) -> Source | None:
    """The rows that match the filters; None where the text has no word, and finds nothing."""
    words = None if query.text is None else _match_expression(connection, query.text)
    if words == "":
        return None
    lists = [("item_words", "item_words.rowid", "item_words MATCH ?", words)] if words else []
    lists += [(f"item_tags AS t{n}", f"t{n}.sequence", f"t{n}.tag = ?", tag) for n, tag in enumerate(query.tags)]
    tables = [table for table, _, _, _ in lists]
    places = [place for _, place, _, _ in lists]
    conditions = [condition for _, _, condition, _ in lists]
    filters = [(condition, value) for condition, value in _list_filters(query) if value is not None]
    values = [value for _, _, _, value in lists] + [value for _, value in filters]
    conditions += [condition for condition, _ in filters]
    if lists and not filters:
        among_lists = [f"{place} = {places[0]}" for place in places[1:]]
        counted, count_conditions = tables, [*conditions, *among_lists]
        conditions = [*count_conditions, f"items.sequence = {places[0]}"]
        return Source([*tables, "items"], places[0], conditions, values, counted, count_conditions)
    # A sku leads to one row, so it goes first; lists are as long as they may be, but shorter than all there is.
    at = 0 if query.sku is not None else len(tables)
    tables.insert(at, "items")
    places.insert(at, "items.sequence")
    conditions += [f"{place} = {places[0]}" for place in places[1:]]
    return Source(tables, places[0], conditions, values, tables, conditions)


def _list_filters(query: ItemQuery) -> tuple[tuple[str, int | str | None], ...]:
    return (
        ("items.price >= ?", query.min_price),
        ("items.price <= ?", query.max_price),
        ("items.sku = ?", query.sku),
    )


def select_all(source: Source, query: ItemQuery) -> tuple[str, list[Any]]:
    """Every match in order."""
    return _select(source, query, [], [])


def _select_rows(connection: apsw.Connection, source: Source, query: ItemQuery) -> list[Any]:
    """Up to one row more than the page holds, behind `query.after`.

    A sort key that many items share is continued by place in time alone, and only then by the keys beyond it: SQLite
    would look at each row of the key again for one comparison of both.
    """
    most = query.limit + 1
    if query.after is None:
        return _fetch(connection, *_select(source, query, [], []), most)
    beyond = "<" if query.is_descending else ">"
    key, place = query.after.key, _place_of(query.after)
    column = _KEY_COLUMNS.get(query.sort)
    if column is None:
        return _fetch(connection, *_select(source, query, [f"{source.place} {beyond} ?"], [place]), most)
    same = [f"{column} = ?", f"{source.place} {beyond} ?"]
    rows = _fetch(connection, *_select(source, query, same, [key, place]), most)
    if len(rows) < most:
        further = _select(source, query, [f"{column} {beyond} ?"], [key])
        rows += _fetch(connection, *further, most - len(rows))
    return rows


def _select(source: Source, query: ItemQuery, conditions: list[str], values: list[Any]) -> tuple[str, list[Any]]:
    everything = [*source.conditions, *conditions]
    where = f" WHERE {' AND '.join(everything)}" if everything else ""
    direction = "DESC" if query.is_descending else "ASC"
    column = _KEY_COLUMNS.get(query.sort)
    order = f"{source.place} {direction}" if column is None else f"{column} {direction}, {source.place} {direction}"
    tables = " CROSS JOIN ".join(source.tables)
    return f"SELECT {_COLUMNS} FROM {tables}{where} ORDER BY {order}", [*source.values, *values]  # noqa: S608


def _fetch(connection: apsw.Connection, sql: str, values: list[Any], most: int) -> list[Any]:
    return connection.execute(sql + " LIMIT ?", [*values, most]).fetchall()


def _select_total(connection: apsw.Connection, source: Source, query: ItemQuery) -> int:
    if is_bounded(query._replace(has_total=False)):
        sql = SELECT_COUNT
    else:
        tables, conditions = " CROSS JOIN ".join(source.counted), " AND ".join(source.count_conditions)
        sql = f"SELECT count(*) FROM {tables} WHERE {conditions}"  # noqa: S608
    rows: list[Any] = connection.execute(sql, source.values).fetchall()
    return int(rows[0][0])


def _create_page(query: ItemQuery, rows: list[Any], total: int | None) -> Page:
    items = [read_item(row) for row in rows[: query.limit]]
    if len(rows) <= query.limit:
        return Page(items, None, total)
    last = items[-1]
    key = {"created_at": None, "price": last.price, "name": last.name}[query.sort]
    return Page(items, Position(key, last.id), total)


def _place_of(position: Position) -> int:
    place = sequence_of(position.item_id)
    if place is None:
        raise InvalidError([FieldError("cursor", "is not a cursor; take `next` of a page as it is", "parameter")])
    return place


def _match_expression(connection: apsw.Connection, text: str) -> str:
    """The words of a text as FTS5 finds them, each quoted and a prefix; nothing in it is syntax.

    Words are cut out of the text rather than taken folded, so that FTS5 folds them once, as it did those it stores.
    """
    utf8 = text.encode("utf-8", "replace")
    name, options = TOKENIZER
    tokens: Any = connection.fts5_tokenizer(name, options)(utf8, apsw.FTS5_TOKENIZE_QUERY, None)
    words = dict.fromkeys(utf8[start:end].decode() for start, end, *_ in tokens)
    return " ".join(f'"{word}"*' for word in words)
