"""Query parameters are derived: their names and schemas are compared, so that none disappears unnoticed."""

from devops_api.http.operations import Parameter, Schema
from devops_api.items.parameters import EXPORT_PARAMETERS, LIST_PARAMETERS

PRICE: Schema = {"type": "number", "minimum": 0, "maximum": 9_999_999_999.99, "multipleOf": 0.01}
TAG: Schema = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,49}$"}
SORTS = ["created_at", "-created_at", "name", "-name", "price", "-price"]
MATCHING = [
    Parameter(
        "sort",
        "query",
        {"enum": SORTS, "default": "-created_at"},
        "The sort order; `-` means descending. Text sorts by code point.",
    ),
    Parameter(
        "q",
        "query",
        {"type": "string", "maxLength": 200},
        "Words to find in name and description. All must match; each matches as a prefix and ignores case and accents.",
    ),
    Parameter("min_price", "query", PRICE, "The lowest `price`, inclusive."),
    Parameter("max_price", "query", PRICE, "The highest `price`, inclusive."),
    Parameter("sku", "query", {"type": "string"}, "The `sku` of the item."),
    Parameter(
        "tag", "query", {"type": "array", "items": TAG, "maxItems": 20}, "A tag. Repeat it to require several tags."
    ),
]


def test_lists_and_exports_have_the_same_filters() -> None:
    assert [*LIST_PARAMETERS[2:-1]] == [*EXPORT_PARAMETERS[1:]] == MATCHING


def test_only_lists_have_pages_and_totals() -> None:
    assert [parameter.name for parameter in (*LIST_PARAMETERS[:2], LIST_PARAMETERS[-1])] == ["limit", "cursor", "count"]
    assert EXPORT_PARAMETERS[0].schema == {"enum": ["ndjson", "csv"]}
