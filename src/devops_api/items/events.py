"""The log events of the item service."""

from collections.abc import Mapping
from typing import Final

from devops_api.logs.events import Event

EVENTS: Final[Mapping[str, Event]] = {
    "item_created": Event("info", ("item_id",), "An item was created."),
    "item_updated": Event("info", ("item_id", "version"), "An item was replaced or patched."),
    "item_deleted": Event("info", ("item_id",), "An item was deleted."),
    "items_batch_created": Event("info", ("count",), "A batch was created."),
    "items_imported": Event(
        "info",
        ("created", "updated", "rejected", "stored_through_line", "is_complete"),
        "An import ended; is_complete: it was read to its end.",
    ),
    "items_exported": Event("info", ("count", "is_complete"), "An export ended; is_complete: it was sent to its end."),
}
