"""What an item is. Each field is declared once, here; every other form of an item is derived from it.

A new optional field needs one annotated member of `ItemFields` and one migration for each store that adds its column
(and, for `Filter.ALL` or `is_searched`, the index: a table `item_<name>`, or the words rebuilt with the field).
"""

from typing import Annotated, Final

import msgspec

from devops_api.items.fields import Field, FieldFilter, Filter, list_fields, list_filters
from devops_api.items.kinds import Hundredths, Line, Tags, Text


class ItemFields(msgspec.Struct, frozen=True, gc=False):
    """What clients determine about an item, validated and normalised. Stores rely on the `sku` being unique."""

    name: Annotated[str, Line(longest=200, is_sorted=True, is_searched=True)]
    price: Annotated[int, Hundredths(most=9_999_999_999_99, is_sorted=True, filter=Filter.RANGE)]
    sku: Annotated[str | None, Line(longest=64, filter=Filter.EQUAL, note="Unique among items.")] = None
    description: Annotated[str | None, Text(longest=2_000, is_searched=True)] = None
    tags: Annotated[tuple[str, ...], Tags(most=20, filter=Filter.ALL)] = ()


class Item(msgspec.Struct, frozen=True, gc=False):
    """An item as it is stored: times in milliseconds since 1970 UTC, `version` from 1, one higher with each change."""

    id: str
    fields: ItemFields
    created_at_ms: int
    updated_at_ms: int
    version: int


FIELDS: Final[tuple[Field, ...]] = list_fields(ItemFields)
FIELD_NAMES: Final[tuple[str, ...]] = ItemFields.__struct_fields__
SERVER_FIELDS: Final = ("id", "created_at", "updated_at", "version")
SORT_KEYS: Final = ("created_at", *(field.name for field in FIELDS if field.kind.is_sorted))
SEARCHED: Final = tuple(field.name for field in FIELDS if field.kind.is_searched)
FILTERS: Final[dict[str, FieldFilter]] = list_filters(FIELDS)
