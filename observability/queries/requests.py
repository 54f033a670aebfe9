"""Queries of dashboards about HTTP requests."""

from typing import Final

from observability.queries import metrics as m
from observability.queries.promql import SCOPE, or_zero, quantile, rate, share, total

COUNT: Final = f"{m.REQUEST_DURATION.prometheus_name}_count"
BUCKETS: Final = f"{m.REQUEST_DURATION.prometheus_name}_bucket"

ITEM_ROUTES: Final = 'http_route=~"/items.*"'
CHOSEN_ROUTES: Final = 'http_route=~"$route"'
FAILED: Final = 'http_response_status_code=~"5.."'


def request_rate(*matchers: str, labels: tuple[str, ...] = ()) -> str:
    """Return requests per second."""
    return total(rate(COUNT, SCOPE, *matchers), *labels)


def request_rate_by_class(*matchers: str) -> str:
    """Return requests per second by `status_class` (2xx, 3xx, 4xx, 5xx); 5xx is always present."""
    rates = rate(COUNT, SCOPE, *matchers)
    classed = f'label_replace({rates}, "status_class", "${{1}}xx", "http_response_status_code", "(.)..")'
    return or_zero(total(classed, "status_class"), total(rates), "status_class", "5xx")


def error_rate_by_type(*matchers: str) -> str:
    """Return 5xx responses per second by `error_type`; `none` at 0 if there is no such series."""
    failed = total(rate(COUNT, SCOPE, FAILED, *matchers), "error_type")
    return f"{or_zero(failed, request_rate(*matchers), 'error_type', 'none')} unless on () {failed}"


def error_ratio(*matchers: str, labels: tuple[str, ...] = ()) -> str:
    """Return the share of requests that fail with a 5xx; 0 without requests."""
    return share(request_rate(FAILED, *matchers, labels=labels), request_rate(*matchers, labels=labels))


def latency(quantile_share: float, *matchers: str, labels: tuple[str, ...] = ()) -> str:
    """Return a quantile of request durations, in seconds."""
    return quantile(quantile_share, rate(BUCKETS, SCOPE, *matchers), *labels)


def latency_buckets(*matchers: str) -> str:
    """Return requests per second by bucket of duration, for a heatmap."""
    return total(rate(BUCKETS, SCOPE, *matchers), "le")
