"""What all boards share: variables, marks for deploys and alerts, links to each other, thresholds, links to a route."""

from collections.abc import Sequence
from typing import Any, Final

from devops_api.telemetry.catalogue import BORN
from observability import queries as q
from observability.boards import Annotation, Row, Variable, create_board
from observability.objectives import (
    AVAILABILITY,
    FAST_BURN,
    LATENCY_BOUND_S,
    LOOP_DELAY_BOUND_S,
    ROUTES_UID,
    RUNTIME_UID,
    SERVICE_UID,
    TELEMETRY_UID,
)
from observability.panels import BLUE, GREEN, RED, YELLOW, Link, Step, spread_hues

TITLES: Final = {
    SERVICE_UID: "Service",
    ROUTES_UID: "Routes",
    RUNTIME_UID: "Runtime",
    TELEMETRY_UID: "Telemetry",
}
KEPT: Final = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}"
ERROR_STEPS: Final = (
    Step(None, GREEN),
    Step(AVAILABILITY.budget, YELLOW),
    Step(FAST_BURN.factor * AVAILABILITY.budget, RED),
)
LATENCY_STEPS: Final = (Step(None, GREEN), Step(LATENCY_BOUND_S, RED))
BURN_STEPS: Final = (Step(None, GREEN), Step(1, YELLOW), Step(FAST_BURN.factor, RED))
BURN_TOP: Final = 1.1 * FAST_BURN.factor  # The axis ends a little above what pages, so that its line is seen.
ERROR_TOP: Final = BURN_TOP * AVAILABILITY.budget
LAG_STEPS: Final = (Step(None, GREEN), Step(LOOP_DELAY_BOUND_S, RED))
ZERO_STEPS: Final = (Step(None, GREEN), Step(1e-9, RED))  # Anything above 0 is wrong.

ROUTE_COLOURS: Final = spread_hues((*BORN, "/health", "/livez", "/readyz", "/metrics"))
ONE_ROUTE_LINK: Final = Link("This route in depth", f"/d/{ROUTES_UID}?var-route=${{__value.raw}}&{KEPT}")
JOB: Final = Variable("job", "What Prometheus calls the service.", q.REQUESTS, "job")
INSTANCE: Final = Variable("instance", "Where it runs.", q.select(q.REQUESTS, q.SCOPE_RECORDED), "instance")
ROUTE: Final = Variable("route", "The path's template.", q.select(q.REQUESTS, q.SCOPE), "http_route")
ANNOTATIONS: Final = (
    Annotation("Deploys", q.new_versions(), BLUE, "Deploy", "{{job}} {{service_version}}"),
    Annotation("Alerts", q.firing_alerts(), RED, "{{alertname}}", "{{severity}}, {{job}}"),
)


def frame_board(uid: str, description: str, rows: Sequence[Row], *, has_route: bool = False) -> dict[str, Any]:
    """A board of the house."""
    return create_board(
        uid,
        TITLES[uid],
        description,
        rows,
        variables=[JOB, INSTANCE, *([ROUTE] if has_route else [])],
        annotations=ANNOTATIONS,
        links=[Link(title, f"/d/{other}") for other, title in TITLES.items() if other != uid],
    )
