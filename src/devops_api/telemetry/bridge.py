"""Join our instruments to the OpenTelemetry SDK: its readers see ordinary points, histograms with exemplars.

This module and `queues` alone use private names of the SDK and its Prometheus exporter: a reader cannot be given points
that the SDK did not aggregate, and the exporter writes no exemplars (open-telemetry/opentelemetry-python#4178).
`tests/telemetry/test_bridge.py` fails when these names change.
"""

from collections.abc import Iterator, Mapping
from time import time_ns
from typing import Any, Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    MetricExporter,
    MetricsData,
    NumberDataPoint,
    PeriodicExportingMetricReader,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as SdkHistogram
from opentelemetry.sdk.metrics.export import Metric as SdkMetric
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family
from prometheus_client.samples import Exemplar as PrometheusExemplar

from devops_api import __version__
from devops_api.telemetry.catalogue import Metric, label_name
from devops_api.telemetry.histograms import Histogram, Series
from devops_api.telemetry.instruments import Counter, Instruments, Observed

_SCOPE: Final = InstrumentationScope("devops_api", __version__)
_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE


class InstrumentBridge:
    """Adds the points of our instruments to each collection, under a scope of their own.

    Cumulative points start when the bridge is created.
    """

    def __init__(self, instruments: Instruments) -> None:
        self.instruments = instruments
        self._started_ns = time_ns()

    def join(self, data: MetricsData) -> MetricsData:
        """Return what the SDK collected together with our points."""
        first, *others = data.resource_metrics
        now_ns = time_ns()
        metrics = [self._make_numbers(numbers, now_ns) for numbers in self.instruments.numbers()]
        metrics += [self._make_histogram(histogram, now_ns) for histogram in self.instruments.histograms()]
        scopes = [*first.scope_metrics, ScopeMetrics(_SCOPE, metrics, "")]
        return MetricsData([ResourceMetrics(first.resource, scopes, first.schema_url), *others])

    def _make_numbers(self, numbers: Counter | Observed, now_ns: int) -> SdkMetric:
        metric = numbers.metric
        points = [
            NumberDataPoint(attributes, self._started_ns, now_ns, value) for attributes, value in numbers.points()
        ]
        if metric.kind == "gauge":
            return _make_metric(metric, Gauge(points))
        return _make_metric(metric, Sum(points, _CUMULATIVE, is_monotonic=metric.kind == "counter"))

    def _make_histogram(self, histogram: Histogram, now_ns: int) -> SdkMetric:
        points = [self._make_histogram_point(series, now_ns) for series in histogram]
        return _make_metric(histogram.metric, SdkHistogram(points, _CUMULATIVE))

    def _make_histogram_point(self, series: Series, now_ns: int) -> HistogramDataPoint:
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
            # Not kept: an all-time minimum is of little use, and Prometheus cannot represent it.
            min=None,  # type: ignore[arg-type]
            max=None,  # type: ignore[arg-type]
            exemplars=exemplars,
        )


def _make_metric(metric: Metric, data: Any) -> SdkMetric:
    return SdkMetric(metric.name, metric.help, metric.unit, data)


class PrometheusReader(PrometheusMetricReader):
    """Collects for the Prometheus exposition. `registry` must have no other collector."""

    def __init__(self, bridge: InstrumentBridge) -> None:
        self._bridge = bridge
        registry = CollectorRegistry()
        super().__init__(scope_info_enabled=False, registry=registry)
        registry.unregister(self._collector)
        self.registry = CollectorRegistry()
        self.registry.register(ExemplarCollector(self._collector, bridge.instruments))

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        super()._receive_metrics(self._bridge.join(metrics_data), timeout_millis, **kwargs)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Do nothing: the registry is not global."""


class ExemplarCollector:
    """The exporter's collector, with exemplars on the buckets of their observations, sorted by name."""

    def __init__(self, collector: Any, instruments: Instruments) -> None:
        self._collector = collector
        self._instruments = instruments

    def collect(self) -> Iterator[Family]:
        """Iterate over the metric families."""
        exemplars = dict(self._find_exemplars())
        # Sorted, so that the exposition does not depend on which part of a service was created first.
        for family in sorted(self._collector.collect(), key=lambda family: str(family.name)):
            if exemplars and family.type == "histogram":
                family.samples = [
                    sample._replace(exemplar=exemplars.get((sample.name, _make_key(sample.labels))))
                    for sample in family.samples
                ]
            yield family

    def _find_exemplars(self) -> Iterator[tuple[tuple[str, frozenset[tuple[str, str]]], PrometheusExemplar]]:
        for histogram in self._instruments.histograms():
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
    """Return the labels without empty ones: the exporter adds those that only other series of the metric have."""
    return frozenset(item for item in labels.items() if item[1])


class OtlpReader(PeriodicExportingMetricReader):
    """Collects for OTLP."""

    def __init__(self, exporter: MetricExporter, bridge: InstrumentBridge, interval_ms: float | None = None) -> None:
        self._bridge = bridge
        super().__init__(exporter, export_interval_millis=interval_ms)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        super()._receive_metrics(self._bridge.join(metrics_data), timeout_millis, **kwargs)
