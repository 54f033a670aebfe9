"""JSON schemas of items, derived from the fields."""

from typing import Any, Final

from devops_api.apidocs.schema import COUNT, create_object, describe_struct, ref
from devops_api.http.operations import Schema
from devops_api.items.bulk.imports import LINES_SHOWN, ImportReport
from devops_api.items.fields import Field
from devops_api.items.handlers import BATCH_ITEMS_MAX
from devops_api.items.model import FIELDS, SERVER_FIELDS

_TIME: Final[Schema] = {"type": "string", "format": "date-time", "description": "RFC 3339, UTC, milliseconds."}
_SERVER_FIELDS: Final[dict[str, Schema]] = {
    "id": {"type": "string", "format": "uuid", "description": "A UUIDv7 that the service generates."},
    "created_at": _TIME,
    "updated_at": _TIME,
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
    return {
        "NewItem": _create_new_item(),
        "ItemPatch": _create_patch(),
        "Item": _create_item(),
        "NewItems": {"type": "array", "minItems": 1, "maxItems": BATCH_ITEMS_MAX, "items": ref("NewItem")},
        "Items": create_object(items={"type": "array", "items": ref("Item")}),
        "Page": _create_page(),
        "ImportReport": _create_report(),
    }


def _create_new_item() -> Schema:
    return {
        "type": "object",
        "description": "The fields that a client sets.",
        "properties": {
            field.name: _describe(field, field.kind.create_input_schema(), is_nullable=field.is_nullable)
            | ({} if field.is_required else {"default": _create_default(field)})
            for field in FIELDS
        },
        "required": [field.name for field in FIELDS if field.is_required],
        "additionalProperties": False,
    }


def _create_patch() -> Schema:
    *others, last = [field.name for field in FIELDS if not field.is_required]
    return {
        "type": "object",
        "description": f"A merge patch (RFC 7396): omitted fields do not change; null removes {', '.join(others)} "
        f"or {last}.",
        "properties": {
            field.name: _describe(field, field.kind.create_input_schema(), is_nullable=not field.is_required)
            for field in FIELDS
        },
        "additionalProperties": False,
    }


def _create_item() -> Schema:
    fields = {
        field.name: _describe(field, field.kind.create_schema(), is_nullable=field.is_nullable) for field in FIELDS
    }
    everything = fields | _SERVER_FIELDS
    order = ("id", *fields, *SERVER_FIELDS[1:])
    properties = {name: everything[name] for name in order}
    return create_object(**properties) | {"description": "A stored item."}


def _create_page() -> Schema:
    page = create_object(
        items={"type": "array", "items": ref("Item")},
        next={"type": ["string", "null"], "description": "The cursor of the next page; null on the last page."},
        total=COUNT | {"description": "The number of all matching items; only with count=exact."},
    )
    return page | {"required": ["items", "next"]}


def _create_report() -> Schema:
    names = ImportReport.__struct_fields__
    return describe_struct(
        ImportReport,
        f"The result of an import. `errors` describes the first {LINES_SHOWN} rejected lines; lines are counted from "
        "1.",
        {name: COUNT if name != "errors" else {"items": _REJECTED_LINE} for name in names},
    ) | {"required": list(names)}


def _describe(field: Field, schema: Schema, *, is_nullable: bool) -> Schema:
    kind = [schema["type"], "null"] if is_nullable else schema["type"]
    return schema | {"type": kind, "description": field.description}


def _create_default(field: Field) -> Any:
    return list(field.default) if isinstance(field.default, tuple) else field.default
