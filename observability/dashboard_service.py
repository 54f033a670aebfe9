"""The board that is looked at first: whether users suffer, since when, and on which route."""

from typing import Any, Final

from observability import queries as q
from observability.boards import Row
from observability.frame import (
    BURN_STEPS,
    BURN_TOP,
    ERROR_STEPS,
    ERROR_TOP,
    LATENCY_STEPS,
    ONE_ROUTE_LINK,
    ZERO_STEPS,
    frame_board,
)
from observability.objectives import (
    AVAILABILITY,
    FAST_BURN,
    LATENCY,
    OBJECTIVES,
    SERVICE_UID,
    W1D,
    W1H,
    W5M,
    W6H,
    W30D,
    Objective,
    Window,
)
from observability.panels import (
    GREEN,
    QUANTILE_COLOURS,
    RED,
    STATUS_CLASS_COLOURS,
    YELLOW,
    Column,
    Panel,
    Query,
    Step,
    Word,
    spread_hues,
    stat,
    table,
    timeseries,
)

VERDICTS: Final = {0: Word("No", "green"), 1: Word("They wait", "orange"), 2: Word("They see errors", "red")}
USERS: Final = (q.ITEM_ROUTES, q.ONE_ROUTE)  # Probes and scrapes are no users.
BUDGET_STEPS: Final = (Step(None, RED), Step(0, YELLOW), Step(0.25, GREEN))
BURN_COLOURS: Final = spread_hues((W1H.name, W6H.name, W1D.name))  # Red and yellow are the dashed lines.


def create_service() -> dict[str, Any]:
    """The board's document."""
    rows = [_verdict(), _requests(), _routes(), _objectives()]
    return frame_board(SERVICE_UID, "Whether users suffer, since when, and on which route.", rows, has_route=True)


def _verdict() -> Row:
    failed = f"{q.bad_ratio(AVAILABILITY, W5M)} > bool {FAST_BURN.factor * AVAILABILITY.budget:g}"
    slow = f"{q.bad_ratio(LATENCY, W5M)} > bool {FAST_BURN.factor * LATENCY.budget:g}"
    availability_steps = (Step(None, RED), Step(AVAILABILITY.target, GREEN))
    return Row(
        "Verdict",
        [
            stat(
                "Do users suffer?",
                "Over 5 minutes: errors or slowness that would use up a month's budget in two days.",
                Query(q.verdict(failed, slow), "verdict"),
                words=VERDICTS,
                unit="none",
                width=4,
            ),
            stat(
                "Objective",
                f"{AVAILABILITY.promise}.",
                Query(f"vector({AVAILABILITY.target})", "objective"),
                unit="percentunit",
                width=2,
            ),
            stat(
                "Availability, 30 days",
                "The share of item requests that did not fail with a 5xx. Red: below the objective.",
                Query(q.good_ratio(AVAILABILITY, W30D), "availability"),
                unit="percentunit",
                width=3,
                decimals=3,
                maximum=1,
                steps=availability_steps,
            ),
            stat(
                "Error budget left",
                "What is left of the failures that 30 days may have. Below 0 the objective is missed.",
                Query(q.budget_left(AVAILABILITY, W30D), "budget left"),
                unit="percentunit",
                width=3,
                decimals=1,
                minimum=-1,
                maximum=1,
                steps=BUDGET_STEPS,
            ),
            stat(
                "Burn rate, 1 hour",
                "How many times faster than allowed the budget burns. Red: an alert pages.",
                Query(q.burn_rate(AVAILABILITY, W1H), "burn rate"),
                unit="none",
                width=3,
                decimals=1,
                steps=BURN_STEPS,
            ),
            stat(
                "p95",
                "95 % of item requests take less than this. Red: above the latency objective's bound.",
                Query(q.latency(0.95, *USERS), "p95"),
                unit="s",
                width=3,
                steps=LATENCY_STEPS,
            ),
            stat(
                "Requests per second",
                "Item requests to the chosen routes, whatever their outcome.",
                Query(q.request_rate(*USERS), "requests"),
                unit="reqps",
                width=3,
            ),
            stat(
                "Alerts firing",
                "All alerts that fire now, whatever their severity.",
                Query(q.firing_count(), "firing"),
                unit="none",
                width=3,
                steps=ZERO_STEPS,
            ),
        ],
    )


def _requests() -> Row:
    return Row(
        "Requests, errors, duration",
        [
            timeseries(
                "Requests per second by status class",
                "How many item requests of each class are answered.",
                [Query(q.request_rate_by_class(*USERS), "{{status_class}}")],
                unit="reqps",
                width=8,
                colours=STATUS_CLASS_COLOURS,
                is_stacked=True,
                soft_maximum=1,
            ),
            timeseries(
                "Error ratio",
                "The share of item requests that fail with a 5xx. Dashed: what the objective allows, and what pages.",
                [Query(q.error_ratio(*USERS), "5xx")],
                unit="percentunit",
                width=8,
                colours={"5xx": RED},
                soft_maximum=ERROR_TOP,
                steps=ERROR_STEPS,
            ),
            timeseries(
                "Latency",
                "What half, 95 % and 99 % of requests stay below. Dashed: the objective's bound. Dots: samples.",
                [
                    Query(q.latency(0.5, *USERS), "p50"),
                    Query(q.latency(0.95, *USERS), "p95"),
                    Query(q.latency(0.99, *USERS), "p99", has_exemplars=True),
                ],
                unit="s",
                width=8,
                colours=QUANTILE_COLOURS,
                steps=LATENCY_STEPS,
            ),
        ],
    )


def _routes() -> Row:
    by_route = ("http_route",)
    columns = [
        Column("Requests per second", q.request_rate(*USERS, labels=by_route), "reqps"),
        Column("Error ratio", q.error_ratio(*USERS, labels=by_route), "percentunit", ERROR_STEPS),
        Column("p50", q.latency(0.5, *USERS, labels=by_route), "s"),
        Column("p95", q.latency(0.95, *USERS, labels=by_route), "s", LATENCY_STEPS),
        Column("p99", q.latency(0.99, *USERS, labels=by_route), "s", LATENCY_STEPS),
    ]
    routes = table(
        "Routes",
        "Each item route's requests, errors and latency now. A route's name leads to it in depth.",
        Column("Route", "http_route", "string"),
        columns,
        unit="reqps",
        width=24,
        height=8,
        link=ONE_ROUTE_LINK,
    )
    return Row("By route", [routes])


def _objectives() -> Row:
    return Row("Objectives", [*map(_burn, OBJECTIVES), _budget()])


def _burn(objective: Objective) -> Panel:
    def ask(window: Window) -> Query:
        return Query(q.burn_rate(objective, window), window.name)

    return timeseries(
        f"Burn rate of the {objective.name} budget",
        f"{objective.promise}. 1 uses the budget up in exactly 30 days. Dashed: 1, and what pages.",
        [ask(W1H), ask(W6H), ask(W1D)],
        unit="none",
        width=8,
        colours=BURN_COLOURS,
        soft_maximum=BURN_TOP,
        steps=BURN_STEPS,
    )


def _budget() -> Panel:
    queries = [Query(q.budget_left(objective, W30D), objective.name) for objective in OBJECTIVES]
    return timeseries(
        "Error budget left, 30 days",
        "What is left of the bad requests that 30 days may have. Below 0 the objective is missed.",
        queries,
        unit="percentunit",
        width=8,
        minimum=-1,
        maximum=1,
        colours=spread_hues([objective.name for objective in OBJECTIVES]),
        steps=(Step(None, GREEN), Step(0, RED)),  # Only the line at 0 is drawn, in its step's colour.
    )
