"""OTLP over HTTP for each signal that has an endpoint: bounded queues, counted losses, a bounded exit."""

from collections.abc import Callable, Mapping, Sequence
from threading import Thread
from time import monotonic
from typing import Any, Final

from opentelemetry import trace
from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource

from devops_api.logs.formats import Line
from devops_api.logs.writer import FormattedLine, Sink
from devops_api.telemetry.bridge import InstrumentBridge, OtlpReader
from devops_api.telemetry.catalogue import EXPORT_FAILURES, LOG_RECORDS_DROPPED, SPANS_DROPPED
from devops_api.telemetry.instruments import Counter, Instruments
from devops_api.telemetry.queues import CountingExporter, LogRecordQueue, SpanQueue

DEFAULT_TIMEOUT_S: Final = 10.0
Shutdown = Callable[[int], object]  # called with its timeout in milliseconds
_SEVERITIES: Final = {
    10: SeverityNumber.DEBUG,
    20: SeverityNumber.INFO,
    30: SeverityNumber.WARN,
    40: SeverityNumber.ERROR,
}


def open_span_queue(environment: Mapping[str, str], instruments: Instruments) -> SpanQueue | None:
    """Start exporting spans; None without an endpoint."""
    dropped = instruments.counter(SPANS_DROPPED)
    exporter = _create_exporter(OTLPSpanExporter, "traces", environment, instruments, dropped)
    return None if exporter is None else SpanQueue(exporter, lambda number: dropped.add(number, "queue_full"))


def open_metric_reader(environment: Mapping[str, str], bridge: InstrumentBridge) -> OtlpReader | None:
    """Create a reader that exports metrics; None without an endpoint."""
    exporter = _create_exporter(OTLPMetricExporter, "metrics", environment, bridge.instruments)
    interval_ms = environment.get("OTEL_METRIC_EXPORT_INTERVAL")
    return None if exporter is None else OtlpReader(exporter, bridge, float(interval_ms) if interval_ms else None)


def open_log_provider(
    environment: Mapping[str, str], resource: Resource, instruments: Instruments
) -> LoggerProvider | None:
    """Start exporting log records; None without an endpoint."""
    dropped = instruments.counter(LOG_RECORDS_DROPPED)
    exporter = _create_exporter(OTLPLogExporter, "logs", environment, instruments, dropped)
    if exporter is None:
        return None
    provider = LoggerProvider(resource, shutdown_on_exit=False)
    provider.add_log_record_processor(LogRecordQueue(exporter, lambda number: dropped.add(number, "queue_full")))
    return provider


def create_log_sink(provider: LoggerProvider, instruments: Instruments) -> Sink:
    """Create a sink that makes log records of log lines."""
    logger = provider.get_logger("devops_api")
    dropped = instruments.counter(LOG_RECORDS_DROPPED)

    def send(lines: Sequence[FormattedLine]) -> None:
        for line, document in lines:
            if str(document.get("logger", "")).startswith("opentelemetry"):
                continue  # An exporter that logs its failed exports must not cause further exports.
            try:
                _emit(logger, line, document)
            except Exception:  # noqa: BLE001 - the fields can be anything, and the log continues
                dropped.add(1, "not_taken")

    return send


def find_endpoint(environment: Mapping[str, str], signal: str) -> str | None:
    """Return the endpoint of a signal; None without one, or with `OTEL_TRACES_EXPORTER=none` and the like."""
    if environment.get(f"OTEL_{signal.upper()}_EXPORTER") == "none":
        return None
    if own := environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"):
        return own
    base = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return f"{base.rstrip('/')}/v1/{signal}" if base else None


def shut_down(shutdowns: Sequence[Shutdown], timeout_s: float) -> None:
    """Flush all at once for at most `timeout_s`. What is not sent by then is lost: a collector may be dead."""
    deadline = monotonic() + timeout_s
    threads = [Thread(target=shutdown, args=(int(timeout_s * 1e3),), daemon=True) for shutdown in shutdowns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - monotonic(), 0))


def _create_exporter(
    exporter_class: Any,
    signal: str,
    environment: Mapping[str, str],
    instruments: Instruments,
    dropped: Counter | None = None,
) -> Any:
    """Create an exporter that counts what the collector does not accept; None without an endpoint."""
    failures = instruments.counter(EXPORT_FAILURES)
    endpoint = find_endpoint(environment, signal)
    if endpoint is None:
        return None

    def count(batch: Any) -> None:
        failures.add(1, signal)
        if dropped is not None:
            dropped.add(len(batch), "not_taken")

    return CountingExporter(exporter_class(endpoint=endpoint, timeout=_find_timeout_s(environment, signal)), count)


def _find_timeout_s(environment: Mapping[str, str], signal: str) -> float:
    own = environment.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_TIMEOUT")
    return float(own or environment.get("OTEL_EXPORTER_OTLP_TIMEOUT") or DEFAULT_TIMEOUT_S)


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
    context = trace.SpanContext(int(line.trace_id, 16), span_id, is_remote=False, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(context))


def _flatten(document: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in document.items() if name not in {"timestamp", "level", "event", "error"}}
    error = document.get("error") or {}
    names = {"type": "exception.type", "message": "exception.message", "traceback": "exception.stacktrace"}
    return fields | {names[name]: value for name, value in error.items()}
