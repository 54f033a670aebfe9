"""Every route of the items, on one screen."""

from typing import Any

from devops_api.http.routes import STREAM, Route
from devops_api.items.bulk.handlers import BulkHandlers
from devops_api.items.handlers import ItemHandlers
from devops_api.items.operations import list_calls


def create_routes(items: ItemHandlers, bulk: BulkHandlers) -> list[Route]:
    """Return the routes, the busiest path first."""
    operations: dict[Any, Any] = {
        (call.method, call.path): call for call in list_calls(has_metrics=False, has_faults=False)
    }
    table: list[Any] = [
        ("GET", "/items/{id}", "read", items.get_item),
        ("PUT", "/items/{id}", "write", items.replace_item),
        ("PATCH", "/items/{id}", "write", items.patch_item),
        ("DELETE", "/items/{id}", "write", items.delete_item),
        ("GET", "/items", "read", items.list_items),
        ("POST", "/items", "write", items.create_item),
        ("POST", "/items/batch", "write", items.create_batch),
        ("POST", "/items/import", "write", bulk.import_items, STREAM),
        ("GET", "/items/export", "read", bulk.export_items, STREAM),
    ]
    return [Route(*row[:4], operations[row[0], row[1]], *row[4:]) for row in table]
