"""Spans and log records that do not fit into the SDK's queues are counted, although the SDK drops them silently."""

import sys
from collections.abc import Sized

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from devops_api.telemetry.queues import LogRecordQueue, SpanQueue


class Idle(SpanExporter):
    """Accepts everything and keeps nothing."""

    def export(self, spans: object) -> SpanExportResult:  # noqa: ARG002
        """Accept a batch."""
        return SpanExportResult.SUCCESS


def test_the_private_names_of_the_sdk_exist() -> None:
    spans = BatchSpanProcessor(Idle(), max_queue_size=7, max_export_batch_size=7)
    records = BatchLogRecordProcessor(InMemoryLogRecordExporter(), max_queue_size=7, max_export_batch_size=7)
    for processor in (spans, records):
        assert processor._batch_processor._queue.maxlen == 7
        processor.shutdown()


@pytest.fixture
def small_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK reads the sizes of its queues from the process's own environment."""
    for queue in ("BSP", "BLRP"):
        for size in ("QUEUE_SIZE", "EXPORT_BATCH_SIZE"):
            monkeypatch.setenv(f"OTEL_{queue}_MAX_{size}", "7")


@pytest.mark.usefixtures("small_queues")
def test_each_span_that_does_not_fit_is_reported() -> None:
    dropped: list[int] = []
    queue = SpanQueue(Idle(), dropped.append)
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(queue)
    with queue._batch_processor._export_lock:  # Nothing leaves the queue meanwhile.
        for _ in range(10):
            tracers.get_tracer("t").start_span("one").end()
    queue.shutdown()
    assert sum(dropped) == 3


@pytest.mark.usefixtures("small_queues")
def test_each_span_is_either_exported_or_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads fill and empty the queue, and switch a thousand times more often than usual."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    taken: list[int] = []
    dropped: list[int] = []

    class Counting(Idle):
        def export(self, spans: Sized) -> SpanExportResult:
            taken.append(len(spans))
            return SpanExportResult.SUCCESS

    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SpanQueue(Counting(), dropped.append))
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(usual_s / 1_000)
    try:
        for _ in range(20_000):
            tracers.get_tracer("t").start_span("one").end()
        tracers.shutdown()
    finally:
        sys.setswitchinterval(usual_s)
    assert min(len(taken), len(dropped)) > 0
    assert sum(taken) + sum(dropped) == 20_000


@pytest.mark.usefixtures("small_queues")
def test_each_log_record_that_does_not_fit_is_reported() -> None:
    dropped: list[int] = []
    exporter = InMemoryLogRecordExporter()
    queue = LogRecordQueue(exporter, dropped.append)
    loggers = LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(queue)
    with queue._batch_processor._export_lock:
        for number in range(10):
            loggers.get_logger("t").emit(body=number)
    queue.force_flush()
    assert [entry.log_record.body for entry in exporter.get_finished_logs()] == [3, 4, 5, 6, 7, 8, 9]
    assert sum(dropped) == 3
    queue.shutdown()
