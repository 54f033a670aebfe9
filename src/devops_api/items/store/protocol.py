"""What every store of items promises; one contract suite runs against each.

A write returns only when it is on disk. Writes are atomic and run one after the other; a read sees whole writes.
Every method raises StoreUnavailableError if the database cannot be read or written now; nothing was changed then.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from devops_api.items.model import Item, ItemFields

NO_FILTERS: Final[Mapping[str, Any]] = MappingProxyType({})


class Position(NamedTuple):
    """The last row of a page: the stored value of its sort key (None for `created_at`) and its identifier."""

    key: int | str | None
    item_id: str


class ItemQuery(NamedTuple):
    """Which items to list, in which order; an item must match every filter.

    `sort` is one of `model.SORT_KEYS`. `text` holds words, each a prefix, all of which must occur in the searched
    fields, without regard to case and accents; a text without a word finds nothing. `filters` has stored values by the
    names in `model.FILTERS`. The rows follow `after`, the last row of the previous page.
    """

    sort: str = "created_at"
    is_descending: bool = True
    limit: int = 50
    after: Position | None = None
    text: str | None = None
    filters: Mapping[str, Any] = NO_FILTERS
    has_total: bool = False


class Page(NamedTuple):
    """Up to `limit` items in order; the following page starts after `next`; `total` counts all matches if requested."""

    items: Sequence[Item]
    next: Position | None
    total: int | None


class IdempotencyKey(NamedTuple):
    """A client's name for one creation: the key, prefixed with the name of its token, and the digest of the body."""

    key: str
    digest: bytes


class Created(NamedTuple):
    """An item as it was when it was created, and whether an earlier request with the same key created it."""

    item: Item
    is_replay: bool


class RejectedRow(NamedTuple):
    """A row of an import that the store rejected: its index in the chunk, and why."""

    row: int
    detail: str


class ChunkOutcome(NamedTuple):
    """What a chunk of an import did. With `stop_at_rejection` the rows before the first rejection are stored."""

    created: int
    updated: int
    rejections: Sequence[RejectedRow]


class ItemStore(Protocol):
    """The store that handlers get. Safe to call from any number of tasks of one event loop."""

    async def create(self, fields: ItemFields, idempotency: IdempotencyKey | None = None) -> Created:
        """Store a new item. ConflictError: the sku is taken. InvalidError: the key was used with another body."""

    async def create_batch(self, batch: Sequence[ItemFields]) -> list[Item]:
        """Store all items or none. ConflictError names every index whose sku is taken, in the store or in the batch."""

    async def import_chunk(
        self, rows: Sequence[ItemFields], *, is_upsert: bool, stop_at_rejection: bool
    ) -> ChunkOutcome:
        """Store a chunk of an import in one transaction; with `is_upsert` a row whose sku exists replaces that item."""

    async def get(self, item_id: str) -> Item:
        """Return the item. NotFoundError."""

    async def find(self, query: ItemQuery) -> Page:
        """Return one page. An item that exists throughout a walk over all pages is returned exactly once."""

    async def update(
        self, item_id: str, edit: Callable[[Item], ItemFields], expected: frozenset[int] | None = None
    ) -> Item:
        """Replace the fields with what `edit` returns and add 1 to the version, atomically.

        `expected` holds the versions that the caller accepts (None: any). NotFoundError, PreconditionFailedError,
        ConflictError: the sku is taken.
        """

    async def delete(self, item_id: str, expected: frozenset[int] | None = None) -> None:
        """Remove the item. NotFoundError, PreconditionFailedError."""

    def export(self, query: ItemQuery) -> AsyncGenerator[Sequence[Item], None]:
        """Return all matches in order, in chunks, from one snapshot; `limit`, `after` and `has_total` are ignored.

        The snapshot is held until the iterator is closed: close it (`contextlib.aclosing`).
        """

    async def count(self) -> int:
        """Return the number of stored items."""

    async def ping(self) -> None:
        """Return if the store can read and write. StoreUnavailableError."""

    async def close(self) -> None:
        """Finish accepted writes and close the database."""
