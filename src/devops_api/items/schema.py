"""JSON schemas of items, made from the types that decode requests and their limits."""

from typing import Final

from devops_api.apidocs.schema import COUNT, create_object, describe_struct, ref
from devops_api.http.operations import Schema
from devops_api.items.bulk.imports import ImportReport
from devops_api.items.decoding import FIELDS, SERVER_FIELDS, ItemBody
from devops_api.items.handlers import BATCH_ITEMS_MAX
from devops_api.items.model import DESCRIPTION_MAX, NAME_MAX, PRICE_MAX_HUNDREDTHS, SKU_MAX, TAG_PATTERN, TAGS_MAX

_CONTROL: Final = "\\u0000-\\u001f\\u007f-\\u009f"
_SPACE: Final = "\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
_TEXT: Final = "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f]*$"


def _create_line_pattern(most: int) -> str:
    """Match one line of 1 to `most` characters after trimming, which `maxLength` cannot express."""
    edge = f"[^{_CONTROL}{_SPACE}]"
    return f"^[{_SPACE}]*{edge}([^{_CONTROL}]{{0,{most - 2}}}{edge})?[{_SPACE}]*$"


TAG: Final[Schema] = {"type": "string", "pattern": f"^{TAG_PATTERN}$"}
PRICE: Final[Schema] = {"type": "number", "minimum": 0, "maximum": PRICE_MAX_HUNDREDTHS / 100, "multipleOf": 0.01}
TIME: Final[Schema] = {"type": "string", "format": "date-time"}
ID: Final[Schema] = {"type": "string", "format": "uuid"}

FIELD_RULES: Final[dict[str, Schema]] = {
    "name": {
        "pattern": _create_line_pattern(NAME_MAX),
        "description": f"1 to {NAME_MAX} characters after trimming, no control characters; stored as NFC.",
    },
    "price": PRICE
    | {"description": "0 to 9999999999.99 with at most two decimal places by value: 1.100 is valid, 1.101 is not."},
    "sku": {
        "pattern": _create_line_pattern(SKU_MAX),
        "description": f"1 to {SKU_MAX} characters after trimming, unique among items; stored as NFC.",
    },
    "description": {
        "maxLength": DESCRIPTION_MAX,
        "pattern": _TEXT,
        "description": f"Up to {DESCRIPTION_MAX} characters; line breaks and tabs are allowed; stored as NFC.",
    },
    "tags": {
        "items": TAG,
        "maxItems": TAGS_MAX,
        "uniqueItems": True,
        "description": f"Up to {TAGS_MAX} distinct tags of 1 to 50 characters from a-z, 0-9, - and _.",
    },
}
_SERVER_RULES: Final[dict[str, Schema]] = {
    "id": ID | {"description": "A UUIDv7 that the service generates."},
    "created_at": TIME | {"description": "RFC 3339, UTC, milliseconds."},
    "updated_at": TIME | {"description": "RFC 3339, UTC, milliseconds."},
    "version": {"type": "integer", "minimum": 1, "description": "1 for a new item; every change adds 1."},
}
_REJECTED_LINE: Final[Schema] = {
    "type": "object",
    "properties": {
        "line": {"type": "integer", "minimum": 1},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": ref("FieldError")},
    },
    "required": ["line", "detail"],
}


def create_schemas() -> dict[str, Schema]:
    """Create the component schemas of the domain, by name."""
    new_item = describe_struct(ItemBody, "The fields that a client sets.", FIELD_RULES)
    report = describe_struct(
        ImportReport,
        "The result of an import. `errors` describes the first 100 rejected lines; lines are counted from 1.",
        {name: COUNT if name != "errors" else {"items": _REJECTED_LINE} for name in ImportReport.__struct_fields__},
    )
    return {
        "NewItem": new_item,
        "ItemPatch": _create_patch(new_item),
        "Item": _create_item(new_item),
        "NewItems": {"type": "array", "minItems": 1, "maxItems": BATCH_ITEMS_MAX, "items": ref("NewItem")},
        "Items": create_object(items={"type": "array", "items": ref("Item")}),
        "Page": _create_page(),
        "ImportReport": report | {"required": list(ImportReport.__struct_fields__)},
    }


def _create_item(new_item: Schema) -> Schema:
    fields = {
        name: {key: value for key, value in field.items() if key not in {"default", "pattern"}}
        for name, field in new_item["properties"].items()
    }
    for name, most in (("name", NAME_MAX), ("sku", SKU_MAX)):
        fields[name] |= {"minLength": 1, "maxLength": most}
    order = ("id", *FIELDS, *SERVER_FIELDS[1:])
    return {
        "type": "object",
        "description": "A stored item.",
        "properties": {name: (fields | _SERVER_RULES)[name] for name in order},
        "required": list(order),
    }


def _create_patch(new_item: Schema) -> Schema:
    properties = {
        name: {key: value for key, value in field.items() if key != "default"}
        for name, field in new_item["properties"].items()
    }
    properties["tags"] = properties["tags"] | {"type": ["array", "null"]}
    return {
        "type": "object",
        "description": "A merge patch (RFC 7396): omitted fields do not change; null removes sku, description or tags.",
        "properties": properties,
        "additionalProperties": False,
    }


def _create_page() -> Schema:
    page = create_object(
        items={"type": "array", "items": ref("Item")},
        next={"type": ["string", "null"], "description": "The cursor of the next page; null on the last page."},
        total=COUNT | {"description": "The number of all matching items; only with count=exact."},
    )
    return page | {"required": ["items", "next"]}
