"""The parameters of the item operations; those that filter are derived from the fields."""

from typing import Final

from devops_api.http.operations import Parameter, Schema
from devops_api.items.bulk.formats import FORMATS
from devops_api.items.model import FILTERS, SEARCHED, SORT_KEYS
from devops_api.items.store.protocol import ItemQuery

LIMIT_DEFAULT: Final = ItemQuery().limit
LIMIT_MAX: Final = 200
TEXT_MAX: Final = 200
SORTS: Final = tuple(sign + key for key in SORT_KEYS for sign in ("", "-"))


def _query(name: str, schema: Schema, description: str) -> Parameter:
    return Parameter(name, "query", schema, description)


ITEM_ID: Final = Parameter("id", "path", {"type": "string", "format": "uuid"}, "The item's id.")
_MATCHING: Final = (
    _query(
        "sort",
        {"enum": list(SORTS), "default": "-created_at"},
        "The sort order; `-` means descending. Text sorts by code point.",
    ),
    _query(
        "q",
        {"type": "string", "maxLength": TEXT_MAX},
        f"Words to find in {' and '.join(SEARCHED)}. All must match; each matches as a prefix and ignores case and "
        "accents.",
    ),
    *(_query(entry.parameter, entry.schema, entry.description) for entry in FILTERS.values()),
)
LIST_PARAMETERS: Final[tuple[Parameter, ...]] = (
    _query(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
        "The number of items per page.",
    ),
    _query(
        "cursor",
        {"type": "string", "format": "cursor"},
        "`next` of the previous page, unchanged. Send the same sort and filters.",
    ),
    *_MATCHING,
    _query("count", {"enum": ["exact"]}, "Adds `total`, the number of all matching items."),
)
EXPORT_PARAMETERS: Final[tuple[Parameter, ...]] = (
    _query("format", {"enum": list(FORMATS)}, "The format; takes precedence over `Accept`."),
    *_MATCHING,
)
IMPORT_PARAMETERS: Final[tuple[Parameter, ...]] = (
    _query("upsert", {"enum": ["sku"]}, "A line whose sku exists replaces that item. Every line must have a sku."),
    _query(
        "on_error",
        {"enum": ["skip", "abort"], "default": "skip"},
        "How to handle an invalid line: `skip` rejects and counts it, `abort` stops the import.",
    ),
)
