"""The operations on many items at once, with examples that hold for a store with only `SEED`."""

from collections.abc import Mapping
from typing import Final

from devops_api.errors import ConflictError, InvalidError, NotAcceptableError
from devops_api.http.bodies import JSON
from devops_api.http.operations import BODY_PROBLEMS, Example, Operation, Response
from devops_api.items.bulk.formats import CSV, NDJSON
from devops_api.items.errors import ImportStoppedError
from devops_api.items.examples import (
    BATCH_REJECTED,
    EXPORTED_CSV,
    EXPORTED_NDJSON,
    IMPORTED,
    create_item,
    create_problem,
)
from devops_api.items.handlers import BATCH_ITEMS_MAX
from devops_api.items.parameters import EXPORT_PARAMETERS, IMPORT_PARAMETERS

_GROUP: Final = "Many at once"
_LINES: Final[Mapping[str, str | None]] = {NDJSON.media_type: None, CSV.media_type: None}
_SECOND_INVALID: Final = '{"name": "Bulb", "price": 3}\n{"name": "Shade"}\n'

CREATE_BATCH: Final = Operation(
    "createBatch",
    _GROUP,
    f"Create up to {BATCH_ITEMS_MAX} items in one transaction",
    "Either all items are created or none: if one is invalid, nothing is stored and `errors` points at every error of "
    "every item. A `sku` that another item has, or that occurs twice in the batch, gets 409.",
    bodies={JSON: "NewItems"},
    responses=(Response(201, "The items, in the order of the request.", {JSON: "Items"}),),
    problems=(ConflictError, *BODY_PROBLEMS),
    examples=(
        Example(
            "two",
            "Two items",
            201,
            body=[{"name": "Bulb", "price": 3}, {"name": "Shade", "price": 12.5}],
            response={"items": [create_item("Bulb", 3, version=1), create_item("Shade", 12.5, version=1)]},
        ),
        Example(
            "one-invalid",
            "One invalid item",
            422,
            body=[{"name": "Bulb", "price": 3}, {"price": -1}],
            response=BATCH_REJECTED,
        ),
    ),
)
IMPORT_ITEMS: Final = Operation(
    "importItems",
    _GROUP,
    "Import items from a stream of any length",
    "The body is NDJSON with one item per line, or CSV with a header row and `tags` separated by spaces. Lines are "
    "stored in chunks while they arrive. However the import ends, every line up to `stored_through_line` was stored or "
    "rejected, and no later line was. With `upsert=sku`, an import is safe to repeat. Fields that the service sets, "
    "such as `id`, are ignored, so an export can be imported.",
    IMPORT_PARAMETERS,
    _LINES,
    (Response(200, "The report of the import.", {JSON: "ImportReport"}),),
    (*BODY_PROBLEMS, ImportStoppedError),
    (
        Example(
            "lines",
            "Two lines of NDJSON, the second invalid",
            200,
            media_type=NDJSON.media_type,
            body=_SECOND_INVALID,
            response=IMPORTED,
        ),
        Example(
            "table",
            "CSV that is safe to repeat",
            200,
            query={"upsert": "sku"},
            media_type=CSV.media_type,
            body="sku,name,price,tags\nLAMP-1,Desk lamp,24.9,home light\nBULB-1,Bulb,3,\n",
            response={"created": 1, "updated": 1, "rejected": 0, "stored_through_line": 3, "errors": []},
        ),
        Example(
            "abort",
            "Stop at the first invalid line",
            422,
            query={"on_error": "abort"},
            media_type=NDJSON.media_type,
            body=_SECOND_INVALID,
            response=create_problem(
                ImportStoppedError,
                "/items/import",
                "The import stopped at its first invalid line, as requested",
                **IMPORTED | {"stored_through_line": 1},
            ),
        ),
    ),
)
EXPORT_ITEMS: Final = Operation(
    "exportItems",
    _GROUP,
    "Export all matching items",
    "Streams a snapshot of the items; later changes do not appear in it. `format`, or else `Accept`, selects NDJSON or "
    "CSV. If the connection closes before the last chunk, the export is incomplete.",
    EXPORT_PARAMETERS,
    responses=(Response(200, "The items.", _LINES, ("Content-Disposition",)),),
    problems=(NotAcceptableError, InvalidError),
    examples=(
        Example(
            "lines",
            "NDJSON in the order of creation",
            200,
            query={"sort": "created_at"},
            media_type=NDJSON.media_type,
            response=EXPORTED_NDJSON,
        ),
        Example("table", "CSV", 200, query={"format": "csv"}, media_type=CSV.media_type, response=EXPORTED_CSV),
    ),
)
