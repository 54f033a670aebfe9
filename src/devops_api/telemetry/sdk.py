"""The OpenTelemetry SDK of one service: readers of metrics, and exporters of the signals that have an endpoint."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from prometheus_client import CollectorRegistry

from devops_api.identity import Identity
from devops_api.logs.writer import Sink
from devops_api.telemetry.bridge import InstrumentBridge, PrometheusReader
from devops_api.telemetry.instrumentation import choose_conventions, create_resource, observe_process
from devops_api.telemetry.instruments import Instruments
from devops_api.telemetry.otlp import (
    Shutdown,
    create_log_sink,
    open_log_provider,
    open_metric_reader,
    open_span_queue,
)
from devops_api.telemetry.spans import Spans


class Sdk(NamedTuple):
    """The open SDK. `spans` and `log_sink` are None if their signal has no endpoint."""

    registry: CollectorRegistry
    spans: Spans | None
    log_sink: Sink | None
    shutdowns: Sequence[Shutdown]


def open_sdk(identity: Identity, environment: Mapping[str, str], instruments: Instruments) -> Sdk:
    """Open the readers and exporters that the environment configures."""
    choose_conventions()
    resource = create_resource(identity, environment)
    bridge = InstrumentBridge(instruments)
    prometheus = PrometheusReader(bridge)
    span_queue = open_span_queue(environment, instruments)
    metric_reader = open_metric_reader(environment, bridge)
    log_provider = open_log_provider(environment, resource, instruments)
    shutdowns: list[Shutdown] = []
    if span_queue is not None:
        # Its own shutdown takes no time limit; `shut_down` waits for it in a thread that has one.
        shutdowns.append(lambda _: span_queue.shutdown())  # type: ignore[no-untyped-call]
    if metric_reader is not None:
        shutdowns.append(lambda timeout_ms: metric_reader.shutdown(timeout_millis=timeout_ms))
    if log_provider is not None:
        shutdowns.append(lambda _: log_provider.shutdown())
    readers = [prometheus] if metric_reader is None else [prometheus, metric_reader]
    observe_process(MeterProvider(readers, resource, shutdown_on_exit=False, exemplar_filter=AlwaysOffExemplarFilter()))
    return Sdk(
        prometheus.registry,
        None if span_queue is None else Spans(resource, span_queue),
        None if log_provider is None else create_log_sink(log_provider, instruments),
        shutdowns,
    )
