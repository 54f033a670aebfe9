"""Queries about objectives: what recording rules compute, and what dashboards and alerts read of it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from observability.objectives import AVAILABILITY, FAST_BURN, LATENCY, LATENCY_BOUND_S, W5M, Burn, Objective, Window
from observability.queries import metrics as m
from observability.queries.instruments import SERIES
from observability.queries.promql import SCOPE_RECORDED, rate, select, share, total
from observability.queries.requests import BUCKETS, COUNT, FAILED, ITEM_ROUTES

TIMED_ROUTES: Final = 'http_route=~"/items.*", http_route!~"/items/(batch|export|import)"'
if LATENCY_BOUND_S not in m.REQUEST_DURATION.buckets:
    raise AssertionError("the bound of the latency objective must be a bucket's bound, or its ratio is an estimate")


# Computed by recording rules


def item_requests(window: str) -> str:
    """Return item requests per second."""
    return total(rate(COUNT, ITEM_ROUTES, window=window), "job")


def item_requests_failed(window: str) -> str:
    """Return item requests per second that fail with a 5xx; 0 if none ever did."""
    failed = total(rate(COUNT, ITEM_ROUTES, FAILED, window=window), "job")
    return f"{failed} or {item_requests(window)} * 0"


def item_requests_timed(window: str) -> str:
    """Return item requests per second that the latency objective counts."""
    return total(rate(COUNT, TIMED_ROUTES, window=window), "job")


def item_requests_slow(window: str) -> str:
    """Return timed item requests per second above the latency bound; never negative, despite rounding."""
    fast = total(rate(BUCKETS, TIMED_ROUTES, f'le="{LATENCY_BOUND_S}"', window=window), "job")
    return f"clamp_min({item_requests_timed(window)} - {fast}, 0)"


SLIS: Final[Mapping[str, Callable[[str], str]]] = {
    sli.__name__: sli for sli in (item_requests, item_requests_failed, item_requests_timed, item_requests_slow)
}


def recorded_rate(name: str, window: Window) -> str:
    """Return the name of the series that records an SLI's requests per second."""
    return f"job:{name}:rate{window.name}"


def recorded_ratio(objective: Objective, window: Window) -> str:
    """Return the name of the series that records an objective's share of bad requests."""
    return f"job:{objective.bad}:ratio_rate{window.name}"


def sli_ratio(objective: Objective, window: Window) -> str:
    """Return the share of counted requests that are bad; 0 without requests."""
    return share(recorded_rate(objective.bad, window), recorded_rate(objective.counted, window))


# Read by dashboards; of several jobs the worst one counts


def target(objective: Objective) -> str:
    """Return the objective's target as a constant."""
    return f"vector({objective.target})"


def bad_ratio(objective: Objective, window: Window) -> str:
    """Return the share of bad requests."""
    return f"max({select(recorded_ratio(objective, window), SCOPE_RECORDED)})"


def good_ratio(objective: Objective, window: Window) -> str:
    """Return the share of good requests."""
    return f"1 - {bad_ratio(objective, window)}"


def budget_left(objective: Objective, window: Window) -> str:
    """Return the share of the error budget that is left: negative if the objective is missed, at least -1."""
    return f"clamp_min(1 - {bad_ratio(objective, window)} / {objective.budget}, -1)"


def burn_rate(objective: Objective, window: Window) -> str:
    """Return how many times faster than allowed the budget is used up."""
    return f"{bad_ratio(objective, window)} / {objective.budget}"


def verdict() -> str:
    """Return what users experience now: 0 nothing bad, 1 slow responses, 2 errors."""
    failed, slow = (
        f"{bad_ratio(objective, W5M)} > bool {FAST_BURN.factor * objective.budget:g}"
        for objective in (AVAILABILITY, LATENCY)
    )
    return f"clamp_max(2 * ({failed}) + ({slow}), 2)"


# Read by alerts


def burns(objective: Objective, burn: Burn) -> str:
    """Return the condition that both windows use up the budget faster than `burn.factor` times the allowed rate."""
    limit = f"{burn.factor} * {objective.budget}"
    long, short = recorded_ratio(objective, burn.long), recorded_ratio(objective, burn.short)
    return f"{long} > {limit} and {short} > {limit}"


def find_series(exprs: Iterable[str]) -> Sequence[str]:
    """Return the service's own series that expressions read, directly or through an SLI, in the catalogue's order."""
    text = " ".join(exprs)
    slis = [SLIS[name](W5M.name) for name in re.findall(r"\bjob:(\w+):", text)]
    words = set(re.findall(r"\w+", " ".join([text, *slis])))
    return [name for name in SERIES if name in words]
