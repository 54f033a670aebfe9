"""Histograms that cost a request one append: observations are sorted into buckets later, many at once."""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, MutableSequence
from threading import Lock
from time import time_ns
from typing import NamedTuple

from devops_api.telemetry.catalogue import Metric


class TraceIds(NamedTuple):
    """The trace and the span of a sampled request: 32 and 16 hexadecimal digits."""

    trace_id: str
    span_id: str


class Exemplar(NamedTuple):
    """An observation of a sampled request; `time_ns` is its Unix time."""

    value: float
    trace: TraceIds
    time_ns: int


class Series:
    """A histogram's counts for one set of attributes. `counts` is by bucket; the last bucket is above all bounds.

    `pending` holds the observations since the last fold. It is always the same sequence: hot paths may append to it.
    """

    __slots__ = ("_fold_lock", "attributes", "bounds", "counts", "exemplars", "pending", "total")

    def __init__(
        self,
        bounds: tuple[float, ...],
        attributes: Mapping[str, str | int],
        pending: MutableSequence[float] | None = None,
    ) -> None:
        self.attributes = attributes
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.pending: MutableSequence[float] = [] if pending is None else pending
        self.exemplars: dict[int, Exemplar] = {}
        self._fold_lock = Lock()

    def record(self, value: float, trace: TraceIds | None = None) -> None:
        """Record an observation. The last sampled one of each bucket becomes its exemplar."""
        self.pending.append(value)
        if trace is not None:
            self.exemplars[bisect_left(self.bounds, value)] = Exemplar(value, trace, time_ns())

    def fold(self) -> None:
        """Count the pending observations. Later ones wait for the next fold."""
        with self._fold_lock:
            self._fold()

    def read(self) -> tuple[list[int], float]:
        """Return the counts by bucket and the total of all observations so far."""
        with self._fold_lock:
            self._fold()
            return self.counts[:], self.total

    def _fold(self) -> None:
        values = list(self.pending)
        del self.pending[: len(values)]
        self.total += sum(values)
        if max(values, default=0.0) <= self.bounds[0]:  # Most observations are in the first bucket: no need to sort.
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
    """The series of a metric. With `is_silent` they discard observations."""

    def __init__(self, metric: Metric, *, is_silent: bool = False) -> None:
        self.metric = metric
        self._is_silent = is_silent
        self._series: list[Series] = []

    def open_series(self, attributes: Mapping[str, str | int] | None = None) -> Series:
        """Open a new series. ValueError: the metric does not declare an attribute or its value."""
        self.metric.check(attributes or {})
        if self._is_silent:
            return Series(self.metric.buckets, attributes or {}, pending=deque(maxlen=0))
        series = Series(self.metric.buckets, attributes or {})
        self._series.append(series)
        return series

    def fold(self) -> None:
        """Count the pending observations of all series."""
        for series in tuple(self._series):
            if series.pending:
                series.fold()

    def __iter__(self) -> Iterator[Series]:
        return iter(tuple(self._series))
