"""Every PromQL expression about requests, by name; metric names come from the catalogue.

Functions for boards keep to the chosen job and instance (`SCOPE`) and to the window that Grafana fits to the screen;
those for rules take the window they are recorded over, and sum `by (job)`.
"""

import re
from typing import Final

import promql_parser

from devops_api.telemetry.catalogue import (
    DISK_FREE,
    DISK_SIZE,
    EXPORT_FAILURES,
    LOG_DROPPED,
    LOG_RECORDS_DROPPED,
    REQUEST_DURATION,
    SPANS_DROPPED,
    STORE_DURATION,
    Metric,
)
from observability.objectives import LATENCY_BOUND_S, PROMETHEUS_JOB, Objective, Window

SCOPE: Final = 'job=~"$job", instance=~"$instance"'
SCOPE_RECORDED: Final = 'job=~"$job"'  # What is recorded is of the whole service and has no instance.
NOT_PROMETHEUS: Final = f'job!="{PROMETHEUS_JOB}"'  # It has `up` and the like as well.
WINDOW: Final = "$__rate_interval"
ITEM_ROUTES: Final = 'http_route=~"/items.*"'
TIMED_ROUTES: Final = 'http_route=~"/items.*", http_route!~"/items/(batch|export|import)"'
ONE_ROUTE: Final = 'http_route=~"$route"'
STORE_FAILED: Final = 'error_type=~"StoreUnavailableError|_OTHER"'
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


def total(expr: str, *labels: str) -> str:
    """The sum, by these labels if any."""
    return f"sum by ({', '.join(labels)}) ({expr})" if labels else f"sum({expr})"


def quantile(share: float, buckets: str, *labels: str) -> str:
    """What a share of a histogram's observations stays below; `buckets` are rates. Nothing where there are none."""
    return f"histogram_quantile({share}, {total(buckets, 'le', *labels)}) >= 0"


def share(part: str, whole: str) -> str:
    """`part / whole`; 0 where there is no whole, or no part of it."""
    return f"{part} / ({whole} > 0) or {whole} * 0"


def or_zero(expr: str, whole: str, label: str, value: str) -> str:
    """The expression, and a series at 0 with this label where it has none and `whole` has one: zero is not absence."""
    return f'{expr} or label_replace({whole} * 0, "{label}", "{value}", "", "")'


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
    return total(rate(REQUESTS, ITEM_ROUTES, window=window), "job")


def item_requests_failed(window: str) -> str:
    """Item requests per second that fail with a 5xx; 0 where none ever did."""
    failed = total(rate(REQUESTS, ITEM_ROUTES, FAILED, window=window), "job")
    return f"{failed} or {item_requests(window)} * 0"


def item_requests_timed(window: str) -> str:
    """Item requests per second that the latency objective counts."""
    return total(rate(REQUESTS, TIMED_ROUTES, window=window), "job")


def item_requests_slow(window: str) -> str:
    """Those of them that take longer than the bound; never below 0, where floating point would have it."""
    fast = total(rate(REQUEST_BUCKETS, TIMED_ROUTES, f'le="{LATENCY_BOUND_S}"', window=window), "job")
    return f"clamp_min({item_requests_timed(window)} - {fast}, 0)"


def sli_ratio(objective: Objective, window: Window) -> str:
    """The share of counted requests that are bad; 0 where there are none."""
    return share(recorded_rate(objective.bad, window), recorded_rate(objective.counted, window))


# What boards ask of what is recorded: of several jobs the worst one


def bad_ratio(objective: Objective, window: Window) -> str:
    """The share of bad requests."""
    return f"max({select(recorded_ratio(objective, window), SCOPE_RECORDED)})"


def good_ratio(objective: Objective, window: Window) -> str:
    """The share of good requests."""
    return f"1 - {bad_ratio(objective, window)}"


def budget_left(objective: Objective, window: Window) -> str:
    """The share of the error budget that is left; below 0, but never below -1, where the objective is missed."""
    return f"clamp_min(1 - {bad_ratio(objective, window)} / {objective.budget}, -1)"


def burn_rate(objective: Objective, window: Window) -> str:
    """How many times faster than allowed the budget burns."""
    return f"{bad_ratio(objective, window)} / {objective.budget}"


def verdict(failed: str, slow: str) -> str:
    """0 where users are well, 1 where they wait, 2 where they see errors: whichever is worse."""
    return f"clamp_max(2 * ({failed}) + ({slow}), 2)"


# What boards ask of requests


def request_rate(*matchers: str, labels: tuple[str, ...] = ()) -> str:
    """Requests per second, by these labels if any."""
    return total(rate(REQUESTS, SCOPE, *matchers), *labels)


def request_rate_by_class(*matchers: str) -> str:
    """Requests per second by `status_class`: 2xx, 3xx, 4xx, 5xx, the last one never absent."""
    rates = rate(REQUESTS, SCOPE, *matchers)
    classed = f'label_replace({rates}, "status_class", "${{1}}xx", "http_response_status_code", "(.)..")'
    return or_zero(total(classed, "status_class"), total(rates), "status_class", "5xx")


def error_rate_by_type(*matchers: str) -> str:
    """Failed requests per second by the type of error; `none` at 0 where no route that is asked for can fail so."""
    failed = total(rate(REQUESTS, SCOPE, FAILED, *matchers), "error_type")
    return f"{or_zero(failed, request_rate(*matchers), 'error_type', 'none')} unless on () {failed}"


def error_ratio(*matchers: str, labels: tuple[str, ...] = ()) -> str:
    """The share of requests that fail with 5xx; 0 where there are no requests."""
    return share(request_rate(FAILED, *matchers, labels=labels), request_rate(*matchers, labels=labels))


def latency(share_below: float, *matchers: str, labels: tuple[str, ...] = ()) -> str:
    """What a share of requests stays below, in seconds."""
    return quantile(share_below, rate(REQUEST_BUCKETS, SCOPE, *matchers), *labels)


def latency_buckets(*matchers: str) -> str:
    """Requests per second by latency, for a heatmap."""
    return total(rate(REQUEST_BUCKETS, SCOPE, *matchers), "le")


# What boards ask of any metric of the catalogue


def counter_rate(metric: Metric, *matchers: str, labels: tuple[str, ...] = ()) -> str:
    """A counter's increase per second."""
    _require(metric, "counter")
    return total(rate(metric.prometheus_name, SCOPE, *matchers), *labels)


def level(metric: Metric, *matchers: str, labels: tuple[str, ...] = ()) -> str:
    """How much there is now."""
    _require(metric, "gauge", "updowncounter")
    return total(select(metric.prometheus_name, SCOPE, *matchers), *labels)


def observation_rate(metric: Metric, *matchers: str, labels: tuple[str, ...] = ()) -> str:
    """How many observations a histogram takes per second."""
    _require(metric, "histogram")
    return total(rate(f"{metric.prometheus_name}_count", SCOPE, *matchers), *labels)


def observed_quantile(share_below: float, metric: Metric, *matchers: str, labels: tuple[str, ...] = ()) -> str:
    """What a share of a histogram's observations stays below."""
    _require(metric, "histogram")
    return quantile(share_below, rate(f"{metric.prometheus_name}_bucket", SCOPE, *matchers), *labels)


def observed_rate(metric: Metric, *matchers: str) -> str:
    """What a histogram's observations add up to per second."""
    _require(metric, "histogram")
    return total(rate(f"{metric.prometheus_name}_sum", SCOPE, *matchers))


def observed_mean(metric: Metric) -> str:
    """The mean of a histogram's observations; nothing where there are none."""
    return f"{total(rate(f'{metric.prometheus_name}_sum', SCOPE))} / {observation_rate(metric)}"


def least(metric: Metric) -> str:
    """The lowest of all instances."""
    _require(metric, "gauge", "updowncounter")
    return f"min({select(metric.prometheus_name, SCOPE)})"


def greatest(metric: Metric) -> str:
    """The highest of all instances."""
    _require(metric, "gauge", "updowncounter")
    return f"max({select(metric.prometheus_name, SCOPE)})"


def lost(*matchers: str, window: str = WINDOW) -> str:
    """Log lines, log records, spans and exports per second that nobody will see."""
    names = (metric.prometheus_name for metric in (LOG_DROPPED, LOG_RECORDS_DROPPED, SPANS_DROPPED, EXPORT_FAILURES))
    return " + ".join(total(rate(name, *(matchers or (SCOPE,)), window=window)) for name in names)


def thrown_away() -> str:
    """Samples and scrapes per second that Prometheus refused, by instance."""
    return " + ".join(rate(name) for name in THROWN_AWAY)


def disk_left(*matchers: str) -> str:
    """The share of the database's disk that is free, where it is least."""
    free, size = (select(metric.prometheus_name, *(matchers or (SCOPE,))) for metric in (DISK_FREE, DISK_SIZE))
    return f"min({free} / {size})"


def store_errors() -> str:
    """Store operations per second that failed or were refused, by operation; 0 where none was."""
    name = f"{STORE_DURATION.prometheus_name}_count"
    by = "db_operation_name"
    return f"{total(rate(name, SCOPE, STORE_FAILED), by)} or {total(rate(name, SCOPE), by)} * 0"


def _require(metric: Metric, *kinds: str) -> None:
    if metric.kind not in kinds:
        raise ValueError(f"{metric.name} is a {metric.kind}, not a {' or '.join(kinds)}")


# What boards ask of Prometheus about deploys and alerts

DEPLOY_SHOWN: Final = "5m"  # Several steps of an annotation, so that one falls into it.
DEPLOY_MEMORY: Final = "1h"


def new_versions() -> str:
    """Versions that were not there a while ago: each has a value for that while after it was deployed.

    Where nothing was there then, but something before, the service was between two lives: that alone is no deploy.
    """
    info = select("target_info", SCOPE)
    then = f"{info} offset {DEPLOY_SHOWN}"
    before = f"last_over_time({info}[{DEPLOY_MEMORY}] offset {DEPLOY_SHOWN})"
    new = f"count by (job, service_version) ({info}) unless count by (job, service_version) ({then})"
    return f"{new} unless on (job) (count by (job) ({before}) unless count by (job) ({then}))"


def firing_alerts() -> str:
    """What fires, each once."""
    return 'max by (alertname, severity, job) (ALERTS{alertstate="firing"})'


def firing_count() -> str:
    """How much fires; 0 where nothing does."""
    return 'count(ALERTS{alertstate="firing"}) or vector(0)'


# What Prometheus says of itself; these names are its own and in no catalogue of ours

THROWN_AWAY: Final = (
    "prometheus_target_scrapes_exceeded_sample_limit_total",
    "prometheus_target_scrapes_exceeded_body_size_limit_total",
    "prometheus_target_scrapes_sample_duplicate_timestamp_total",
    "prometheus_target_scrapes_sample_out_of_bounds_total",
    "prometheus_target_scrapes_sample_out_of_order_total",
)
