"""One module leans on names that the SDK keeps for itself: a change of them must fail here, not at a user's."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Sized
from pathlib import Path
from time import monotonic, time
from typing import Any

import aiohttp
import pytest
from conftest import StartService
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry

from devops_api.telemetry.bridge import LogRecordQueue, SpanQueue
from devops_api.telemetry.catalogue import REQUEST_DURATION
from devops_api.telemetry.histograms import Histogram

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


class Idle(SpanExporter):
    """Takes everything and keeps nothing."""

    def export(self, spans: object) -> SpanExportResult:  # noqa: ARG002
        """Take a batch."""
        return SpanExportResult.SUCCESS


def test_the_names_that_the_sdk_keeps_for_itself_are_there() -> None:
    for reader in (MetricReader, PrometheusMetricReader, PeriodicExportingMetricReader):
        assert callable(reader._receive_metrics)
    registry = CollectorRegistry()
    assert hasattr(PrometheusMetricReader(registry=registry), "_collector")
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
def test_each_span_that_does_not_fit_is_told_of() -> None:
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
def test_each_span_is_exported_or_told_of_and_none_is_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is filled and emptied by two threads, which take turns a thousand times more often than is usual."""
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
def test_each_log_record_that_does_not_fit_is_told_of() -> None:
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


def test_what_the_catalogue_does_not_know_cannot_be_recorded() -> None:
    histogram = Histogram(REQUEST_DURATION)
    for attributes in ({"http.request.method": "BREW"}, {"user.agent": "x"}, {"error.type": "KeyError"}):
        with pytest.raises(ValueError, match=r"http\.server\.request\.duration has no "):
            histogram.open_series(attributes)


async def test_a_real_prometheus_takes_the_exemplars(start_service: StartService, tmp_path: Path) -> None:
    program = shutil.which("prometheus")
    if program is None:
        reason = "prometheus is not on PATH: install Prometheus to run this test"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    running = await start_service()
    async with running.client.get("/items", headers={"traceparent": PARENT}) as reply:
        assert reply.status == 200
    target = running.url.removeprefix("http://")
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
        f"scrape_configs: [{{job_name: api, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [
        program,
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]
    selector = 'http_server_request_duration_seconds_bucket{http_route="/items"}'
    query = urllib.parse.urlencode({"query": selector, "start": time() - 60, "end": time() + 60})
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
    try:
        found = await ask(running.client, f"http://127.0.0.1:{port}/api/v1/query_exemplars?{query}")
    finally:
        process.terminate()
        await process.wait()
    assert found[0]["seriesLabels"]["http_response_status_code"] == "200"
    assert {exemplar["labels"]["trace_id"] for exemplar in found[0]["exemplars"]} == {TRACE}
    assert abs(float(found[0]["exemplars"][0]["timestamp"]) - time()) < 60


async def ask(client: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    """The data of an answer, as soon as there are any."""
    deadline = monotonic() + 20
    while monotonic() < deadline:
        await asyncio.sleep(0.2)
        try:
            async with client.get(url) as reply:
                # Prometheus answers 503 in plain text while it starts.
                if reply.status == 200 and (data := (await reply.json())["data"]):
                    return data
        except OSError:
            continue
    pytest.fail("Prometheus shows no exemplar")
