"""Bodies of the examples in the documents. They hold for a store that contains only `SEED`."""

from typing import Any, Final

import msgspec
import orjson

from devops_api.errors import InvalidError, ProblemError
from devops_api.http.problems import create_type
from devops_api.items.bulk.formats import CSV, NDJSON
from devops_api.items.decoding import decode_item
from devops_api.items.encoding import encode_item
from devops_api.items.model import Item

EXAMPLE_ID: Final = "019b7d2c-5e4e-7000-8a6b-3c5d7e9f1a2b"
UNKNOWN_ID: Final = "019b7d2c-5e4e-7fff-bfff-ffffffffffff"
_TIME_MS: Final = 1_767_323_045_678
SEED: Final[dict[str, Any]] = {
    "name": "Desk lamp",
    "price": 24.9,
    "sku": "LAMP-1",
    "description": "Warm light, brass foot",
    "tags": ["home", "light"],
}
_ITEM: Final = Item(
    id=EXAMPLE_ID,
    fields=decode_item(orjson.dumps(SEED)),
    created_at_ms=_TIME_MS,
    updated_at_ms=_TIME_MS,
    version=1,
)
SEEDED: Final[dict[str, Any]] = orjson.loads(encode_item(_ITEM))


def create_problem(problem: type[ProblemError], instance: str, detail: str, **members: Any) -> dict[str, Any]:
    """Create the problem document that the service returns."""
    return {
        "type": create_type(problem.title),
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "instance": instance,
        "request_id": "5f0c2b9e4d7a1c3800000001",
    } | members


def create_item(name: str = "Desk lamp", price: float = 19.5, version: int = 2) -> dict[str, Any]:
    """Create an item that was stored with only a name and a price."""
    fields = decode_item(orjson.dumps({"name": name, "price": price}))
    item = msgspec.structs.replace(_ITEM, fields=fields, version=version)
    created: dict[str, Any] = orjson.loads(encode_item(item))
    return created


BATCH_REJECTED: Final = create_problem(
    InvalidError,
    "/items/batch",
    "2 errors were found",
    errors=[
        {"pointer": "/1/name", "detail": "is required"},
        {"pointer": "/1/price", "detail": "must be 0 to 9999999999.99"},
    ],
)
IMPORTED: Final[dict[str, Any]] = {
    "created": 1,
    "updated": 0,
    "rejected": 1,
    "stored_through_line": 2,
    "errors": [{"line": 2, "detail": "1 error was found", "errors": [{"pointer": "/price", "detail": "is required"}]}],
}
EXPORTED_NDJSON: Final = NDJSON.encode([_ITEM]).decode()
EXPORTED_CSV: Final = (CSV.header + CSV.encode([_ITEM])).decode()
