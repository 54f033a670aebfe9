"""The dashboards, one function each, in the order in which they are read on the screen."""

from collections.abc import Mapping
from typing import Any, Final

from devops_api.metrics import REQUEST_DURATION
from observability import queries as q
from observability.objectives import AVAILABILITY, LATENCY_BOUND_S
from observability.panels import (
    GREEN,
    QUANTILE_COLOURS,
    RED,
    STATUS_CLASS_COLOURS,
    YELLOW,
    Column,
    Query,
    Row,
    Step,
    create_board,
    query_variable,
    stat,
    table,
    timeseries,
)

SERVICE_UID: Final = "devops-api-service"
KEPT: Final = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}"
ERROR_STEPS: Final = (Step(None, GREEN), Step(AVAILABILITY.budget, YELLOW), Step(14.4 * AVAILABILITY.budget, RED))
LATENCY_STEPS: Final = (Step(None, GREEN), Step(LATENCY_BOUND_S, RED))


def create_dashboards() -> Mapping[str, dict[str, Any]]:
    """Every board's document by the name of its file."""
    return {"service": create_service()}


def create_service() -> dict[str, Any]:
    """Whether users suffer, since when, and on which route."""
    link = ("Show the route", f"/d/{SERVICE_UID}?var-route=${{__value.raw}}&{KEPT}")
    rows = [
        Row(
            "Requests, errors, duration",
            [
                stat(
                    "Requests per second",
                    "All requests, probes included.",
                    Query(q.request_rate(), "requests"),
                    unit="reqps",
                    width=6,
                ),
                stat(
                    "Error ratio",
                    "The share of requests that fail with a 5xx. Yellow: more than the objective allows.",
                    Query(q.error_ratio(), "error ratio"),
                    unit="percentunit",
                    width=6,
                    steps=ERROR_STEPS,
                ),
                stat(
                    "p95",
                    "95 % of requests take less than this.",
                    Query(q.latency_quantile(0.95), "p95"),
                    unit="s",
                    width=6,
                    steps=LATENCY_STEPS,
                ),
                stat(
                    "p99",
                    "99 % of requests take less than this.",
                    Query(q.latency_quantile(0.99), "p99"),
                    unit="s",
                    width=6,
                    steps=LATENCY_STEPS,
                ),
                timeseries(
                    "Requests per second by status class",
                    "How many requests of each class are answered.",
                    [Query(q.request_rate_by_class(), "{{status_class}}")],
                    unit="reqps",
                    width=8,
                    colours=STATUS_CLASS_COLOURS,
                    is_stacked=True,
                ),
                timeseries(
                    "Error ratio",
                    "The share of requests that fail with a 5xx.",
                    [Query(q.error_ratio(), "5xx")],
                    unit="percentunit",
                    width=8,
                    steps=ERROR_STEPS,
                    colours={"5xx": RED},
                ),
                timeseries(
                    "Latency",
                    "What half, 95 % and 99 % of requests stay below.",
                    [
                        Query(q.latency_quantile(0.5), "p50"),
                        Query(q.latency_quantile(0.95), "p95"),
                        Query(q.latency_quantile(0.99), "p99", has_exemplars=True),
                    ],
                    unit="s",
                    width=8,
                    colours=QUANTILE_COLOURS,
                    steps=LATENCY_STEPS,
                ),
            ],
        ),
        Row(
            "Routes",
            [
                table(
                    "By route",
                    "Each route's requests, errors and latency in the time shown.",
                    "http_route",
                    "Route",
                    [
                        Column("Requests per second", q.request_rate_by("http_route"), "reqps"),
                        Column("Error ratio", q.error_ratio_by_route(), "percentunit", ERROR_STEPS),
                        Column("p95", q.latency_quantile_by_route(0.95), "s", LATENCY_STEPS),
                        Column("p99", q.latency_quantile_by_route(0.99), "s", LATENCY_STEPS),
                    ],
                    link=link,
                ),
            ],
        ),
    ]
    name = f"{REQUEST_DURATION.prometheus_name}_count"
    return create_board(
        SERVICE_UID,
        "Service",
        "Do users suffer, since when, and on which route?",
        rows,
        tags=["devops-api"],
        variables=[
            query_variable("job", "Job", "What Prometheus calls the service.", f"label_values({name}, job)"),
            query_variable(
                "instance",
                "Instance",
                "One or several of its processes.",
                f'label_values({name}{{job=~"$job"}}, instance)',
            ),
        ],
        annotations=[],
        links=[],
    )
