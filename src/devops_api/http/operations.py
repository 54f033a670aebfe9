"""An operation as data: what it takes, what it returns, its problems and examples. The documents are made from it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from devops_api.errors import ProblemError

Schema = dict[str, Any]


class Parameter(NamedTuple):
    """A parameter of a path, a query string or the headers."""

    name: str
    location: Literal["path", "query", "header"]
    schema: Schema
    description: str


class Response(NamedTuple):
    """A response that is not a problem. `bodies` maps media types to the name of a schema, or to None for text."""

    status: int
    description: str
    bodies: Mapping[str, str | None] = {}
    headers: Sequence[str] = ()


class Example(NamedTuple):
    """A request, the status it gets, and the response's body if that is worth showing."""

    name: str
    summary: str
    status: int
    path: Mapping[str, str] = {}
    query: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    media_type: str | None = None
    body: Any = None
    response: Any = None


class Operation(NamedTuple):
    """One operation. `bodies` is like that of a response. The first response is the one of success."""

    id: str
    group: str
    summary: str
    description: str
    parameters: Sequence[Parameter] = ()
    bodies: Mapping[str, str | None] = {}
    responses: Sequence[Response] = ()
    problems: Sequence[type[ProblemError]] = ()
    examples: Sequence[Example] = ()


_JSON = "application/json"
_STATUS = {_JSON: "Status"}
_PLAN = {_JSON: "FaultPlan"}
HEALTH = Operation(
    "getHealth",
    "Probes",
    "Health",
    "200 while the service works, also while it drains; 503 if a check fails.",
    responses=(
        Response(200, "The service works.", {_JSON: "Health"}),
        Response(503, "A check fails.", {_JSON: "Health"}),
    ),
    examples=(
        Example(
            "healthy",
            "Every check passes",
            200,
            response={"status": "ok", "version": "1.0.0", "checks": {"store": {"status": "ok", "duration_ms": 0.2}}},
        ),
    ),
)
LIVENESS = Operation(
    "getLiveness",
    "Probes",
    "Liveness",
    "200 as long as the event loop runs.",
    responses=(Response(200, "The service is alive.", _STATUS),),
    examples=(Example("alive", "Alive", 200, response={"status": "ok"}),),
)
READINESS = Operation(
    "getReadiness",
    "Probes",
    "Readiness",
    "503 if a check fails, and while the service drains.",
    responses=(Response(200, "Ready.", _STATUS), Response(503, "Not ready.", _STATUS)),
    examples=(Example("ready", "Ready", 200, response={"status": "ok"}),),
)
METRICS = Operation(
    "getMetrics",
    "Probes",
    "Metrics",
    "Prometheus text, or OpenMetrics with exemplars, by `Accept`; gzip by `Accept-Encoding`.",
    responses=(Response(200, "Every metric.", {"text/plain": None, "application/openmetrics-text": None}),),
    examples=(Example("text", "As Prometheus reads it", 200),),
)
_NO_PLAN = {"error_ratio": 0.0, "latency_ms": 0.0, "route": None}
GET_FAULTS = Operation(
    "getFaults",
    "Practice",
    "Show injected faults",
    "The plan in force.",
    responses=(Response(200, "The plan.", _PLAN),),
    examples=(Example("none", "No faults", 200, response=_NO_PLAN),),
)
PUT_FAULTS = Operation(
    "putFaults",
    "Practice",
    "Inject faults",
    "A ratio of requests gets a 500, each delayed first; on one route, or on all.",
    bodies=_PLAN,
    responses=(Response(200, "The plan.", _PLAN),),
)
DELETE_FAULTS = Operation(
    "deleteFaults",
    "Practice",
    "End injected faults",
    "No more faults are injected.",
    responses=(Response(204, "Faults have ended."),),
    examples=(Example("end", "End injected faults", 204),),
)
