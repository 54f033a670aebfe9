"""Every route of the items, on one screen."""

from devops_api.http.routes import STREAM, Route
from devops_api.items import operations
from devops_api.items.bulk import operations as bulk_operations
from devops_api.items.bulk.handlers import BulkHandlers
from devops_api.items.handlers import ItemHandlers


def create_routes(items: ItemHandlers, bulk: BulkHandlers) -> list[Route]:
    """Return the routes, the busiest path first."""
    return [
        Route("GET", "/items/{id}", "read", items.get_item, operations.GET_ITEM),
        Route("PUT", "/items/{id}", "write", items.replace_item, operations.REPLACE_ITEM),
        Route("PATCH", "/items/{id}", "write", items.patch_item, operations.PATCH_ITEM),
        Route("DELETE", "/items/{id}", "write", items.delete_item, operations.DELETE_ITEM),
        Route("GET", "/items", "read", items.list_items, operations.LIST_ITEMS),
        Route("POST", "/items", "write", items.create_item, operations.CREATE_ITEM),
        Route("POST", "/items/batch", "write", items.create_batch, bulk_operations.CREATE_BATCH),
        Route("POST", "/items/import", "write", bulk.import_items, bulk_operations.IMPORT_ITEMS, STREAM),
        Route("GET", "/items/export", "read", bulk.export_items, bulk_operations.EXPORT_ITEMS, STREAM),
    ]
