"""What the page `/docs` has about items besides their operations: first steps, conventions, limits and fields."""

from html import escape
from typing import Final

from devops_api.apidocs.guide import Command, Convention, Guide, Limit, Section
from devops_api.apidocs.markup import format_size, render_table, render_text
from devops_api.errors import InvalidError, TooLargeError
from devops_api.items.bulk.records import RECORD_BYTES_MAX
from devops_api.items.handlers import BATCH_BYTES_MAX, BATCH_ITEMS_MAX
from devops_api.items.schema import create_schemas
from devops_api.items.settings import Settings

_COMMANDS: Final = (
    Command(
        "Create an item",
        "curl -i {base_url}/items -H 'Content-Type: application/json' \\\n"
        """  -d '{"name": "Test", "price": 9.99}'""",
    ),
    Command("Search for a word in the name", "curl '{base_url}/items?q=test'"),
    Command("Export all items", "curl '{base_url}/items/export?format=csv' -o items.csv"),
)
_CONVENTIONS: Final = (
    Convention(
        "Retries",
        "Send `Idempotency-Key` when you create an item. For 24 hours, a repeated request with the same key and body "
        "gets the same response and creates nothing, even if both are sent at once or the service restarts in between. "
        "`PUT`, `DELETE` and imports with `upsert=sku` can be repeated without a key.",
    ),
    Convention(
        "Concurrent changes",
        "Every item has an `ETag`. Send it as `If-Match` when you change the item: if another client has changed the "
        "item since you read it, the response is 412 and nothing is overwritten.",
    ),
    Convention(
        "Pages",
        "Send `next` of each page as `cursor` of the next request, until `next` is null. A cursor is valid only with "
        "the same sort and filters. An item that is not changed or deleted meanwhile appears on exactly one page.",
    ),
)


def create_guide(settings: Settings) -> Guide:
    """Create the guide, with the limits in force."""
    return Guide(
        title="The item API",
        summary="An async item service with metrics, traces, logs and dashboards.",
        lead="Create, find, change, import and export items over HTTP and JSON. A change is on disk before its "
        "response is sent. Error responses explain how to correct the request.",
        commands=_COMMANDS,
        conventions=_CONVENTIONS,
        limits=_list_limits(settings),
        sections=(
            Section("item", "Fields of an item", _render_fields(), schemas=("NewItem", "NewItems", "ItemPatch")),
        ),
    )


def _list_limits(settings: Settings) -> list[Limit]:
    return [
        Limit(
            "Batch",
            f"{BATCH_ITEMS_MAX} items, {format_size(max(BATCH_BYTES_MAX, settings.max_body_bytes))}",
            (TooLargeError, InvalidError),
        ),
        Limit(
            "Import",
            f"{format_size(RECORD_BYTES_MAX)} per line; longer lines are rejected. Any number of lines",
        ),
        Limit("Duration of an export", f"{settings.export_timeout_s:g} s; then the response ends early"),
    ]


def _render_fields() -> str:
    schemas = create_schemas()
    new_item = schemas["NewItem"]
    rows = []
    for name, field in schemas["Item"]["properties"].items():
        types = field["type"] if isinstance(field["type"], list) else [field["type"]]
        set_by = "service"
        if name in new_item["properties"]:
            set_by = "client, required" if name in new_item["required"] else "client"
        rows.append(
            (
                f"<code>{escape(name)}</code>",
                escape(" or ".join(types)),
                set_by,
                render_text(field["description"]),
            )
        )
    return render_table(("Field", "Type", "Set by", "Rules"), rows)
