"""What the dashboards share: variables, annotations, links, thresholds, colours, and panels about requests."""

from collections.abc import Sequence
from typing import Any, Final

from devops_api.items.bulk.handlers import BulkHandlers
from devops_api.items.handlers import ItemHandlers
from devops_api.items.routes import create_routes
from devops_api.telemetry.pipeline import SilentTelemetry
from observability.dashboards.layout import Annotation, Row, Variable, create_dashboard
from observability.dashboards.panels import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    YELLOW,
    Link,
    Panel,
    Query,
    Threshold,
    assign_colours,
    stat,
    timeseries,
)
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
from observability.queries import promql, requests, telemetry

TITLES: Final = {
    SERVICE_UID: "Service",
    ROUTES_UID: "Routes",
    RUNTIME_UID: "Runtime",
    TELEMETRY_UID: "Telemetry",
}

ERROR_THRESHOLDS: Final = (
    Threshold(None, GREEN),
    Threshold(AVAILABILITY.budget, YELLOW),
    Threshold(FAST_BURN.factor * AVAILABILITY.budget, RED),
)
LATENCY_THRESHOLDS: Final = (Threshold(None, GREEN), Threshold(LATENCY_BOUND_S, RED))
BURN_THRESHOLDS: Final = (Threshold(None, GREEN), Threshold(1, YELLOW), Threshold(FAST_BURN.factor, RED))
LOOP_DELAY_THRESHOLDS: Final = (Threshold(None, GREEN), Threshold(LOOP_DELAY_BOUND_S, RED))
ZERO_THRESHOLDS: Final = (Threshold(None, GREEN), Threshold(1e-9, RED))  # Any value above 0 is wrong.
BURN_TOP: Final = 1.1 * FAST_BURN.factor  # The axis ends just above the paging threshold, so that its line shows.
ERROR_TOP: Final = BURN_TOP * AVAILABILITY.budget

QUANTILE_COLOURS: Final = {"p50": GREEN, "p95": YELLOW, "p99": ORANGE}
STATUS_CLASS_COLOURS: Final = {"2xx": GREEN, "3xx": BLUE, "4xx": YELLOW, "5xx": RED}
# The classes stand in for their instances: only the paths are read.
_ROUTES: Final = create_routes(ItemHandlers, BulkHandlers, SilentTelemetry())  # type: ignore[arg-type]
_PATHS: Final = dict.fromkeys(route.path for route in _ROUTES)
ROUTE_COLOURS: Final = assign_colours((*_PATHS, "/health", "/livez", "/readyz", "/metrics"))

_KEPT: Final = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}"
ROUTE_LINK: Final = Link("Show this route", f"/d/{ROUTES_UID}?var-route=${{__value.raw}}&{_KEPT}")
JOB: Final = Variable("job", "The service's job name in Prometheus.", requests.COUNT, "job")
INSTANCE: Final = Variable(
    "instance", "The instances of the service.", promql.select(requests.COUNT, promql.SCOPE_RECORDED), "instance"
)
ROUTE: Final = Variable(
    "route", "The path templates of routes.", promql.select(requests.COUNT, promql.SCOPE), "http_route"
)
ANNOTATIONS: Final = (
    Annotation("Deploys", telemetry.new_versions(), BLUE, "Deploy", "{{job}} {{service_version}}"),
    Annotation("Alerts", telemetry.firing_alerts(), RED, "{{alertname}}", "{{severity}}, {{job}}"),
)


def create_house_dashboard(
    uid: str, description: str, rows: Sequence[Row], *, has_route: bool = False
) -> dict[str, Any]:
    """Return a dashboard's document with the shared variables, annotations and links to the other dashboards."""
    return create_dashboard(
        uid,
        TITLES[uid],
        description,
        rows,
        variables=[JOB, INSTANCE, *([ROUTE] if has_route else [])],
        annotations=ANNOTATIONS,
        links=[Link(title, f"/d/{other}") for other, title in TITLES.items() if other != uid],
    )


def latency_stat(percent: int, *matchers: str, width: int) -> Panel:
    """Create a stat with a percentile of request durations."""
    return stat(
        f"p{percent}",
        f"{percent} % of requests take less than this. Red: above the bound of the latency objective.",
        Query(requests.latency(percent / 100, *matchers), f"p{percent}"),
        unit="s",
        width=width,
        thresholds=LATENCY_THRESHOLDS,
    )


def latency_graph(*matchers: str, width: int) -> Panel:
    """Create a graph of request durations, with exemplars."""
    return timeseries(
        "Latency",
        "50 %, 95 % and 99 % of requests take less than this. Dashed: bound of the objective. Dots: sampled requests.",
        [
            Query(requests.latency(0.5, *matchers), "p50"),
            Query(requests.latency(0.95, *matchers), "p95"),
            Query(requests.latency(0.99, *matchers), "p99", has_exemplars=True),
        ],
        unit="s",
        width=width,
        colours=QUANTILE_COLOURS,
        thresholds=LATENCY_THRESHOLDS,
    )


def status_class_graph(*matchers: str, width: int) -> Panel:
    """Create a graph of request rates by status class."""
    return timeseries(
        "Requests per second by status class",
        "How many requests get a response of each status class.",
        [Query(requests.request_rate_by_class(*matchers), "{{status_class}}")],
        unit="reqps",
        width=width,
        colours=STATUS_CLASS_COLOURS,
        is_stacked=True,
        soft_maximum=1,
    )
