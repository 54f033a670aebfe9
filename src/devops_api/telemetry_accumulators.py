"""Histograms that cost a request next to nothing: a bisect and two additions.

Owned by whoever records; read from another thread at collection, which may miss the observation being made just then.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from time import time_ns
from typing import NamedTuple

from devops_api.metrics import Metric


class TraceIds(NamedTuple):
    """Where a sampled request is found: 32 and 16 hexadecimal digits."""

    trace_id: str
    span_id: str


class Exemplar(NamedTuple):
    """An observation of a sampled request, and when it was made, in nanoseconds since 1970."""

    value: float
    trace: TraceIds
    time_ns: int


class Series:
    """One histogram with one set of attributes; `counts` is by bucket, the last one above all bounds."""

    __slots__ = ("attributes", "bounds", "counts", "exemplars", "total")

    def __init__(self, bounds: tuple[float, ...], attributes: Mapping[str, str | int]) -> None:
        self.attributes = attributes
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.exemplars: dict[int, Exemplar] = {}

    def record(self, value: float, trace: TraceIds | None = None) -> None:
        """Take an observation; the last sampled one of each bucket becomes its exemplar."""
        index = bisect_left(self.bounds, value)
        self.counts[index] += 1
        self.total += value
        if trace is not None:
            self.exemplars[index] = Exemplar(value, trace, time_ns())


class Histogram:
    """A metric of the catalogue and its series."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._series: list[Series] = []

    def open_series(self, attributes: Mapping[str, str | int] | None = None) -> Series:
        """A new series. ValueError where the catalogue does not know an attribute or its value."""
        for name, value in (attributes or {}).items():
            allowed = self.metric.attributes.get(name, ())
            if allowed is not None and value not in allowed:
                raise ValueError(f"{self.metric.name} has no {name}={value}")
        series = Series(self.metric.buckets, attributes or {})
        self._series.append(series)
        return series

    def __iter__(self) -> Iterator[Series]:
        return iter(tuple(self._series))


class Count:
    """A total that grows; shown at collection by an observable counter."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def add(self, number: int) -> None:
        """Count `number` more."""
        self.value += number

    def read(self) -> int:
        """The total."""
        return self.value
