"""The parameters of the item operations."""

from typing import Final

from devops_api.http.operations import Parameter, Schema
from devops_api.items.bulk.handlers import FORMATS
from devops_api.items.model import TAGS_MAX
from devops_api.items.query import LIMIT_DEFAULT, LIMIT_MAX, SORTS, TEXT_MAX
from devops_api.items.schema import ID, PRICE, TAG


def _query(name: str, schema: Schema, description: str) -> Parameter:
    return Parameter(name, "query", schema, description)


ITEM_ID: Final = Parameter("id", "path", ID, "The item's id.")
_FILTERS: Final = (
    _query(
        "sort",
        {"enum": list(SORTS), "default": "-created_at"},
        "The order; `-` means descending. Names sort by code point.",
    ),
    _query(
        "q",
        {"type": "string", "maxLength": TEXT_MAX},
        "Words to find in name and description. Each matches as a prefix, without regard to case and accents; all "
        "must match.",
    ),
    _query("tag", {"type": "array", "items": TAG, "maxItems": TAGS_MAX}, "A tag. Repeat it to require several tags."),
    _query("min_price", PRICE, "The lowest price, inclusive."),
    _query("max_price", PRICE, "The highest price, inclusive."),
    _query("sku", {"type": "string"}, "The sku of the item."),
)
LIST_PARAMETERS: Final = (
    _query(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
        "The number of items per page.",
    ),
    _query(
        "cursor",
        {"type": "string", "format": "cursor"},
        "`next` of the previous page, unchanged. The sort and the filters must be the same.",
    ),
    *_FILTERS,
    _query("count", {"enum": ["exact"]}, "Adds `total`, the number of all matching items."),
)
EXPORT_PARAMETERS: Final = (
    _query("format", {"enum": list(FORMATS)}, "The format; takes precedence over `Accept`."),
    *_FILTERS,
)
IMPORT_PARAMETERS: Final = (
    _query("upsert", {"enum": ["sku"]}, "A line whose sku exists replaces that item. Every line must have a sku."),
    _query(
        "on_error",
        {"enum": ["skip", "abort"], "default": "skip"},
        "What an invalid line does: `skip` leaves it out and counts it, `abort` stops the import.",
    ),
)
