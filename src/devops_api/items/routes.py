"""Every route of the items, on one screen."""

from typing import Final

from devops_api.errors import ProblemError
from devops_api.http.routes import STREAM, Route
from devops_api.items import operations
from devops_api.items.bulk import operations as bulk_operations
from devops_api.items.bulk.handlers import BulkHandlers
from devops_api.items.errors import ImportStoppedError
from devops_api.items.handlers import ItemHandlers
from devops_api.items.metrics import ITEMS_REJECTED
from devops_api.telemetry.pipeline import Telemetry

# The reasons of `items.rejected` by the status of the problem; other rejections do not concern the content.
_REASONS: Final = {400: "malformed", 422: "invalid", 409: "conflict", 412: "precondition", 413: "too_large"}


def create_routes(items: ItemHandlers, bulk: BulkHandlers, telemetry: Telemetry) -> list[Route]:
    """Return the routes, the busiest path first. Rejected requests are counted by reason."""
    rejected = telemetry.counter(ITEMS_REJECTED)

    def count_rejection(problem: ProblemError) -> None:
        # An import counts its rejected lines itself.
        if problem.status in _REASONS and not isinstance(problem, ImportStoppedError):
            rejected.add(1, _REASONS[problem.status])

    routes = [
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
    return [route._replace(on_rejected=count_rejection) for route in routes]
