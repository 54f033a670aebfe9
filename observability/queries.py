"""Every PromQL expression, by name; metric names come from the catalogue.

Functions for dashboards keep to the chosen job and instance (`SCOPE`) and to the window that Grafana fits to the
screen; those for rules take the window they are recorded over, and sum `by (job)`.
"""

import re
from typing import Final

import promql_parser

from devops_api.metrics import REQUEST_DURATION
from observability.objectives import LATENCY_BOUND_S, Objective, Window

SCOPE: Final = 'job=~"$job", instance=~"$instance"'
SCOPE_RECORDED: Final = 'job=~"$job"'  # What is recorded is of the whole service and has no instance.
WINDOW: Final = "$__rate_interval"
ITEM_ROUTES: Final = 'http_route=~"/items.*"'
TIMED_ROUTES: Final = 'http_route=~"/items.*", http_route!~"/items/(batch|export|import)"'
ONE_ROUTE: Final = 'http_route=~"$route"'
FAILED: Final = 'http_response_status_code=~"5.."'
REQUESTS: Final = f"{REQUEST_DURATION.prometheus_name}_count"
REQUEST_BUCKETS: Final = f"{REQUEST_DURATION.prometheus_name}_bucket"


def select(name: str, *matchers: str) -> str:
    """A selector."""
    inside = ", ".join(matcher for matcher in matchers if matcher)
    return f"{name}{{{inside}}}" if inside else name


def rate(name: str, *matchers: str, window: str = WINDOW) -> str:
    """A counter's increase per second."""
    return f"rate({select(name, *matchers)}[{window}])"


def mean(name: str, window: str) -> str:
    """The mean of what was recorded."""
    return f"avg_over_time({name}[{window}])"


def prettify(expr: str) -> str:
    """An expression as people read it: over several lines where one is too short."""
    text = str(promql_parser.parse(expr).prettify()).rstrip()
    return re.sub("^  ", "", text, flags=re.MULTILINE) if text.startswith("  ") else text


# What is recorded


def recorded_rate(name: str, window: Window) -> str:
    """The name of requests per second of one kind."""
    return f"job:{name}:rate{window.name}"


def recorded_ratio(objective: Objective, window: Window) -> str:
    """The name of the share of requests that are bad."""
    return f"job:{objective.bad}:ratio_rate{window.name}"


def item_requests(window: str) -> str:
    """Item requests per second."""
    return f"sum by (job) ({rate(REQUESTS, ITEM_ROUTES, window=window)})"


def item_requests_failed(window: str) -> str:
    """Item requests per second that fail with a 5xx; 0 where none ever did."""
    return f"sum by (job) ({rate(REQUESTS, ITEM_ROUTES, FAILED, window=window)}) or {item_requests(window)} * 0"


def item_requests_timed(window: str) -> str:
    """Item requests per second that the latency objective counts."""
    return f"sum by (job) ({rate(REQUESTS, TIMED_ROUTES, window=window)})"


def item_requests_slow(window: str) -> str:
    """Those of them that take longer than the bound; never below 0, where floating point would have it."""
    within_bound = f'le="{LATENCY_BOUND_S}"'
    fast = f"sum by (job) ({rate(REQUEST_BUCKETS, TIMED_ROUTES, within_bound, window=window)})"
    return f"clamp_min({item_requests_timed(window)} - {fast}, 0)"


def sli_ratio(objective: Objective, window: Window) -> str:
    """The share of counted requests that are bad; 0 where there are none."""
    counted = recorded_rate(objective.counted, window)
    return f"{recorded_rate(objective.bad, window)} / ({counted} > 0) or {counted} * 0"


# What dashboards ask


def request_rate(*matchers: str) -> str:
    """Requests per second."""
    return f"sum({rate(REQUESTS, SCOPE, *matchers)})"


def request_rate_by(label: str, *matchers: str) -> str:
    """Requests per second by one label."""
    return f"sum by ({label}) ({rate(REQUESTS, SCOPE, *matchers)})"


def request_rate_by_class(*matchers: str) -> str:
    """Requests per second by `status_class`: 2xx, 3xx, 4xx, 5xx."""
    rates = rate(REQUESTS, SCOPE, *matchers)
    classed = f'label_replace({rates}, "status_class", "${{1}}xx", "http_response_status_code", "(.)..")'
    return f"sum by (status_class) ({classed})"


def error_ratio(*matchers: str) -> str:
    """The share of requests that fail with 5xx; 0 where there are no requests."""
    failed = request_rate(FAILED, *matchers)
    total = request_rate(*matchers)
    return f"({failed}) / ({total} > 0) or {total} * 0"


def error_ratio_by_route() -> str:
    """The share of requests that fail with 5xx, by route; a route without requests has 0."""
    total = request_rate_by("http_route")
    failed = request_rate_by("http_route", FAILED)
    return f"({failed}) / ({total} > 0) or {total} * 0"


def latency_quantile(quantile: float, *matchers: str) -> str:
    """A latency that a share of requests stays below, in seconds."""
    return f"histogram_quantile({quantile}, sum by (le) ({rate(REQUEST_BUCKETS, SCOPE, *matchers)}))"


def latency_quantile_by_route(quantile: float) -> str:
    """The same, by route."""
    return f"histogram_quantile({quantile}, sum by (le, http_route) ({rate(REQUEST_BUCKETS, SCOPE)}))"
