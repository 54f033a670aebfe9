"""The dashboard to open first: whether users are affected, since when, and on which route."""

from typing import Any, Final

from observability.dashboards.house import (
    BURN_THRESHOLDS,
    BURN_TOP,
    ERROR_THRESHOLDS,
    ERROR_TOP,
    LATENCY_THRESHOLDS,
    ROUTE_LINK,
    ZERO_THRESHOLDS,
    create_house_dashboard,
    latency_graph,
    latency_stat,
    status_class_graph,
)
from observability.dashboards.layout import Row
from observability.dashboards.panels import (
    GREEN,
    ORANGE,
    RED,
    YELLOW,
    Column,
    Panel,
    Query,
    Threshold,
    ValueMapping,
    assign_colours,
    stat,
    table,
    timeseries,
)
from observability.objectives import AVAILABILITY, OBJECTIVES, SERVICE_UID, W1D, W1H, W6H, W30D, Objective
from observability.queries import requests, slo, telemetry

VERDICTS: Final = {
    0: ValueMapping("No", GREEN),
    1: ValueMapping("Slow responses", ORANGE),
    2: ValueMapping("Errors", RED),
}
USERS: Final = (requests.ITEM_ROUTES, requests.CHOSEN_ROUTES)  # Leaves out probes and scrapes.
AVAILABILITY_THRESHOLDS: Final = (Threshold(None, RED), Threshold(AVAILABILITY.target, GREEN))
BUDGET_THRESHOLDS: Final = (Threshold(None, RED), Threshold(0, YELLOW), Threshold(0.25, GREEN))


def create_service() -> dict[str, Any]:
    """Return the dashboard's document."""
    return create_house_dashboard(
        SERVICE_UID,
        "Whether users are affected, since when, and on which route.",
        [
            Row("Verdict", [*_verdict(), *_budget(), *_traffic()]),
            Row("Requests, errors, duration", [*_requests()]),
            Row("By route", [_routes()]),
            Row("Objectives", [*map(_burn_rate, OBJECTIVES), _budget_left()]),
        ],
        has_route=True,
    )


def _verdict() -> list[Panel]:
    return [
        stat(
            "Are users affected?",
            "Over 5 minutes: errors or slow responses that would use up the 30-day budget in two days.",
            Query(slo.verdict(), "verdict"),
            mappings=VERDICTS,
            unit="none",
            width=4,
        ),
        stat(
            "Objective",
            f"{AVAILABILITY.promise}.",
            Query(slo.target(AVAILABILITY), "objective"),
            unit="percentunit",
            width=2,
        ),
        stat(
            "Availability, 30 days",
            "The share of item requests that did not fail with a 5xx. Red: below the objective.",
            Query(slo.good_ratio(AVAILABILITY, W30D), "availability"),
            unit="percentunit",
            width=3,
            decimals=3,
            maximum=1,
            thresholds=AVAILABILITY_THRESHOLDS,
        ),
    ]


def _budget() -> list[Panel]:
    return [
        stat(
            "Error budget left",
            "The share of the failures allowed in 30 days that is left. Below 0 the objective is missed.",
            Query(slo.budget_left(AVAILABILITY, W30D), "budget left"),
            unit="percentunit",
            width=3,
            decimals=1,
            minimum=-1,
            maximum=1,
            thresholds=BUDGET_THRESHOLDS,
        ),
        stat(
            "Burn rate, 1 hour",
            "How many times faster than allowed the error budget is used up. Red: fast enough to page.",
            Query(slo.burn_rate(AVAILABILITY, W1H), "burn rate"),
            unit="none",
            width=3,
            decimals=1,
            thresholds=BURN_THRESHOLDS,
        ),
    ]


def _traffic() -> list[Panel]:
    return [
        latency_stat(95, *USERS, width=3),
        stat(
            "Requests per second",
            "Item requests to the chosen routes, failed ones included.",
            Query(requests.request_rate(*USERS), "requests"),
            unit="reqps",
            width=3,
        ),
        stat(
            "Alerts firing",
            "All alerts that fire now, pages and tickets.",
            Query(telemetry.firing_count(), "firing"),
            unit="none",
            width=3,
            thresholds=ZERO_THRESHOLDS,
        ),
    ]


def _requests() -> list[Panel]:
    return [
        status_class_graph(*USERS, width=8),
        timeseries(
            "Error ratio",
            "The share of item requests that fail with a 5xx. Dashed: limit of the objective, and threshold of a page.",
            [Query(requests.error_ratio(*USERS), "5xx")],
            unit="percentunit",
            width=8,
            colours={"5xx": RED},
            soft_maximum=ERROR_TOP,
            thresholds=ERROR_THRESHOLDS,
        ),
        latency_graph(*USERS, width=8),
    ]


def _routes() -> Panel:
    by_route = ("http_route",)
    columns = [
        Column("Requests per second", requests.request_rate(*USERS, labels=by_route), "reqps"),
        Column("Error ratio", requests.error_ratio(*USERS, labels=by_route), "percentunit", ERROR_THRESHOLDS),
        Column("p50", requests.latency(0.5, *USERS, labels=by_route), "s"),
        Column("p95", requests.latency(0.95, *USERS, labels=by_route), "s", LATENCY_THRESHOLDS),
        Column("p99", requests.latency(0.99, *USERS, labels=by_route), "s", LATENCY_THRESHOLDS),
    ]
    return table(
        "Routes",
        "Requests, errors and latency of each item route now. Click a route to see it on the dashboard Routes.",
        Column("Route", "http_route", "string"),
        columns,
        unit="reqps",
        width=24,
        height=8,
        link=ROUTE_LINK,
    )


def _burn_rate(objective: Objective) -> Panel:
    windows = (W1H, W6H, W1D)
    return timeseries(
        f"Burn rate of the {objective.name} budget",
        f"{objective.promise}. At 1 the budget lasts exactly 30 days. Dashed: 1, and threshold of a page.",
        [Query(slo.burn_rate(objective, window), window.name) for window in windows],
        unit="none",
        width=8,
        colours=assign_colours([window.name for window in windows]),
        soft_maximum=BURN_TOP,
        thresholds=BURN_THRESHOLDS,
    )


def _budget_left() -> Panel:
    return timeseries(
        "Error budget left, 30 days",
        "The share of the bad requests allowed in 30 days that is left. Below 0 the objective is missed.",
        [Query(slo.budget_left(objective, W30D), objective.name) for objective in OBJECTIVES],
        unit="percentunit",
        width=8,
        minimum=-1,
        maximum=1,
        colours=assign_colours([objective.name for objective in OBJECTIVES]),
        thresholds=(Threshold(None, GREEN), Threshold(0, RED)),  # A graph draws only the line at 0.
    )
