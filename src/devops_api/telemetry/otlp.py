"""OTLP over HTTP for each signal that has an endpoint: bounded queues, losses counted, exit not held up."""

from collections.abc import Callable, Mapping, Sequence
from threading import Thread
from time import monotonic
from typing import Any, Final, NamedTuple

from opentelemetry import trace
from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor

from devops_api.logs.formats import Line
from devops_api.logs.writer import FormattedLine, Sink
from devops_api.telemetry.bridge import CountingExporter, HistogramBridge, LogRecordQueue, OtlpReader, SpanQueue
from devops_api.telemetry.catalogue import DROPS, SIGNALS
from devops_api.telemetry.histograms import Count

DEFAULT_TIMEOUT_S: Final = 10.0
_SEVERITIES: Final = {
    10: SeverityNumber.DEBUG,
    20: SeverityNumber.INFO,
    30: SeverityNumber.WARN,
    40: SeverityNumber.ERROR,
}


class Pipelines(NamedTuple):
    """What was set up: a part is None where its signal has no endpoint."""

    spans: SpanProcessor | None
    metrics: MetricReader | None
    log_sink: Sink | None
    shutdowns: Sequence[Callable[[int], object]]


class Losses:
    """What the collector did not get: exports by signal, spans and log records by reason."""

    def __init__(self) -> None:
        self.exports = {signal: Count() for signal in SIGNALS}
        self.spans = {reason: Count() for reason in DROPS}
        self.log_records = {reason: Count() for reason in DROPS}


def open_pipelines(
    environment: Mapping[str, str], resource: Resource, accumulated: HistogramBridge, losses: Losses
) -> Pipelines:
    """Start exporting what the environment gives an endpoint for."""

    def create(exporter_class: Any, signal: str, not_taken: Count | None = None) -> Any:
        endpoint = find_endpoint(environment, signal)
        if endpoint is None:
            return None

        def count(batch: Any) -> None:
            losses.exports[signal].add(1)
            if not_taken is not None:
                not_taken.add(len(batch))

        return CountingExporter(exporter_class(endpoint=endpoint, timeout=_find_timeout_s(environment, signal)), count)

    shutdowns: list[Callable[[int], object]] = []
    spans = metrics = sink = None
    if (exporter := create(OTLPSpanExporter, "traces", losses.spans["not_taken"])) is not None:
        spans = SpanQueue(exporter, losses.spans["queue_full"].add)
        # The queue's own shutdown has no time limit to give; the thread that it waits in has.
        shutdowns.append(lambda _: spans.shutdown())  # type: ignore[no-untyped-call]
    if (exporter := create(OTLPMetricExporter, "metrics")) is not None:
        interval_ms = environment.get("OTEL_METRIC_EXPORT_INTERVAL")
        metrics = OtlpReader(exporter, accumulated, float(interval_ms) if interval_ms else None)
        shutdowns.append(lambda timeout_ms: metrics.shutdown(timeout_millis=timeout_ms))
    if (exporter := create(OTLPLogExporter, "logs", losses.log_records["not_taken"])) is not None:
        provider = LoggerProvider(resource, shutdown_on_exit=False)
        provider.add_log_record_processor(LogRecordQueue(exporter, losses.log_records["queue_full"].add))
        sink = _create_sink(provider, losses.log_records["not_taken"])
        shutdowns.append(lambda _: provider.shutdown())
    return Pipelines(spans, metrics, sink, shutdowns)


def find_endpoint(environment: Mapping[str, str], signal: str) -> str | None:
    """Where a signal goes; None where it goes nowhere (`OTEL_TRACES_EXPORTER=none` and its like)."""
    if environment.get(f"OTEL_{signal.upper()}_EXPORTER") == "none":
        return None
    if own := environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"):
        return own
    base = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return f"{base.rstrip('/')}/v1/{signal}" if base else None


def shut_down(shutdowns: Sequence[Callable[[int], object]], timeout_s: float) -> None:
    """Flush all at once for at most `timeout_s`; what is not sent then is lost, for a collector may be dead."""
    deadline = monotonic() + timeout_s
    threads = [Thread(target=shutdown, args=(int(timeout_s * 1e3),), daemon=True) for shutdown in shutdowns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - monotonic(), 0))


def _find_timeout_s(environment: Mapping[str, str], signal: str) -> float:
    own = environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_TIMEOUT")
    return float(own or environment.get("OTEL_EXPORTER_OTLP_TIMEOUT") or DEFAULT_TIMEOUT_S)


def _create_sink(provider: LoggerProvider, not_taken: Count) -> Sink:
    logger = provider.get_logger("devops_api")

    def send(described: Sequence[FormattedLine]) -> None:
        for line, document in described:
            if str(document.get("logger", "")).startswith("opentelemetry"):
                continue  # An exporter that complains of its exports must not make more of them.
            try:
                _emit(logger, line, document)
            except Exception:  # noqa: BLE001 - fields are anything, and the log goes on
                not_taken.add(1)

    return send


def _emit(logger: Logger, line: Line, document: Mapping[str, Any]) -> None:
    logger.emit(
        timestamp=int(line.time_s * 1e9),
        context=_create_context(line),
        severity_number=_SEVERITIES[line.level],
        severity_text=document["level"],
        body=line.event,
        event_name=line.event,
        attributes=_flatten(document),
    )


def _create_context(line: Line) -> Any:
    if line.trace_id is None:
        return None
    span_id = int(line.span_id, 16) if line.span_id else 0
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if line.span_id else trace.TraceFlags.DEFAULT)
    place = trace.SpanContext(int(line.trace_id, 16), span_id, is_remote=False, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(place))


def _flatten(document: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in document.items() if name not in {"timestamp", "level", "event", "error"}}
    error = document.get("error") or {}
    names = {"type": "exception.type", "message": "exception.message", "traceback": "exception.stacktrace"}
    return fields | {names[name]: value for name, value in error.items()}
