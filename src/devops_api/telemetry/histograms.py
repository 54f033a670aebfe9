"""Histograms that cost a request next to nothing: it appends what it observed to a list.

What was appended is sorted into buckets some time later, many observations in one go, from any thread.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from threading import Lock
from time import time_ns
from typing import NamedTuple

from devops_api.telemetry.catalogue import Metric


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
    """One histogram with one set of attributes; `counts` is by bucket, the last one above all bounds.

    `pending` holds what was observed since the last `fold`, always the same list; whoever is in a hurry appends to it.
    """

    __slots__ = ("_folding", "attributes", "bounds", "counts", "exemplars", "pending", "total")

    def __init__(self, bounds: tuple[float, ...], attributes: Mapping[str, str | int]) -> None:
        self.attributes = attributes
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.pending: list[float] = []
        self.exemplars: dict[int, Exemplar] = {}
        self._folding = Lock()

    def record(self, value: float, trace: TraceIds | None = None) -> None:
        """Take an observation; the last sampled one of each bucket becomes its exemplar."""
        self.pending.append(value)
        if trace is not None:
            self.exemplars[bisect_left(self.bounds, value)] = Exemplar(value, trace, time_ns())

    def fold(self) -> None:
        """Count what is pending; what is appended meanwhile waits for the next time."""
        with self._folding:
            self._fold()

    def read(self) -> tuple[list[int], float]:
        """Counts by bucket and the total, everything observed so far in both."""
        with self._folding:
            self._fold()
            return self.counts[:], self.total

    def _fold(self) -> None:
        values = self.pending[:]
        del self.pending[: len(values)]
        self.total += sum(values)
        if max(values, default=0.0) <= self.bounds[0]:  # As most are, and then there is nothing to sort.
            self.counts[0] += len(values)
            return
        values.sort()
        start = 0
        for index, bound in enumerate(self.bounds):
            if start == len(values):
                return
            end = bisect_right(values, bound, start)
            self.counts[index] += end - start
            start = end
        self.counts[-1] += len(values) - start


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

    def fold(self) -> None:
        """Count what is pending."""
        for series in tuple(self._series):
            if series.pending:
                series.fold()

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
