"""Joins the accumulators to the OpenTelemetry SDK: its readers see them as ordinary histogram points with exemplars.

The only module that uses names which the SDK and its Prometheus exporter keep for themselves; neither has exemplars in
the exposition (open-telemetry/opentelemetry-python#4178) nor a way to hand a reader points of one's own.
`tests/test_telemetry_sdk.py` fails when these names change.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import Lock
from time import time_ns
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    MetricExporter,
    MetricsData,
    PeriodicExportingMetricReader,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.export import Histogram as SdkHistogram
from opentelemetry.sdk.metrics.export import Metric as SdkMetric
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family
from prometheus_client.samples import Exemplar as PrometheusExemplar

from devops_api import __version__
from devops_api.telemetry.catalogue import label_name
from devops_api.telemetry.histograms import Histogram, Series

_SCOPE = InstrumentationScope("devops_api", __version__)


class HistogramBridge:
    """The histograms that join every collection; points start at the moment this was made."""

    def __init__(self, histograms: Sequence[Histogram]) -> None:
        self.histograms = histograms
        self._started_ns = time_ns()

    def join(self, data: MetricsData) -> MetricsData:
        """What the SDK collected, with the accumulators' points beside it."""
        first, *others = data.resource_metrics
        now_ns = time_ns()
        metrics = [self._make_metric(histogram, now_ns) for histogram in self.histograms]
        # The OTLP exporter keeps one entry for each scope: ours must hold what the SDK collected under its name too.
        own = [metric for entry in first.scope_metrics if entry.scope.name == _SCOPE.name for metric in entry.metrics]
        rest = [entry for entry in first.scope_metrics if entry.scope.name != _SCOPE.name]
        scopes = [*rest, ScopeMetrics(_SCOPE, [*own, *metrics], "")]
        return MetricsData([ResourceMetrics(first.resource, scopes, first.schema_url), *others])

    def _make_metric(self, histogram: Histogram, now_ns: int) -> SdkMetric:
        points = [self._make_point(series, now_ns) for series in histogram]
        data = SdkHistogram(points, AggregationTemporality.CUMULATIVE)
        return SdkMetric(histogram.metric.name, histogram.metric.help, histogram.metric.unit, data)

    def _make_point(self, series: Series, now_ns: int) -> HistogramDataPoint:
        counts, total = series.read()
        exemplars = [
            SdkExemplar({}, entry.value, entry.time_ns, int(entry.trace.span_id, 16), int(entry.trace.trace_id, 16))
            for entry in tuple(series.exemplars.values())
        ]
        return HistogramDataPoint(
            attributes=dict(series.attributes),
            start_time_unix_nano=self._started_ns,
            time_unix_nano=now_ns,
            count=sum(counts),
            sum=total,
            bucket_counts=counts,
            explicit_bounds=series.bounds,
            # Extremes are not kept: of all time they say little, and Prometheus has no place for them.
            min=None,  # type: ignore[arg-type]
            max=None,  # type: ignore[arg-type]
            exemplars=exemplars,
        )


class PrometheusReader(PrometheusMetricReader):
    """Collects for the Prometheus exposition, from a registry of its own."""

    def __init__(self, accumulated: HistogramBridge) -> None:
        self._accumulated = accumulated
        registry = CollectorRegistry()
        super().__init__(scope_info_enabled=False, registry=registry)
        registry.unregister(self._collector)
        self.registry = CollectorRegistry()
        self.registry.register(ExemplarCollector(self._collector, accumulated))

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        super()._receive_metrics(self._accumulated.join(metrics_data), timeout_millis, **kwargs)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Nothing to let go of."""


class ExemplarCollector:
    """The exporter's collector, with exemplars put on the buckets they fell into."""

    def __init__(self, collector: Any, accumulated: HistogramBridge) -> None:
        self._collector = collector
        self._accumulated = accumulated

    def collect(self) -> Iterator[Family]:
        """The metric families."""
        exemplars = dict(self._find_exemplars())
        for family in self._collector.collect():
            if exemplars and family.type == "histogram":
                family.samples = [
                    sample._replace(exemplar=exemplars.get((sample.name, _make_key(sample.labels))))
                    for sample in family.samples
                ]
            yield family

    def _find_exemplars(self) -> Iterator[tuple[tuple[str, frozenset[tuple[str, str]]], PrometheusExemplar]]:
        for histogram in self._accumulated.histograms:
            name = f"{histogram.metric.prometheus_name}_bucket"
            for series in histogram:
                if not series.exemplars:
                    continue
                labels = {label_name(key): str(value) for key, value in series.attributes.items()}
                for index, entry in tuple(series.exemplars.items()):
                    bound = str(series.bounds[index]) if index < len(series.bounds) else "+Inf"
                    key = name, _make_key(labels | {"le": bound})
                    yield key, PrometheusExemplar(entry.trace._asdict(), entry.value, entry.time_ns / 1e9)


def _make_key(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """The labels without those that the exporter adds, empty, where only other series of the metric have them."""
    return frozenset(item for item in labels.items() if item[1])


class OtlpReader(PeriodicExportingMetricReader):
    """Collects for OTLP."""

    def __init__(
        self, exporter: MetricExporter, accumulated: HistogramBridge, interval_ms: float | None = None
    ) -> None:
        self._accumulated = accumulated
        super().__init__(exporter, export_interval_millis=interval_ms)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        super()._receive_metrics(self._accumulated.join(metrics_data), timeout_millis, **kwargs)


class SpanQueue(BatchSpanProcessor):
    """The SDK's bounded queue of spans, which tells of each that did not fit."""

    def __init__(self, exporter: SpanExporter, on_drop: Callable[[int], None]) -> None:
        super().__init__(exporter)
        _tell_of_drops(self._batch_processor, on_drop)


class LogRecordQueue(BatchLogRecordProcessor):
    """The SDK's bounded queue of log records, which tells of each that did not fit."""

    def __init__(self, exporter: LogRecordExporter, on_drop: Callable[[int], None]) -> None:
        super().__init__(exporter)
        _tell_of_drops(self._batch_processor, on_drop)


def _tell_of_drops(processor: Any, on_drop: Callable[[int], None]) -> None:
    queue = processor._queue  # noqa: SLF001 - see the module's docstring
    processor._queue = _Queue(queue.maxlen, on_drop)  # noqa: SLF001


class _Queue(deque[Any]):
    """Tells of each element that its newest one pushes out.

    To look whether it is full and then to add is one step, or too many are counted: the exporter's thread takes out.
    """

    def __init__(self, size: int, on_drop: Callable[[int], None]) -> None:
        super().__init__((), size)
        self._on_drop = on_drop
        self._lock = Lock()

    def appendleft(self, element: Any) -> None:
        with self._lock:
            if len(self) == self.maxlen:
                self._on_drop(1)
            super().appendleft(element)

    def pop(self) -> Any:  # type: ignore[override]
        with self._lock:
            return super().pop()


class CountingExporter:
    """An OTLP exporter that hands over each batch that the collector did not take."""

    def __init__(self, exporter: Any, on_failure: Callable[[Any], None]) -> None:
        self._exporter = exporter
        self._on_failure = on_failure

    def export(self, batch: Iterable[Any], *arguments: Any, **options: Any) -> Any:
        """Export a batch."""
        try:
            result = self._exporter.export(batch, *arguments, **options)
        except Exception:
            self._on_failure(batch)
            raise
        if result.name != "SUCCESS":
            self._on_failure(batch)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exporter, name)
