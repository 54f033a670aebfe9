"""The items and problems that the examples of the documents show; they hold for a store with `SEED` alone in it."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from devops_api.errors import InvalidError, ProblemError
from devops_api.http.problems import create_type
from devops_api.items.bulk.exports import csv_header

EXAMPLE_ID: Final = "019b7d2c-5e4e-7000-8a6b-3c5d7e9f1a2b"
UNKNOWN_ID: Final = "019b7d2c-5e4e-7fff-bfff-ffffffffffff"
_TIME: Final = "2026-01-02T03:04:05.678Z"
SEED: Final[dict[str, Any]] = {
    "name": "Desk lamp",
    "price": 24.9,
    "sku": "LAMP-1",
    "description": "Warm light, brass foot",
    "tags": ["home", "light"],
}
SEEDED: Final[dict[str, Any]] = {"id": EXAMPLE_ID} | SEED | {"created_at": _TIME, "updated_at": _TIME, "version": 1}


class Example(NamedTuple):
    """A request and what it is answered: `status`, and the reply's body where it has one worth showing."""

    name: str
    summary: str
    status: int
    id: str | None = None
    query: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    media_type: str | None = None
    body: Any = None
    reply: Any = None


def problem(kind: type[ProblemError], instance: str, detail: str, **members: Any) -> dict[str, Any]:
    """A problem as it is answered."""
    return {
        "type": create_type(kind.title),
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": instance,
        "request_id": "5f0c2b9e4d7a1c3800000001",
    } | members


def replaced(name: str = "Desk lamp", price: float = 19.5, version: int = 2) -> dict[str, Any]:
    """An item of which only name and price were given."""
    return SEEDED | {"name": name, "price": price, "sku": None, "description": None, "tags": [], "version": version}


BATCH_REFUSED: Final = problem(
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
EXPORTED_NDJSON: Final = orjson.dumps(SEEDED).decode() + "\n"
EXPORTED_CSV: Final = (
    csv_header().decode()
    + f'{EXAMPLE_ID},Desk lamp,24.9,LAMP-1,"Warm light, brass foot",home light,{_TIME},{_TIME},1\r\n'
)
