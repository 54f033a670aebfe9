"""Queries that fit any metric of the catalogue, by the kind of its instrument.

Each function raises ValueError for a metric of another kind, so that no dashboard takes the rate of a gauge.
"""

from typing import Final

from observability.queries import metrics as m
from observability.queries.promql import SCOPE, rate, select, total
from observability.queries.promql import quantile as quantile_of_buckets

_SUFFIXES: Final = {"histogram": ("_count", "_bucket", "_sum")}
SERIES: Final = tuple(
    metric.prometheus_name + suffix for metric in m.CATALOGUE for suffix in _SUFFIXES.get(metric.kind, ("",))
)


def counter_rate(metric: m.Metric, *matchers: str, labels: tuple[str, ...] = ()) -> str:
    """Return a counter's increase per second."""
    _require(metric, "counter")
    return total(rate(metric.prometheus_name, SCOPE, *matchers), *labels)


def level(metric: m.Metric, *matchers: str, labels: tuple[str, ...] = ()) -> str:
    """Return the present value of a gauge, summed over instances."""
    _require(metric, "gauge", "updowncounter")
    return total(select(metric.prometheus_name, SCOPE, *matchers), *labels)


def lowest(metric: m.Metric) -> str:
    """Return the lowest value of a gauge among instances."""
    _require(metric, "gauge", "updowncounter")
    return f"min({select(metric.prometheus_name, SCOPE)})"


def highest(metric: m.Metric) -> str:
    """Return the highest value of a gauge among instances."""
    _require(metric, "gauge", "updowncounter")
    return f"max({select(metric.prometheus_name, SCOPE)})"


def observation_rate(metric: m.Metric, *matchers: str, labels: tuple[str, ...] = ()) -> str:
    """Return a histogram's observations per second."""
    _require(metric, "histogram")
    return total(rate(f"{metric.prometheus_name}_count", SCOPE, *matchers), *labels)


def quantile(share: float, metric: m.Metric, *matchers: str, labels: tuple[str, ...] = ()) -> str:
    """Return a quantile of a histogram."""
    _require(metric, "histogram")
    return quantile_of_buckets(share, rate(f"{metric.prometheus_name}_bucket", SCOPE, *matchers), *labels)


def sum_rate(metric: m.Metric, *matchers: str) -> str:
    """Return the sum of a histogram's observations per second."""
    _require(metric, "histogram")
    return total(rate(f"{metric.prometheus_name}_sum", SCOPE, *matchers))


def mean(metric: m.Metric) -> str:
    """Return the mean of a histogram's observations; no value without observations."""
    return f"{sum_rate(metric)} / {observation_rate(metric)}"


def _require(metric: m.Metric, *kinds: str) -> None:
    if metric.kind not in kinds:
        raise ValueError(f"{metric.name} is a {metric.kind}, not a {' or '.join(kinds)}")
