"""Operations of the API as data: what the OpenAPI document and the page `/docs` contain about a route.

A leaf that imports only `errors`. Method, path and scope of an operation stand in its route (`http/routes.py`). The
chassis' own operations are below; a domain declares its operations in the same way.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from devops_api import __version__
from devops_api.errors import (
    InvalidError,
    ProblemError,
    SlowRequestError,
    TooLargeError,
    UnsupportedMediaTypeError,
)

Schema = dict[str, Any]


class Parameter(NamedTuple):
    """A parameter of the path, of the query string or in a header; those of the path are required."""

    name: str
    location: Literal["path", "query", "header"]
    schema: Schema
    description: str


class Response(NamedTuple):
    """A response that is not a problem.

    `bodies` maps media types to names of component schemas, or to None for text and free-form JSON.
    """

    status: int
    description: str
    bodies: Mapping[str, str | None] = {}
    headers: Sequence[str] = ()


class Example(NamedTuple):
    """A request and its response. `body` and `response` are JSON values, or text; None means no body is shown."""

    name: str
    summary: str
    status: int
    path: Mapping[str, str] = {}
    query: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    media_type: str | None = None
    body: Any = None
    response: Any = None

    @property
    def parameters(self) -> dict[str, Any]:
        """Values of the path, of the query string and of headers, by name."""
        return {**self.path, **self.query, **self.headers}


class Operation(NamedTuple):
    """What one route does, for readers. Descriptions may contain `code`.

    `bodies` are as those of a `Response`. The first response is that of success.
    """

    id: str
    group: str
    summary: str
    description: str
    parameters: Sequence[Parameter] = ()
    bodies: Mapping[str, str | None] = {}
    responses: Sequence[Response] = ()
    problems: Sequence[type[ProblemError]] = ()
    examples: Sequence[Example] = ()


IDEMPOTENCY_KEY_MAX: Final = 255
BODY_PROBLEMS: Final = (SlowRequestError, TooLargeError, UnsupportedMediaTypeError, InvalidError)  # of reading a body

_ENTITY_TAGS: Final = r'^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$'
IF_MATCH: Final = Parameter(
    "If-Match",
    "header",
    {"type": "string", "format": "entity-tags", "pattern": _ENTITY_TAGS},
    "The `ETag` of the version to change. If the current version has another one, the response is 412.",
)
IF_NONE_MATCH: Final = Parameter(
    "If-None-Match",
    "header",
    {"type": "string"},
    "The `ETag` of an earlier response. If it is still current, the response is 304 without a body.",
)
IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    "header",
    {
        "type": "string",
        "format": "idempotency-key",
        "maxLength": IDEMPOTENCY_KEY_MAX,
        "pattern": "^[!-~]([ -~]*[!-~])?$",
    },
    "A unique key that you choose for this request. Repeating the request with the same key has no further effect.",
)

_JSON: Final = "application/json"
_STATUS: Final = {_JSON: "Status"}
_PLAN: Final = {_JSON: "FaultPlan"}
_NO_FAULTS: Final = {"error_ratio": 0.0, "latency_ms": 0.0, "route": None}

HEALTH: Final = Operation(
    "getHealth",
    "Probes",
    "Check the health",
    "The status is 200 while every check passes, even while the service drains, and 503 if a check fails.",
    responses=(
        Response(200, "Every check passes.", {_JSON: "Health"}),
        Response(503, "A check fails.", {_JSON: "Health"}),
    ),
    examples=(
        Example(
            "healthy",
            "Every check passes",
            200,
            response={
                "status": "ok",
                "version": __version__,
                "checks": {"store": {"status": "ok", "duration_ms": 0.2}},
            },
        ),
    ),
)
LIVENESS: Final = Operation(
    "getLiveness",
    "Probes",
    "Check that the process is alive",
    "The status is 200 while the event loop runs.",
    responses=(Response(200, "The process is alive.", _STATUS),),
    examples=(Example("alive", "The process is alive", 200, response={"status": "ok"}),),
)
READINESS: Final = Operation(
    "getReadiness",
    "Probes",
    "Check that the service is ready",
    "The status is 503 while a check fails and while the service drains.",
    responses=(
        Response(200, "The service accepts requests.", _STATUS),
        Response(503, "Send requests to another instance.", _STATUS),
    ),
    examples=(Example("ready", "The service accepts requests", 200, response={"status": "ok"}),),
)
METRICS: Final = Operation(
    "getMetrics",
    "Probes",
    "Get all metrics",
    "`Accept` selects the Prometheus text format or OpenMetrics with exemplars; `Accept-Encoding` selects gzip.",
    responses=(Response(200, "Every metric.", {"text/plain": None, "application/openmetrics-text": None}),),
    examples=(Example("text", "The text that Prometheus scrapes", 200),),
)
GET_FAULTS: Final = Operation(
    "getFaults",
    "Practice",
    "Get the fault plan",
    "Returns the faults that are being injected.",
    responses=(Response(200, "The plan.", _PLAN),),
    examples=(Example("none", "No faults", 200, response=_NO_FAULTS),),
)
PUT_FAULTS: Final = Operation(
    "putFaults",
    "Practice",
    "Inject faults",
    "Delays requests, and fails a share of them with 500. `route` limits this to one path template; without it, "
    "faults are injected everywhere except into probes, documents and `/faults`.",
    bodies=_PLAN,
    responses=(Response(200, "The plan.", _PLAN),),
    problems=BODY_PROBLEMS,
    examples=(
        Example(
            "slow",
            "Delay every request by 50 ms",
            200,
            body={"latency_ms": 50},
            response=_NO_FAULTS | {"latency_ms": 50.0},
        ),
    ),
)
DELETE_FAULTS: Final = Operation(
    "deleteFaults",
    "Practice",
    "Stop injecting faults",
    "Removes the plan.",
    responses=(
        Response(
            204,
            "No faults are injected.",
        ),
    ),
    examples=(Example("end", "Remove the plan", 204),),
)
