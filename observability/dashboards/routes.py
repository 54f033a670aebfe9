"""The dashboard for one route, or several: requests, outcomes, durations and sizes."""

from typing import Any, Final

from observability.dashboards.house import (
    ERROR_THRESHOLDS,
    ERROR_TOP,
    LATENCY_THRESHOLDS,
    QUANTILE_COLOURS,
    ROUTE_COLOURS,
    create_house_dashboard,
    latency_graph,
    latency_stat,
    status_class_graph,
)
from observability.dashboards.layout import Row
from observability.dashboards.panels import Panel, Query, assign_colours, heatmap, stat, timeseries
from observability.objectives import ROUTES_UID
from observability.queries import instruments, requests
from observability.queries import metrics as m

CHOSEN: Final = requests.CHOSEN_ROUTES


def create_routes() -> dict[str, Any]:
    """Return the dashboard's document."""
    return create_house_dashboard(
        ROUTES_UID,
        "One route, or several: requests, outcomes, durations and sizes.",
        [
            Row("Now", [*_now()]),
            Row("Outcomes", [*_outcomes()]),
            Row("Duration", [latency_graph(CHOSEN, width=12), _durations(), *_by_route()]),
            Row("Size", [*_sizes()]),
        ],
        has_route=True,
    )


def _now() -> list[Panel]:
    return [
        stat(
            "Requests per second",
            "Requests to the chosen routes, failed ones included.",
            Query(requests.request_rate(CHOSEN), "requests"),
            unit="reqps",
            width=6,
        ),
        stat(
            "Error ratio",
            "The share of requests that fail with a 5xx. Yellow: more than the objective allows. Red: enough to page.",
            Query(requests.error_ratio(CHOSEN), "5xx"),
            unit="percentunit",
            width=6,
            thresholds=ERROR_THRESHOLDS,
        ),
        latency_stat(95, CHOSEN, width=6),
        latency_stat(99, CHOSEN, width=6),
    ]


def _outcomes() -> list[Panel]:
    return [
        status_class_graph(CHOSEN, width=8),
        timeseries(
            "Requests per second by method",
            "Requests to the chosen routes, by HTTP method.",
            [Query(requests.request_rate(CHOSEN, labels=("http_request_method",)), "{{http_request_method}}")],
            unit="reqps",
            width=8,
            colours=assign_colours(m.HTTP_METHODS),
            soft_maximum=1,
        ),
        timeseries(
            "Failed requests per second by error",
            "5xx responses by exception class, or by status if no exception was raised.",
            [Query(requests.error_rate_by_type(CHOSEN), "{{error_type}}")],
            unit="reqps",
            width=8,
            colours=assign_colours(m.REQUEST_ERRORS),
            soft_maximum=1,
        ),
    ]


def _durations() -> Panel:
    return heatmap(
        "How long requests take",
        "Requests by duration over time: the stronger the colour, the more requests. Dots: sampled requests.",
        Query(requests.latency_buckets(CHOSEN), "{{le}}", has_exemplars=True),
        unit="s",
        width=12,
    )


def _by_route() -> list[Panel]:
    by_route = ("http_route",)
    return [
        timeseries(
            "p95 by route",
            "95 % of requests to each of the chosen routes take less than this.",
            [Query(requests.latency(0.95, CHOSEN, labels=by_route), "{{http_route}}")],
            unit="s",
            width=12,
            colours=ROUTE_COLOURS,
            thresholds=LATENCY_THRESHOLDS,
        ),
        timeseries(
            "Error ratio by route",
            "The share of requests to each of the chosen routes that fail with a 5xx.",
            [Query(requests.error_ratio(CHOSEN, labels=by_route), "{{http_route}}")],
            unit="percentunit",
            width=12,
            colours=ROUTE_COLOURS,
            soft_maximum=ERROR_TOP,
            thresholds=ERROR_THRESHOLDS,
        ),
    ]


def _sizes() -> list[Panel]:
    return [
        _size_graph(
            "Response size",
            "50 %, 95 % and 99 % of response bodies are smaller than this. Values are rough: the buckets are wide.",
            m.RESPONSE_SIZE,
        ),
        _size_graph(
            "Request size",
            "50 %, 95 % and 99 % of request bodies are smaller than this, of requests that have one.",
            m.REQUEST_SIZE,
        ),
        timeseries(
            "Bytes per second",
            "Total size of request and response bodies.",
            [
                Query(instruments.sum_rate(m.RESPONSE_SIZE, CHOSEN), "sent"),
                Query(instruments.sum_rate(m.REQUEST_SIZE, CHOSEN), "received"),
            ],
            unit="binBps",
            width=8,
        ),
    ]


def _size_graph(title: str, description: str, metric: m.Metric) -> Panel:
    quantiles = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    queries = [Query(instruments.quantile(share, metric, CHOSEN), name) for name, share in quantiles.items()]
    return timeseries(title, description, queries, unit="bytes", width=8, colours=QUANTILE_COLOURS)
