"""Everything a service measures: counters, histograms, and values that are read at each collection."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import product

from devops_api.telemetry.catalogue import Metric
from devops_api.telemetry.histograms import Histogram

Attributes = Mapping[str, str]
Read = Callable[[], float]


class Counter:
    """Totals of one metric, one for each combination of its attribute values. All begin at 0.

    The metric's attributes must be closed sets.
    """

    __slots__ = ("_totals", "metric")

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        values = [allowed or () for allowed in metric.attributes.values()]
        self._totals: dict[tuple[str, ...], int] = dict.fromkeys(product(*values), 0)

    def add(self, number: int = 1, *values: str) -> None:
        """Add `number` to the total with these attribute values, given in the order of the metric's attributes.

        ValueError: the metric does not declare the values. Not to be called by two threads at once.
        """
        if values not in self._totals:
            raise ValueError(f"{self.metric.name} has no attribute values {values}")
        self._totals[values] += number

    def read(self, *values: str) -> int:
        """Return the total with these attribute values."""
        return self._totals[values]

    def points(self) -> Iterator[tuple[Attributes, float]]:
        """Iterate over the attributes and totals."""
        for values, total in self._totals.items():
            yield dict(zip(self.metric.attributes, values, strict=True)), total


class Observed:
    """Values of one metric that are read at each collection, in the collecting thread."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._reads: list[tuple[Attributes, Read]] = []

    def add(self, read: Read, attributes: Attributes) -> None:
        """Add a value. ValueError: the metric does not declare the attributes."""
        self.metric.check(attributes)
        self._reads.append((attributes, read))

    def points(self) -> Iterator[tuple[Attributes, float]]:
        """Iterate over the attributes and values. A value whose `read` raises OSError is left out."""
        for attributes, read in tuple(self._reads):
            with suppress(OSError):
                yield attributes, read()


class Instruments:
    """The instruments of a service, one for each metric; each is created on first use."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._observed: dict[str, Observed] = {}

    def counter(self, metric: Metric) -> Counter:
        """Return the counter of a metric."""
        if metric.name not in self._counters:
            self._counters[metric.name] = Counter(metric)
        return self._counters[metric.name]

    def histogram(self, metric: Metric) -> Histogram:
        """Return the histogram of a metric."""
        if metric.name not in self._histograms:
            self._histograms[metric.name] = Histogram(metric)
        return self._histograms[metric.name]

    def observe(self, metric: Metric, read: Read, attributes: Attributes | None = None) -> None:
        """Call `read` for the value of a gauge or a total at each collection, in the collecting thread."""
        if metric.name not in self._observed:
            self._observed[metric.name] = Observed(metric)
        self._observed[metric.name].add(read, attributes or {})

    def histograms(self) -> tuple[Histogram, ...]:
        """Return all histograms."""
        return tuple(self._histograms.values())

    def numbers(self) -> tuple[Counter | Observed, ...]:
        """Return everything that is not a histogram."""
        return *self._counters.values(), *self._observed.values()
