"""What every store of items promises; one contract suite runs against each.

A write returns only when it is on disk. Writes are atomic and happen one after the other; a read sees whole writes.
Every call raises StoreUnavailableError where the database cannot be read or written now; nothing was changed then.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, Literal, NamedTuple, Protocol

from devops_api.items.model import Item, ItemFields

SortKey = Literal["created_at", "price", "name"]
SORT_KEYS: Final[tuple[SortKey, ...]] = ("created_at", "price", "name")


class Position(NamedTuple):
    """The last row of a page: its sort key (hundredths, name; None for `created_at`) and its identifier."""

    key: int | str | None
    item_id: str


class ItemQuery(NamedTuple):
    """A list of items as asked for; the filters must all match.

    `text`: words, each a prefix, all of which must occur in name or description, case and accents ignored; a text
    without a word finds nothing. Prices in hundredths, both ends included. `after` continues behind a page's last row.
    """

    sort: SortKey = "created_at"
    is_descending: bool = True
    limit: int = 50
    after: Position | None = None
    text: str | None = None
    tags: tuple[str, ...] = ()
    min_price: int | None = None
    max_price: int | None = None
    sku: str | None = None
    has_total: bool = False


class Page(NamedTuple):
    """Up to `limit` items in order; `next` is where the following page starts, `total` counts all matches if asked."""

    items: Sequence[Item]
    next: Position | None
    total: int | None


class IdempotencyKey(NamedTuple):
    """A client's promise that equal keys are one creation: the key, prefixed by whose it is, and the body's digest."""

    key: str
    digest: bytes


class Created(NamedTuple):
    """A created item as it was then, and whether this is the reply of an earlier call with the same key."""

    item: Item
    is_replay: bool


class RejectedRow(NamedTuple):
    """A row of an import that the store refused: its place in the chunk, from 0, and why."""

    row: int
    detail: str


class ChunkOutcome(NamedTuple):
    """What an import's chunk did. With `stop_at_rejection` the rows before the first rejection are stored."""

    created: int
    updated: int
    rejections: Sequence[RejectedRow]


class ItemStore(Protocol):
    """The store that handlers are given. Safe to call from any number of tasks of one event loop."""

    async def create(self, fields: ItemFields, idempotency: IdempotencyKey | None = None) -> Created:
        """Store a new item. ConflictError: the sku is taken. InvalidError: the key came with another body before."""

    async def create_batch(self, batch: Sequence[ItemFields]) -> list[Item]:
        """Store all items or none. ConflictError names every index whose sku is taken, in the store or in the batch."""

    async def import_chunk(
        self, rows: Sequence[ItemFields], *, is_upsert: bool, stop_at_rejection: bool
    ) -> ChunkOutcome:
        """Store a chunk of an import in one transaction; with `is_upsert` a row whose sku exists replaces that item."""

    async def get(self, item_id: str) -> Item:
        """The item. NotFoundError."""

    async def find(self, query: ItemQuery) -> Page:
        """One page. An item that is there throughout a walk is seen exactly once, whatever else comes and goes."""

    async def update(
        self, item_id: str, edit: Callable[[Item], ItemFields], expected: frozenset[int] | None = None
    ) -> Item:
        """Replace the fields by what `edit` makes of them, the version one higher, atomically.

        `expected` holds the versions that the caller accepts (None: any). NotFoundError, PreconditionFailedError,
        ConflictError: the sku is taken.
        """

    async def delete(self, item_id: str, expected: frozenset[int] | None = None) -> None:
        """Remove the item. NotFoundError, PreconditionFailedError."""

    def export(self, query: ItemQuery) -> AsyncGenerator[Sequence[Item], None]:
        """All matches in order, in chunks, from one snapshot; `limit`, `after`, `has_total` are not looked at.

        The snapshot is held until the iterator is closed: close it (`contextlib.aclosing`).
        """

    async def count(self) -> int:
        """How many items are stored."""

    async def ping(self) -> None:
        """Return when the store can read and write; StoreUnavailableError otherwise."""

    async def close(self) -> None:
        """Finish what was accepted and let go of the database."""
