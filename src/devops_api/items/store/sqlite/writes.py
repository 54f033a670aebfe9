"""Every change of the database, as a function that the writer calls within its transaction."""

from collections.abc import Callable, Iterable, Sequence
from time import time_ns
from typing import Any, Final

import apsw
import orjson

from devops_api.errors import ConflictError, FieldError, InvalidError, NotFoundError, PreconditionFailedError
from devops_api.items.encoding import dump_item, load_item
from devops_api.items.ids import create_id, create_sequence, parse_id, read_time_ms
from devops_api.items.model import Item, ItemFields
from devops_api.items.store.protocol import ChunkOutcome, Created, IdempotencyKey, RejectedRow
from devops_api.items.store.sqlite.columns import (
    DELETE_ITEM,
    DELETE_WORDS,
    ELEMENT_TABLES,
    INSERT_ITEM,
    INSERT_WORDS,
    SELECT_ITEM,
    UPDATE_ITEM,
    create_insert_values,
    create_update_values,
    join_words,
    read_item,
)

KEY_LIFE_MS: Final = 24 * 3600 * 1000
KEYS_PURGED: Final = 4  # deleted with each new key, so that expired keys cannot accumulate
TAKEN: Final = "is taken by another item"

_SELECT_SKUS: Final = "SELECT sku, sequence FROM json_each(?) CROSS JOIN items ON sku = value"
_SELECT_KEY: Final = "SELECT digest, item FROM idempotency_keys WHERE key = ? AND expires_at_ms > ?"
_INSERT_KEY: Final = "INSERT OR REPLACE INTO idempotency_keys (key, digest, item, expires_at_ms) VALUES (?, ?, ?, ?)"
_PURGE_KEYS: Final = """DELETE FROM idempotency_keys WHERE key IN
(SELECT key FROM idempotency_keys WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)"""


def create_each(connection: apsw.Connection, batch: Sequence[ItemFields]) -> list[Item | ConflictError]:
    """Store each item that has no sku or a free one; the first of two in the batch wins."""
    taken: set[str | None] = {*find_skus(connection, batch)}
    are_free = []
    for fields in batch:
        are_free.append(fields.sku is None or fields.sku not in taken)
        taken.add(fields.sku)
    items = iter(insert(connection, [fields for fields, is_free in zip(batch, are_free, strict=True) if is_free]))
    return [next(items) if is_free else _create_conflict() for is_free in are_free]


def create_once(connection: apsw.Connection, fields: ItemFields, idempotency: IdempotencyKey) -> Created:
    """Store an item unless the key was used before. InvalidError: with another body. ConflictError."""
    now_ms = _now_ms()
    earlier: Any = connection.execute(_SELECT_KEY, (idempotency.key, now_ms)).fetchone()
    if earlier:
        digest, item = earlier
        if digest != idempotency.digest:
            raise InvalidError([FieldError("Idempotency-Key", "was used with another body before", "header")])
        return Created(load_item(item), is_replay=True)
    created = create_each(connection, [fields])[0]
    if isinstance(created, ConflictError):
        raise created
    connection.execute(_PURGE_KEYS, (now_ms, KEYS_PURGED))
    key = (idempotency.key, idempotency.digest, dump_item(created), now_ms + KEY_LIFE_MS)
    connection.execute(_INSERT_KEY, key)
    return Created(created, is_replay=False)


def create_all(connection: apsw.Connection, batch: Sequence[ItemFields]) -> list[Item]:
    """Store all items or none. ConflictError names every index whose sku is taken, in the store or in the batch."""
    taken = find_skus(connection, batch)
    first: dict[str, int] = {}
    errors = []
    for index, fields in enumerate(batch):
        if fields.sku is None:
            continue
        if fields.sku in taken:
            errors.append(FieldError(f"/{index}/sku", TAKEN))
        elif first.setdefault(fields.sku, index) != index:
            errors.append(FieldError(f"/{index}/sku", f"is the same as in element {first[fields.sku]}"))
    if errors:
        raise ConflictError("Each sku must be unique; nothing was stored", errors=errors)
    return insert(connection, batch)


def import_rows(
    connection: apsw.Connection, rows: Sequence[ItemFields], *, is_upsert: bool, stop_at_rejection: bool
) -> ChunkOutcome:
    """Store a chunk of an import.

    A row that equals its stored item changes nothing and counts as updated, so that a repeated import ends in the
    state of one that ran once.
    """
    stored = find_skus(connection, rows)
    created: dict[str | int, ItemFields] = {}  # by sku, or by row without one
    replaced: dict[int, ItemFields] = {}  # by sequence
    rejections: list[RejectedRow] = []
    updated = 0
    for row, fields in enumerate(rows):
        key = row if fields.sku is None else fields.sku
        is_taken = key in stored or key in created
        if is_taken and not is_upsert:
            rejections.append(RejectedRow(row, f"sku {TAKEN}"))
            if stop_at_rejection:
                break
            continue
        updated += is_taken
        if fields.sku in stored:
            replaced[stored[fields.sku]] = fields
        else:
            created[key] = fields
    insert(connection, list(created.values()))
    for sequence, fields in replaced.items():
        item = read_item(connection.execute(SELECT_ITEM, (sequence,)).fetchone())
        if fields != item.fields:
            _replace(connection, sequence, item, fields)
    return ChunkOutcome(len(created), updated, rejections)


def update(
    connection: apsw.Connection, item_id: str, edit: Callable[[Item], ItemFields], expected: frozenset[int] | None
) -> Item:
    """Replace an item's fields. NotFoundError, PreconditionFailedError, ConflictError, and what `edit` raises."""
    sequence, item = _load(connection, item_id, expected)
    fields = edit(item)
    if fields.sku != item.fields.sku and find_skus(connection, [fields]):
        raise _create_conflict()
    return _replace(connection, sequence, item, fields)


def delete(connection: apsw.Connection, item_id: str, expected: frozenset[int] | None) -> None:
    """Remove an item. NotFoundError, PreconditionFailedError."""
    sequence, item = _load(connection, item_id, expected)
    connection.execute(DELETE_WORDS, (sequence, join_words(item.fields)))
    for table in ELEMENT_TABLES:
        connection.executemany(table.delete, [(element, sequence) for element in getattr(item.fields, table.field)])
    connection.execute(DELETE_ITEM, (sequence,))


def check(connection: apsw.Connection) -> None:
    """Write something, so that a full or read-only disk is noticed before a client's write fails."""
    connection.execute("UPDATE state SET checked_at_ms = ?", (_now_ms(),))


def insert(connection: apsw.Connection, batch: Sequence[ItemFields]) -> list[Item]:
    """Store items whose skus are known to be free."""
    if not batch:
        return []
    state: list[Any] = connection.execute("SELECT last_sequence FROM state").fetchall()
    first = create_sequence(_now_ms(), state[0][0])
    items = [_create_item(sequence, fields) for sequence, fields in enumerate(batch, start=first)]
    numbered = list(enumerate(items, start=first))
    connection.executemany(INSERT_ITEM, [create_insert_values(sequence, item) for sequence, item in numbered])
    connection.executemany(INSERT_WORDS, [(sequence, join_words(item.fields)) for sequence, item in numbered])
    for table in ELEMENT_TABLES:
        elements = [(element, sequence) for sequence, item in numbered for element in getattr(item.fields, table.field)]
        if elements:
            connection.executemany(table.insert, elements)
    return items


def find_skus(connection: apsw.Connection, batch: Iterable[ItemFields]) -> dict[str | None, int]:
    """Return the skus of the batch that stored items have, each with the sequence number of its item."""
    skus = [fields.sku for fields in batch if fields.sku is not None]
    if not skus:
        return {}
    found: Any = connection.execute(_SELECT_SKUS, (orjson.dumps(skus).decode(),))
    return dict(found.fetchall())


def _create_item(sequence: int, fields: ItemFields) -> Item:
    time_ms = read_time_ms(sequence)
    return Item(id=create_id(sequence), fields=fields, created_at_ms=time_ms, updated_at_ms=time_ms, version=1)


def _load(connection: apsw.Connection, item_id: str, expected: frozenset[int] | None) -> tuple[int, Item]:
    sequence = parse_id(item_id)
    row = None if sequence is None else connection.execute(SELECT_ITEM, (sequence,)).fetchone()
    item = row and read_item(row)
    if sequence is None or not item or item.id != item_id:
        raise NotFoundError("There is no such item")
    if expected is not None and item.version not in expected:
        raise PreconditionFailedError(f"The item is at version {item.version}")
    return sequence, item


def _replace(connection: apsw.Connection, sequence: int, old: Item, fields: ItemFields) -> Item:
    new = Item(
        id=old.id,
        fields=fields,
        created_at_ms=old.created_at_ms,
        updated_at_ms=max(_now_ms(), old.updated_at_ms),
        version=old.version + 1,
    )
    old_words, new_words = join_words(old.fields), join_words(fields)
    if new_words != old_words:
        connection.execute(DELETE_WORDS, (sequence, old_words))
        connection.execute(INSERT_WORDS, (sequence, new_words))
    for table in ELEMENT_TABLES:
        before, after = set(getattr(old.fields, table.field)), set(getattr(fields, table.field))
        connection.executemany(table.delete, [(element, sequence) for element in before - after])
        connection.executemany(table.insert, [(element, sequence) for element in after - before])
    connection.execute(UPDATE_ITEM, create_update_values(sequence, new))
    return new


def _create_conflict() -> ConflictError:
    return ConflictError("Another item has this sku", errors=[FieldError("/sku", TAKEN)])


def _now_ms() -> int:
    return time_ns() // 1_000_000
