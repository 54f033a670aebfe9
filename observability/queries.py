"""Every PromQL expression, by name; metric names come from the catalogue.

Functions take the label matchers of whoever asks: a dashboard passes `SCOPE`, a rule none.
"""

from typing import Final

from devops_api.metrics import REQUEST_DURATION

SCOPE: Final = 'job=~"$job", instance=~"$instance"'
WINDOW: Final = "$__rate_interval"
ITEM_ROUTES: Final = 'http_route=~"/items.*"'
ONE_ROUTE: Final = 'http_route=~"$route"'
FAILED: Final = 'http_response_status_code=~"5.."'


def _select(name: str, *matchers: str) -> str:
    inside = ", ".join(matcher for matcher in matchers if matcher)
    return f"{name}{{{inside}}}" if inside else name


def rate(name: str, *matchers: str, window: str = WINDOW) -> str:
    """A counter's increase per second."""
    return f"rate({_select(name, *matchers)}[{window}])"


REQUESTS: Final = f"{REQUEST_DURATION.prometheus_name}_count"
REQUEST_BUCKETS: Final = f"{REQUEST_DURATION.prometheus_name}_bucket"


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
