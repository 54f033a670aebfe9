"""Every call of the service as data: what it takes, what it answers, and examples that hold for `SEED`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from devops_api import __version__
from devops_api.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    MalformedError,
    NotAcceptableError,
    NotFoundError,
    PreconditionFailedError,
    ProblemError,
    SlowRequestError,
    TimedOutError,
    TooLargeError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from devops_api.http.bodies import JSON, MERGE_PATCH
from devops_api.items.bulk.imports import CSV, NDJSON
from devops_api.items.errors import ImportStoppedError
from devops_api.items.examples import (
    BATCH_REFUSED,
    EXAMPLE_ID,
    EXPORTED_CSV,
    EXPORTED_NDJSON,
    IMPORTED,
    SEED,
    SEEDED,
    UNKNOWN_ID,
    Example,
    problem,
    replaced,
)
from devops_api.items.handlers import BATCH_ITEMS_MAX
from devops_api.items.query import FILTER_PARAMETERS, LIST_PARAMETERS
from devops_api.settings.tokens import Scope

Problems = Sequence[type[ProblemError]]

_BODY: Final[Problems] = (SlowRequestError, TooLargeError, UnsupportedMediaTypeError, InvalidError)
_CHANGE: Final[Problems] = (NotFoundError, PreconditionFailedError)
_ADMITTED: Final[Problems] = (UnavailableError, TimedOutError)
_GUARDED: Final[Problems] = (UnauthorizedError, ForbiddenError)


class Reply(NamedTuple):
    """A reply that is no problem: its bodies by media type (a schema's name, or None for text), its headers."""

    status: int
    description: str
    bodies: Mapping[str, str | None] = {}
    headers: Sequence[str] = ()


class Operation(NamedTuple):
    """One method of one path. `parameters` and headers are named; `bodies` as those of a reply."""

    method: str
    path: str
    name: str
    group: str
    summary: str
    description: str
    scope: Scope | None = None
    parameters: Sequence[str] = ()
    bodies: Mapping[str, str | None] = {}
    replies: Sequence[Reply] = ()
    problems: Problems = ()
    examples: Sequence[Example] = ()

    @property
    def every_problem(self) -> list[type[ProblemError]]:
        """What this call may be refused with, those of every guarded and admitted call among it."""
        return [
            MalformedError,
            *self.problems,
            *(_GUARDED if self.scope else ()),
            *(_ADMITTED if self.scope else ()),
        ]


_ITEM: Final = {JSON: "Item"}
_NEW: Final = {JSON: "NewItem"}
_LINES: Final[Mapping[str, str | None]] = {NDJSON: None, CSV: None}

_ITEMS: Final = (
    Operation(
        "POST",
        "/items",
        "createItem",
        "Items",
        "Create an item",
        "The reply leaves when the item is on disk. With `Idempotency-Key` the same key and body give the same reply "
        "again for 24 hours, marked `Idempotency-Replayed: true`; the same key with another body is refused.",
        "write",
        ("Idempotency-Key",),
        _NEW,
        (Reply(201, "The item.", _ITEM, ("Location", "ETag", "Idempotency-Replayed")),),
        (ConflictError, *_BODY),
        (
            Example("smallest", "A name and a price", 201, body={"name": "Test", "price": 9.99}, reply=SEEDED | {
                "name": "Test", "price": 9.99, "sku": None, "description": None, "tags": [],
            }),
            Example("whole", "Every field, safe to repeat", 201, headers={"Idempotency-Key": "9f1c6a52-lamp"},
                    body=SEED | {"name": "Floor lamp", "sku": "LAMP-2", "price": 129},
                    reply=SEEDED | {"name": "Floor lamp", "sku": "LAMP-2", "price": 129}),
            Example("every-fault", "Everything that is wrong is named at once", 422,
                    body={"name": " ", "price": 1.234, "colour": "red"},
                    reply=problem(InvalidError, "/items", "3 errors were found", errors=[
                        {"pointer": "/name", "detail": "must be 1 to 200 characters after trimming, not 0"},
                        {"pointer": "/price", "detail": "must be a whole number of hundredths"},
                        {"pointer": "/colour",
                         "detail": "is not a field of an item; these are: name, price, sku, description, tags"},
                    ])),
            Example("taken", "A sku belongs to one item", 409, body={"name": "Copy", "price": 1, "sku": "LAMP-1"},
                    reply=problem(ConflictError, "/items", "Another item has this sku",
                                  errors=[{"pointer": "/sku", "detail": "is taken by another item"}])),
        ),
    ),
    Operation(
        "GET",
        "/items",
        "listItems",
        "Items",
        "List, filter, search",
        "One page. Follow `next`, or the `Link` header, to the end: an item that is there throughout is seen exactly "
        "once, whatever others insert and delete meanwhile. All filters must match.",
        "read",
        LIST_PARAMETERS,
        replies=(Reply(200, "A page.", {JSON: "Page"}, ("Link",)),),
        problems=(InvalidError,),
        examples=(
            Example("newest", "The newest two", 200, query={"limit": 2}, reply={"items": [SEEDED], "next": None}),
            Example("search", "Lamps up to 100, the cheapest first, counted", 200,
                    query={"q": "lamp", "tag": ["light"], "max_price": 100, "sort": "price", "count": "exact"},
                    reply={"items": [SEEDED], "next": None, "total": 1}),
            Example("limit", "A parameter out of range", 422, query={"limit": 500},
                    reply=problem(InvalidError, "/items", "1 error was found", errors=[
                        {"parameter": "limit", "detail": "must be a whole number, 1 to 200"}])),
        ),
    ),
    Operation(
        "GET",
        "/items/{id}",
        "getItem",
        "Items",
        "Get an item",
        "The `ETag` is the item's version; sent back as `If-None-Match` it saves the body.",
        "read",
        ("id", "If-None-Match"),
        replies=(
            Reply(200, "The item.", _ITEM, ("ETag",)),
            Reply(304, "The version that you have is the present one.", headers=("ETag",)),
        ),
        problems=(NotFoundError,),
        examples=(
            Example("found", "By its id", 200, id=EXAMPLE_ID, reply=SEEDED),
            Example("unchanged", "Only if it has changed", 304, id=EXAMPLE_ID, headers={"If-None-Match": '"1"'}),
            Example("unknown", "No such item", 404, id=UNKNOWN_ID,
                    reply=problem(NotFoundError, f"/items/{UNKNOWN_ID}", "There is no such item")),
        ),
    ),
    Operation(
        "PUT",
        "/items/{id}",
        "replaceItem",
        "Items",
        "Replace an item",
        "Every field is replaced; those left out get their defaults. With `If-Match` of two writers exactly one wins.",
        "write",
        ("id", "If-Match"),
        _NEW,
        (Reply(200, "The item as it is now.", _ITEM, ("ETag",)),),
        (*_CHANGE, ConflictError, *_BODY),
        (
            Example("replace", "If it is still the version that was read", 200, id=EXAMPLE_ID,
                    headers={"If-Match": '"1"'}, body={"name": "Desk lamp", "price": 19.5}, reply=replaced()),
            Example("outdated", "Somebody was faster", 412, id=EXAMPLE_ID, headers={"If-Match": '"7"'},
                    body={"name": "Desk lamp", "price": 19.5},
                    reply=problem(PreconditionFailedError, f"/items/{EXAMPLE_ID}", "The item is at version 1")),
        ),
    ),
    Operation(
        "PATCH",
        "/items/{id}",
        "patchItem",
        "Items",
        "Change some fields",
        "A JSON merge patch (RFC 7396): what is absent stays, `null` removes `sku`, `description` or `tags`.",
        "write",
        ("id", "If-Match"),
        {MERGE_PATCH: "ItemPatch", JSON: "ItemPatch"},
        (Reply(200, "The item as it is now.", _ITEM, ("ETag",)),),
        (*_CHANGE, ConflictError, *_BODY),
        (
            Example("reprice", "Another price, no description", 200, id=EXAMPLE_ID,
                    body={"price": 19.5, "description": None},
                    reply=SEEDED | {"price": 19.5, "description": None, "version": 2}),
        ),
    ),
    Operation(
        "DELETE",
        "/items/{id}",
        "deleteItem",
        "Items",
        "Delete an item",
        "With `If-Match` only if it is still the version that was read.",
        "write",
        ("id", "If-Match"),
        replies=(Reply(204, "It is gone."),),
        problems=_CHANGE,
        examples=(Example("delete", "If it is still the version that was read", 204, id=EXAMPLE_ID,
                          headers={"If-Match": '"1"'}),),
    ),
)  # fmt: skip

_MANY: Final = (
    Operation(
        "POST",
        "/items/batch",
        "createBatch",
        "Many at once",
        f"Create up to {BATCH_ITEMS_MAX} items, all or none",
        "One transaction: a bad element stores nothing, and every bad one is named.",
        "write",
        bodies={JSON: "NewItems"},
        replies=(Reply(201, "The items, in order.", {JSON: "Items"}),),
        problems=(ConflictError, *_BODY),
        examples=(
            Example("two", "Two items", 201, body=[{"name": "Bulb", "price": 3}, {"name": "Shade", "price": 12.5}],
                    reply={"items": [replaced(name="Bulb", price=3, version=1),
                                     replaced(name="Shade", price=12.5, version=1)]}),
            Example("refused", "One bad element", 422, body=[{"name": "Bulb", "price": 3}, {"price": -1}],
                    reply=BATCH_REFUSED),
        ),
    ),
    Operation(
        "POST",
        "/items/import",
        "importItems",
        "Many at once",
        "Import a stream of any length",
        "NDJSON, or CSV with a header and `tags` separated by blanks. Stored chunk by chunk while it arrives; "
        "`stored_through_line` says how far, whatever ended it. With `upsert=sku` a repeat is safe. The fields that "
        "the service makes are passed over, so that an export can be imported.",
        "write",
        ("upsert", "on_error"),
        _LINES,
        (Reply(200, "What was done.", {JSON: "ImportReport"}),),
        (*_BODY, ImportStoppedError),
        (
            Example("lines", "Two lines, the second of which is bad", 200, media_type=NDJSON,
                    body='{"name": "Bulb", "price": 3}\n{"name": "Shade"}\n', reply=IMPORTED),
            Example("table", "CSV, safe to repeat", 200, query={"upsert": "sku"}, media_type=CSV,
                    body="sku,name,price,tags\nLAMP-1,Desk lamp,24.9,home light\nBULB-1,Bulb,3,\n",
                    reply={"created": 1, "updated": 1, "rejected": 0, "stored_through_line": 3, "errors": []}),
            Example("abort", "Stop at the first bad line", 422, query={"on_error": "abort"}, media_type=NDJSON,
                    body='{"name": "Bulb", "price": 3}\n{"name": "Shade"}\n',
                    reply=problem(ImportStoppedError, "/items/import",
                                  "The import stopped at its first bad line, as asked", **IMPORTED
                                  | {"stored_through_line": 1})),
        ),
    ),
    Operation(
        "GET",
        "/items/export",
        "exportItems",
        "Many at once",
        "Export everything that matches",
        "A stream from one snapshot, whatever is written meanwhile. NDJSON or CSV by `format`, else by `Accept`. "
        "A reply whose last chunk is missing broke off.",
        "read",
        ("format", *FILTER_PARAMETERS),
        replies=(Reply(200, "The items.", _LINES, ("Content-Disposition",)),),
        problems=(NotAcceptableError, InvalidError),
        examples=(
            Example("lines", "NDJSON, in the order of creation", 200, query={"sort": "created_at"},
                    reply=EXPORTED_NDJSON, media_type=NDJSON),
            Example("table", "CSV", 200, query={"format": "csv"}, reply=EXPORTED_CSV, media_type=CSV),
        ),
    ),
)  # fmt: skip

_STATUS: Final = {JSON: "Status"}
_PROBES: Final = (
    Operation(
        "GET", "/health", "getHealth", "Probes", "How it is",
        "200 while the service works, though it may be draining; 503 where a check fails.",
        replies=(Reply(200, "It works.", {JSON: "Health"}), Reply(503, "It does not.", {JSON: "Health"})),
        examples=(Example("well", "All is well", 200, reply={
            "status": "ok", "version": __version__, "checks": {"store": {"status": "ok", "duration_ms": 0.2}}}),),
    ),
    Operation(
        "GET", "/livez", "getLiveness", "Probes", "Whether it is alive", "The event loop turns.",
        replies=(Reply(200, "It is.", _STATUS),),
        examples=(Example("alive", "It is", 200, reply={"status": "ok"}),),
    ),
    Operation(
        "GET", "/readyz", "getReadiness", "Probes", "Whether requests are welcome",
        "503 while the store does not answer and while the service is draining.",
        replies=(Reply(200, "They are.", _STATUS), Reply(503, "They are not now.", _STATUS)),
        examples=(Example("ready", "They are", 200, reply={"status": "ok"}),),
    ),
)  # fmt: skip

METRICS: Final = Operation(
    "GET", "/metrics", "getMetrics", "Probes", "What it measured",
    "Prometheus' text, or OpenMetrics with exemplars, by `Accept`; gzip by `Accept-Encoding`.",
    replies=(Reply(200, "Every metric.", {"text/plain": None, "application/openmetrics-text": None}),),
    examples=(Example("text", "As Prometheus reads it", 200),),
)  # fmt: skip

_DOCUMENTS: Final = (
    Operation(
        "GET", "/openapi.json", "getOpenapi", "Documents", "This API for programs", "OpenAPI 3.1.",
        parameters=("If-None-Match",),
        replies=(Reply(200, "The document.", {JSON: None}, ("ETag",)), Reply(304, "You have it.", headers=("ETag",))),
        examples=(Example("document", "The document", 200),),
    ),
    Operation(
        "GET", "/docs", "getDocs", "Documents", "This API for people", "One page that needs nothing else.",
        parameters=("If-None-Match",),
        replies=(Reply(200, "It.", {"text/html": None}, ("ETag",)), Reply(304, "You have it.", headers=("ETag",))),
        examples=(Example("page", "The page", 200),),
    ),
)  # fmt: skip

_PLAN: Final = {JSON: "FaultPlan"}
_NO_PLAN: Final = {"error_ratio": 0.0, "latency_ms": 0.0, "route": None}
FAULTS: Final = (
    Operation(
        "GET", "/faults", "getFaults", "Practice", "What goes wrong on request", "The plan in force.", "read",
        replies=(Reply(200, "The plan.", _PLAN),),
        examples=(Example("none", "Nothing", 200, reply=_NO_PLAN),),
    ),
    Operation(
        "PUT", "/faults", "putFaults", "Practice", "Make requests fail or slow",
        "A share of requests is answered 500, each delayed first; on one route, or on all of /items.", "write",
        bodies=_PLAN, replies=(Reply(200, "The plan.", _PLAN),), problems=_BODY,
        examples=(Example("slow", "Every list 50 ms later", 200, body={"latency_ms": 50, "route": "/items"},
                          reply=_NO_PLAN | {"latency_ms": 50.0, "route": "/items"}),),
    ),
    Operation(
        "DELETE", "/faults", "deleteFaults", "Practice", "End it", "Nothing is made to go wrong any more.", "write",
        replies=(Reply(204, "It is over."),),
        examples=(Example("end", "End it", 204),),
    ),
)  # fmt: skip


def list_calls(*, has_metrics: bool, has_faults: bool) -> list[Operation]:
    """The calls that a service answers, as it is set up."""
    metrics: Sequence[Operation] = (METRICS,) if has_metrics else ()
    return [*_ITEMS, *_MANY, *_PROBES, *metrics, *_DOCUMENTS, *(FAULTS if has_faults else ())]


def values_of(example: Example) -> dict[str, Any]:
    """Every parameter and header of an example, by name."""
    return ({"id": example.id} if example.id else {}) | dict(example.query) | dict(example.headers)
