"""The board for one route in depth: what is asked, how it ends, how long it takes, how large it is."""

from typing import Any

from devops_api.telemetry.catalogue import HTTP_METHODS, REQUEST_ERRORS, REQUEST_SIZE, RESPONSE_SIZE, Metric
from observability import queries as q
from observability.boards import Row
from observability.frame import ERROR_STEPS, ERROR_TOP, LATENCY_STEPS, ROUTE_COLOURS, frame_board
from observability.objectives import ROUTES_UID
from observability.panels import (
    QUANTILE_COLOURS,
    STATUS_CLASS_COLOURS,
    Panel,
    Query,
    heatmap_of,
    spread_hues,
    stat,
    timeseries,
)


def create_routes() -> dict[str, Any]:
    """The board's document."""
    description = "One route in depth, or several: what is asked, how it ends, how long it takes, how large it is."
    return frame_board(ROUTES_UID, description, [_now(), _outcomes(), _durations(), _sizes()], has_route=True)


def _now() -> Row:
    return Row(
        "Now",
        [
            stat(
                "Requests per second",
                "Requests to the chosen routes, whatever their outcome.",
                Query(q.request_rate(q.ONE_ROUTE), "requests"),
                unit="reqps",
                width=6,
            ),
            stat(
                "Error ratio",
                "The share of requests that fail with a 5xx. Yellow: more than the objective allows; red: it pages.",
                Query(q.error_ratio(q.ONE_ROUTE), "5xx"),
                unit="percentunit",
                width=6,
                steps=ERROR_STEPS,
            ),
            stat(
                "p95",
                "95 % of requests take less than this. Red: above the latency objective's bound.",
                Query(q.latency(0.95, q.ONE_ROUTE), "p95"),
                unit="s",
                width=6,
                steps=LATENCY_STEPS,
            ),
            stat(
                "p99",
                "99 % of requests take less than this. Red: above the latency objective's bound.",
                Query(q.latency(0.99, q.ONE_ROUTE), "p99"),
                unit="s",
                width=6,
                steps=LATENCY_STEPS,
            ),
        ],
    )


def _outcomes() -> Row:
    return Row(
        "Outcomes",
        [
            timeseries(
                "Requests per second by status class",
                "How many requests of each class are answered.",
                [Query(q.request_rate_by_class(q.ONE_ROUTE), "{{status_class}}")],
                unit="reqps",
                width=8,
                colours=STATUS_CLASS_COLOURS,
                is_stacked=True,
                soft_maximum=1,
            ),
            timeseries(
                "Requests per second by method",
                "What is asked of the chosen routes.",
                [Query(q.request_rate(q.ONE_ROUTE, labels=("http_request_method",)), "{{http_request_method}}")],
                unit="reqps",
                width=8,
                colours=spread_hues(HTTP_METHODS),
                soft_maximum=1,
            ),
            timeseries(
                "Failed requests per second by error",
                "What the 5xx are made of: the exception's class, or the status where there was none.",
                [Query(q.error_rate_by_type(q.ONE_ROUTE), "{{error_type}}")],
                unit="reqps",
                width=8,
                colours=spread_hues(REQUEST_ERRORS),
                soft_maximum=1,
            ),
        ],
    )


def _durations() -> Row:
    return Row(
        "Duration",
        [
            timeseries(
                "Latency",
                "What half, 95 % and 99 % of requests stay below. Dashed: the objective's bound. Dots: samples.",
                [
                    Query(q.latency(0.5, q.ONE_ROUTE), "p50"),
                    Query(q.latency(0.95, q.ONE_ROUTE), "p95"),
                    Query(q.latency(0.99, q.ONE_ROUTE), "p99", has_exemplars=True),
                ],
                unit="s",
                width=12,
                colours=QUANTILE_COLOURS,
                steps=LATENCY_STEPS,
            ),
            heatmap_of(
                "How long requests take",
                "Each column's requests by their duration: the stronger the colour, the more. Dots: samples.",
                Query(q.latency_buckets(q.ONE_ROUTE), "{{le}}", has_exemplars=True),
                unit="s",
                width=12,
            ),
            timeseries(
                "p95 by route",
                "95 % of requests to each of the chosen routes take less than this.",
                [Query(q.latency(0.95, q.ONE_ROUTE, labels=("http_route",)), "{{http_route}}")],
                unit="s",
                width=12,
                colours=ROUTE_COLOURS,
                steps=LATENCY_STEPS,
            ),
            timeseries(
                "Error ratio by route",
                "The share of requests to each of the chosen routes that fail with a 5xx.",
                [Query(q.error_ratio(q.ONE_ROUTE, labels=("http_route",)), "{{http_route}}")],
                unit="percentunit",
                width=12,
                colours=ROUTE_COLOURS,
                soft_maximum=ERROR_TOP,
                steps=ERROR_STEPS,
            ),
        ],
    )


def _sizes() -> Row:
    return Row(
        "Size",
        [
            _size_of(
                "Size of replies",
                "What half, 95 % and 99 % of replies' bodies stay below. Buckets are wide: take it roughly.",
                RESPONSE_SIZE,
            ),
            _size_of("Size of requests", "The same of requests' bodies, of requests that have one.", REQUEST_SIZE),
            timeseries(
                "Bytes per second",
                "What the bodies of requests and replies add up to.",
                [
                    Query(q.observed_rate(RESPONSE_SIZE, q.ONE_ROUTE), "sent"),
                    Query(q.observed_rate(REQUEST_SIZE, q.ONE_ROUTE), "received"),
                ],
                unit="binBps",
                width=8,
            ),
        ],
    )


def _size_of(title: str, description: str, metric: Metric) -> Panel:
    quantiles = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    queries = [Query(q.observed_quantile(share, metric, q.ONE_ROUTE), name) for name, share in quantiles.items()]
    return timeseries(title, description, queries, unit="bytes", width=8, colours=QUANTILE_COLOURS)
