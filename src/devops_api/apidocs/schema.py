"""JSON Schema of everything that is sent and received, made from the types that decode requests and their limits."""

from typing import Any, Final

import msgspec

from devops_api.errors import InjectedFaultError, InternalError, ProblemError
from devops_api.http.faults import FaultPlan
from devops_api.http.problems import create_type
from devops_api.items.bulk.imports import ImportReport
from devops_api.items.decoding import FIELDS, SERVER_FIELDS, ItemBody
from devops_api.items.handlers import BATCH_ITEMS_MAX
from devops_api.items.model import DESCRIPTION_MAX, NAME_MAX, PRICE_MAX_HUNDREDTHS, SKU_MAX, TAG_PATTERN, TAGS_MAX

Schema = dict[str, Any]
Kinds = tuple[type[ProblemError], ...]

_CONTROL: Final = "\\u0000-\\u001f\\u007f-\\u009f"
_SPACE: Final = "\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
_TEXT: Final = "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f]*$"


def _create_line_pattern(most: int) -> str:
    """One line of 1 to `most` characters after trimming, which a length alone cannot say."""
    edge = f"[^{_CONTROL}{_SPACE}]"
    return f"^[{_SPACE}]*{edge}([^{_CONTROL}]{{0,{most - 2}}}{edge})?[{_SPACE}]*$"


TAG: Final[Schema] = {"type": "string", "pattern": f"^{TAG_PATTERN}$"}
PRICE: Final[Schema] = {"type": "number", "minimum": 0, "maximum": PRICE_MAX_HUNDREDTHS / 100, "multipleOf": 0.01}
TIME: Final[Schema] = {"type": "string", "format": "date-time"}
ID: Final[Schema] = {"type": "string", "format": "uuid"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}

FIELD_RULES: Final[dict[str, Schema]] = {
    "name": {
        "pattern": _create_line_pattern(NAME_MAX),
        "description": f"1 to {NAME_MAX} characters after trimming, no control characters; kept as NFC.",
    },
    "price": PRICE
    | {"description": "0 to 9999999999.99, a whole number of hundredths by value: 1.100 is fine, 1.101 is not."},
    "sku": {
        "pattern": _create_line_pattern(SKU_MAX),
        "description": f"1 to {SKU_MAX} characters that no other item has; kept trimmed and as NFC.",
    },
    "description": {
        "maxLength": DESCRIPTION_MAX,
        "pattern": _TEXT,
        "description": f"Up to {DESCRIPTION_MAX} characters, lines and tabs among them; kept as NFC.",
    },
    "tags": {
        "items": TAG,
        "maxItems": TAGS_MAX,
        "uniqueItems": True,
        "description": f"Up to {TAGS_MAX} different tags of 1 to 50 characters of a-z, 0-9, - and _.",
    },
}
_SERVER_RULES: Final[dict[str, Schema]] = {
    "id": ID | {"description": "A UUIDv7, made by the service."},
    "created_at": TIME | {"description": "RFC 3339, UTC, milliseconds."},
    "updated_at": TIME | {"description": "RFC 3339, UTC, milliseconds."},
    "version": {"type": "integer", "minimum": 1, "description": "1 at first, one higher with every change."},
}
_POINTED: Final[Schema] = {
    "type": "object",
    "description": "One fault: where it is, by one of pointer, parameter and header, and what is wrong.",
    "properties": {
        "pointer": {"type": "string", "description": "A JSON pointer into the body; empty for the whole of it."},
        "parameter": {"type": "string", "description": "A parameter of the query string."},
        "header": {"type": "string"},
        "detail": {"type": "string"},
    },
    "required": ["detail"],
}
_PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "properties": {
        "type": {"type": "string", "description": "Where on the page /docs this kind is explained."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "The path that was asked for."},
        "request_id": {"type": "string", "description": "The log has the request under it."},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
    },
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
}
_CHECK: Final[Schema] = {
    "type": "object",
    "properties": {
        "status": {"enum": ["ok", "failing"]},
        "detail": {"type": "string"},
        "duration_ms": {"type": "number", "minimum": 0},
    },
    "required": ["status", "duration_ms"],
}
_REJECTED_LINE: Final[Schema] = {
    "type": "object",
    "properties": {
        "line": {"type": "integer", "minimum": 1},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
    },
    "required": ["line", "detail"],
}


def create_schemas() -> dict[str, Schema]:
    """The named schemas of the document."""
    decoded = msgspec.json.schema_components([ItemBody, ImportReport, FaultPlan])[1]
    new_item = _describe(decoded["ItemBody"], "What a client says of an item.", FIELD_RULES)
    report = _describe(
        decoded["ImportReport"],
        "What an import did; errors names the first 100 lines that were refused, lines counted from 1.",
        {name: COUNT if name != "errors" else {"items": _REJECTED_LINE} for name in ImportReport.__struct_fields__},
    )
    return {
        "NewItem": new_item,
        "ItemPatch": _create_patch(new_item),
        "Item": _create_item(new_item),
        "NewItems": {"type": "array", "minItems": 1, "maxItems": BATCH_ITEMS_MAX, "items": ref("NewItem")},
        "Items": _object(items={"type": "array", "items": ref("Item")}),
        "Page": _create_page(),
        "ImportReport": report | {"required": list(ImportReport.__struct_fields__)},
        "FieldError": _POINTED,
        "Problem": _PROBLEM,
        "Status": _object(status={"enum": ["ok", "failing", "draining"]}),
        "Health": _object(
            status={"enum": ["ok", "failing", "draining"]},
            version={"type": "string"},
            checks={"type": "object", "additionalProperties": _CHECK},
        ),
        "FaultPlan": _describe(decoded["FaultPlan"], "What is to go wrong.", {}),
    }


def create_problem_schema(kinds: Kinds) -> Schema:
    """The schema of the problems of one status."""
    titles = titles_of(kinds)
    return {
        "allOf": [
            ref("Problem"),
            {"properties": {"title": {"enum": titles}, "type": {"enum": [create_type(title) for title in titles]}}},
        ]
    }


def titles_of(kinds: Kinds) -> list[str]:
    """The titles of problems of one status; without a kind it is the failure that nobody raised on purpose."""
    return list(dict.fromkeys(kind.title for kind in kinds)) or [InternalError.title, InjectedFaultError.title]


def ref(name: str) -> Schema:
    """A reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def _describe(schema: Schema, description: str, rules: dict[str, Schema]) -> Schema:
    """A decoder's own schema with the rules that its type cannot say, and without the names of classes."""
    properties = {name: _refine(field, rules.get(name, {})) for name, field in schema["properties"].items()}
    kept = {key: value for key, value in schema.items() if key != "title" and value != []}
    return kept | {"description": description, "properties": properties}


def _refine(field: Schema, rules: Schema) -> Schema:
    """Lay rules over a field; one that may be null says so by its type, so that the rules bind the other one."""
    kinds = field.get("anyOf")
    if kinds:
        field = {"type": [kind["type"] for kind in kinds]} | {
            key: value for key, value in field.items() if key != "anyOf"
        }
    return field | rules


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
        "description": "An item as it is stored.",
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
        "description": "The fields to change (RFC 7396): what is absent stays, null removes sku, description or tags.",
        "properties": properties,
        "additionalProperties": False,
    }


def _create_page() -> Schema:
    page = _object(
        items={"type": "array", "items": ref("Item")},
        next={"type": ["string", "null"], "description": "The cursor of the following page; null behind the last."},
        total=COUNT | {"description": "All matches, with count=exact."},
    )
    return page | {"required": ["items", "next"]}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}
