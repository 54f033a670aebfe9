"""Every change of the database, as functions that the writer calls inside its transaction."""

from collections.abc import Callable, Iterable, Sequence
from time import time_ns
from typing import Any, Final

import apsw
import msgspec
import orjson

from devops_api.errors import ConflictError, FieldError, InvalidError, NotFoundError, PreconditionFailedError
from devops_api.items.model import Item, ItemFields, create_id, create_sequence, created_at_ms_of, sequence_of
from devops_api.items.store.protocol import ChunkOutcome, Created, IdempotencyKey, RejectedRow
from devops_api.items.store.sqlite.queries import SELECT_ONE, read_item

KEY_LIFE_MS: Final = 24 * 3600 * 1000
KEYS_PURGED: Final = 4  # with each new key, so that old ones go faster than new ones come
TAKEN: Final = "is taken by another item"

_INSERT_ITEM: Final = "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_TAG: Final = "INSERT INTO item_tags VALUES (?, ?)"
_INSERT_WORDS: Final = "INSERT INTO item_words (rowid, text) VALUES (?, ?)"
_DELETE_WORDS: Final = "INSERT INTO item_words (item_words, rowid, text) VALUES ('delete', ?, ?)"
_DELETE_TAG: Final = "DELETE FROM item_tags WHERE tag = ? AND sequence = ?"
_UPDATE_ITEM: Final = """UPDATE items
SET name = ?, price = ?, sku = ?, description = ?, tags = ?, updated_at_ms = ?, version = ? WHERE sequence = ?"""
_PURGE_KEYS: Final = """DELETE FROM idempotency_keys WHERE key IN
(SELECT key FROM idempotency_keys WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)"""


def create_each(connection: apsw.Connection, batch: Sequence[ItemFields]) -> list[Item | ConflictError]:
    """Store each item that has no sku or a free one; the first of two in the batch wins."""
    taken = set(find_taken(connection, batch))
    accepted: list[bool] = []
    for fields in batch:
        accepted.append(fields.sku is None or fields.sku not in taken)
        taken.add(fields.sku or "")
    items = iter(insert(connection, [fields for fields, is_free in zip(batch, accepted, strict=True) if is_free]))
    return [next(items) if is_free else _conflict() for is_free in accepted]


def create_once(connection: apsw.Connection, fields: ItemFields, idempotency: IdempotencyKey) -> Created:
    """Store an item unless the key has been used. InvalidError: with another body. ConflictError."""
    now_ms = _now_ms()
    earlier = connection.execute(
        "SELECT digest, item FROM idempotency_keys WHERE key = ? AND expires_at_ms > ?", (idempotency.key, now_ms)
    ).fetchone()
    if earlier:
        if earlier[0] != idempotency.digest:
            raise InvalidError([FieldError("Idempotency-Key", "came with another body before", "header")])
        return Created(msgspec.json.decode(earlier[1], type=Item), is_replay=True)
    item = create_each(connection, [fields])[0]
    if isinstance(item, ConflictError):
        raise item
    connection.execute(_PURGE_KEYS, (now_ms, KEYS_PURGED))
    connection.execute(
        "INSERT OR REPLACE INTO idempotency_keys VALUES (?, ?, ?, ?)",
        (idempotency.key, idempotency.digest, msgspec.json.encode(item).decode(), now_ms + KEY_LIFE_MS),
    )
    return Created(item, is_replay=False)


def create_all(connection: apsw.Connection, batch: Sequence[ItemFields]) -> list[Item]:
    """Store all items or none. ConflictError names every index whose sku is taken, in the store or in the batch."""
    taken = find_taken(connection, batch)
    first: dict[str, int] = {}
    faults = []
    for index, fields in enumerate(batch):
        if fields.sku is None:
            continue
        if fields.sku in taken:
            faults.append(FieldError(f"/{index}/sku", TAKEN))
        elif first.setdefault(fields.sku, index) != index:
            faults.append(FieldError(f"/{index}/sku", f"is that of element {first[fields.sku]} too"))
    if faults:
        raise ConflictError("The sku of an item must be its own; nothing was stored", errors=faults)
    return insert(connection, batch)


def import_rows(
    connection: apsw.Connection, rows: Sequence[ItemFields], *, is_upsert: bool, stop_at_rejection: bool
) -> ChunkOutcome:
    """Store a chunk of an import.

    A row that says what its item holds already changes nothing and counts as updated, so that an import that is
    repeated ends in the state of one that ran once.
    """
    taken = find_taken(connection, rows)
    fresh: list[ItemFields] = []
    fresh_places: dict[str, int] = {}
    replacements: dict[int, ItemFields] = {}
    rejections: list[RejectedRow] = []
    updated = 0
    for row, fields in enumerate(rows):
        sku = fields.sku
        if sku is None or (sku not in taken and sku not in fresh_places):
            if sku is not None:
                fresh_places[sku] = len(fresh)
            fresh.append(fields)
        elif not is_upsert:
            rejections.append(RejectedRow(row, f"sku {TAKEN}"))
            if stop_at_rejection:
                break
        else:
            updated += 1
            if sku in taken:
                replacements[taken[sku]] = fields
            else:
                fresh[fresh_places[sku]] = fields
    insert(connection, fresh)
    for sequence, fields in replacements.items():
        item = read_item(connection.execute(SELECT_ONE, (sequence,)).fetchone())
        if fields != fields_of(item):
            _store_update(connection, sequence, item, fields)
    return ChunkOutcome(len(fresh), updated, rejections)


def update(
    connection: apsw.Connection,
    item_id: str,
    edit: Callable[[Item], ItemFields],
    expected: frozenset[int] | None,
) -> Item:
    """Replace an item's fields. NotFoundError, PreconditionFailedError, ConflictError, what `edit` raises."""
    sequence, item = _load(connection, item_id, expected)
    fields = edit(item)
    if fields.sku is not None and fields.sku != item.sku and find_taken(connection, [fields]):
        raise _conflict()
    return _store_update(connection, sequence, item, fields)


def delete(connection: apsw.Connection, item_id: str, expected: frozenset[int] | None) -> None:
    """Remove an item. NotFoundError, PreconditionFailedError."""
    sequence, item = _load(connection, item_id, expected)
    connection.execute(_DELETE_WORDS, (sequence, _words_of(item)))
    if item.tags:
        connection.executemany(_DELETE_TAG, [(tag, sequence) for tag in item.tags])
    connection.execute("DELETE FROM items WHERE sequence = ?", (sequence,))


def check(connection: apsw.Connection) -> None:
    """Write something, so that a full or read-only disk is noticed before a client finds out."""
    connection.execute("UPDATE state SET checked_at_ms = ?", (_now_ms(),))


def insert(connection: apsw.Connection, batch: Sequence[ItemFields]) -> list[Item]:
    """Store items whose skus are known to be free."""
    if not batch:
        return []
    state: list[Any] = connection.execute("SELECT last_sequence FROM state").fetchall()
    first = create_sequence(_now_ms(), state[0][0])
    items, rows, words, tags = [], [], [], []
    for sequence, fields in enumerate(batch, start=first):
        item_id, time_ms = create_id(sequence), created_at_ms_of(sequence)
        name, price, sku, description = fields.name, fields.price, fields.sku, fields.description
        items.append(Item(item_id, name, price, sku, description, fields.tags, time_ms, time_ms, 1))
        rows.append((sequence, item_id, name, price, sku, description, " ".join(fields.tags), time_ms, 1))
        words.append((sequence, _words_of(fields)))
        tags += [(tag, sequence) for tag in fields.tags]
    connection.executemany(_INSERT_ITEM, rows)
    connection.executemany(_INSERT_WORDS, words)
    if tags:
        connection.executemany(_INSERT_TAG, tags)
    return items


def find_taken(connection: apsw.Connection, batch: Iterable[ItemFields]) -> dict[str, int]:
    """The skus among these that items hold, each with the place of its item."""
    skus = [fields.sku for fields in batch if fields.sku is not None]
    if not skus:
        return {}
    found: Any = connection.execute(
        "SELECT sku, sequence FROM json_each(?) CROSS JOIN items ON sku = value", (orjson.dumps(skus).decode(),)
    )
    return dict(found.fetchall())


def fields_of(item: Item) -> ItemFields:
    """What a client may say of an item, as it is stored."""
    return ItemFields(item.name, item.price, item.sku, item.description, item.tags)


def _load(connection: apsw.Connection, item_id: str, expected: frozenset[int] | None) -> tuple[int, Item]:
    sequence = sequence_of(item_id)
    row = None if sequence is None else connection.execute(SELECT_ONE, (sequence,)).fetchone()
    if sequence is None or row is None or row[0] != item_id:
        raise NotFoundError("There is no such item")
    item = read_item(row)
    if expected is not None and item.version not in expected:
        raise PreconditionFailedError(f"The item is at version {item.version}")
    return sequence, item


def _store_update(connection: apsw.Connection, sequence: int, item: Item, fields: ItemFields) -> Item:
    updated_at_ms, version = max(_now_ms(), item.updated_at_ms), item.version + 1
    name, price, sku, description = fields.name, fields.price, fields.sku, fields.description
    values = (name, price, sku, description, " ".join(fields.tags), updated_at_ms, version, sequence)
    old_words, new_words = _words_of(item), _words_of(fields)
    if new_words != old_words:
        connection.execute(_DELETE_WORDS, (sequence, old_words))
        connection.execute(_INSERT_WORDS, (sequence, new_words))
    old_tags, new_tags = set(item.tags), set(fields.tags)
    if new_tags != old_tags:
        connection.executemany(_DELETE_TAG, [(tag, sequence) for tag in old_tags - new_tags])
        connection.executemany(_INSERT_TAG, [(tag, sequence) for tag in new_tags - old_tags])
    connection.execute(_UPDATE_ITEM, values)
    return Item(item.id, name, price, sku, description, fields.tags, item.created_at_ms, updated_at_ms, version)


def _words_of(fields: ItemFields | Item) -> str:
    return f"{fields.name}\n{fields.description or ''}"


def _conflict() -> ConflictError:
    return ConflictError("Another item has this sku", errors=[FieldError("/sku", TAKEN)])


def _now_ms() -> int:
    return time_ns() // 1_000_000
