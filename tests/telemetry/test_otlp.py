"""A collector gets everything in the real protocol; one that is down, slow or rejects data delays no request."""

import asyncio
import gc
import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from conftest import StartService
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan
from scrapes import DURATION, SPAN_ID, TRACE_ID, TRACEPARENT, scrape

from devops_api.telemetry.catalogue import DROPS
from devops_api.telemetry.otlp import find_endpoint, shut_down

ITEM = {"name": "Test", "price": 9.99}
PARENT = {"traceparent": TRACEPARENT}
REQUESTS = 500
BATCH = 16  # spans or log records; as many as the queue holds
QUICK = {"OTEL_TRACES_SAMPLER": "parentbased_always_off", "OTEL_METRIC_EXPORT_INTERVAL": "200"}


@pytest.fixture(autouse=True)
def _quick_and_small_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK reads the sizes of its queues from the process's own environment."""
    for name, value in (
        ("OTEL_BSP_SCHEDULE_DELAY", 50),
        ("OTEL_BLRP_SCHEDULE_DELAY", 50),
        ("OTEL_BSP_MAX_QUEUE_SIZE", BATCH),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", BATCH),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", BATCH),
    ):
        monkeypatch.setenv(name, str(value))


class Collector:
    """Decodes what it is sent; answers `status` after `delay_s`."""

    KINDS = {  # noqa: RUF012 - a constant
        "traces": ExportTraceServiceRequest,
        "metrics": ExportMetricsServiceRequest,
        "logs": ExportLogsServiceRequest,
    }

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.delay_s = 0.0
        self.received: dict[str, list[Any]] = {kind: [] for kind in self.KINDS}

    async def receive(self, request: web.Request) -> web.Response:
        """POST /v1/{kind}."""
        assert request.content_type == "application/x-protobuf"
        kind = request.match_info["kind"]
        body = await request.read()
        message = self.KINDS[kind]()
        message.ParseFromString(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        await asyncio.sleep(self.delay_s)
        if self.status == 200:
            self.received[kind].append(message)
        return web.Response(status=self.status)

    def spans(self) -> list[Any]:
        """All spans."""
        return [s for m in self.received["traces"] for r in m.resource_spans for c in r.scope_spans for s in c.spans]

    def logs(self) -> list[Any]:
        """All log records."""
        return [s for m in self.received["logs"] for r in m.resource_logs for c in r.scope_logs for s in c.log_records]

    def metrics(self) -> dict[str, Any]:
        """The metrics of the last export, by name."""
        last = self.received["metrics"][-1]
        return {m.name: m for r in last.resource_metrics for c in r.scope_metrics for m in c.metrics}


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/{kind}", collector.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield collector
    await runner.cleanup()


async def wait_until(is_there: Callable[[], Any]) -> None:
    deadline = monotonic() + 5
    while not is_there():
        assert monotonic() < deadline
        await asyncio.sleep(0.02)


def attributes_of(thing: Any) -> dict[str, Any]:
    """Attributes as a dictionary."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in thing.attributes}


async def test_spans_have_parents_names_and_attributes(start_service: StartService, collector: Collector) -> None:
    running = await start_service(QUICK | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    async with running.client.post("/items", json=ITEM, headers=PARENT) as reply:
        item_id = (await reply.json())["id"]
    async with running.client.get(f"/items/{item_id}"):  # Not sampled.
        pass
    async with running.client.get("/items/none", headers=PARENT) as reply:
        assert reply.status == 404
    await wait_until(lambda: len(collector.spans()) >= 4)
    spans = {span.name: span for span in collector.spans()}
    assert set(spans) == {"POST /items", "create items", "GET /items/{id}", "get items"}
    for request, call in (("POST /items", "create items"), ("GET /items/{id}", "get items")):
        server, client = spans[request], spans[call]
        assert {server.trace_id.hex(), client.trace_id.hex()} == {TRACE_ID}
        assert server.parent_span_id.hex() == SPAN_ID
        assert client.parent_span_id == server.span_id
        assert (server.kind, client.kind) == (2, 3)  # SERVER, CLIENT
        assert server.start_time_unix_nano <= client.start_time_unix_nano <= client.end_time_unix_nano
        assert client.end_time_unix_nano <= server.end_time_unix_nano
    seen = attributes_of(spans["POST /items"])
    assert seen["http.request.method"] == "POST"
    assert seen["http.route"] == "/items"
    assert seen["http.response.status_code"] == 201
    assert seen["url.path"] == "/items"
    assert attributes_of(spans["create items"]) == {
        "db.system.name": "sqlite",
        "db.operation.name": "create",
        "db.collection.name": "items",
    }
    assert attributes_of(spans["get items"])["error.type"] == "NotFoundError"


async def test_logs_carry_their_trace_severity_and_fields(start_service: StartService, collector: Collector) -> None:
    running = await start_service(QUICK | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    async with running.client.post("/items", json=ITEM, headers=PARENT | {"X-Request-ID": "r1"}) as reply:
        item_id = (await reply.json())["id"]
    await wait_until(lambda: [record for record in collector.logs() if record.event_name == "item_created"])
    (record,) = [record for record in collector.logs() if record.event_name == "item_created"]
    assert record.trace_id.hex() == TRACE_ID
    assert len(record.span_id) == 8
    assert (record.severity_text, record.severity_number) == ("info", 9)
    found = attributes_of(record)
    assert (found["item_id"], found["request_id"]) == (item_id, "r1")
    resource = collector.received["logs"][0].resource_logs[0].resource
    assert attributes_of(resource)["service.name"] == "devops-api"


async def test_metrics_are_those_of_the_exposition(start_service: StartService, collector: Collector) -> None:
    running = await start_service(QUICK | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    for _ in range(3):
        async with running.client.post("/items", json=ITEM, headers=PARENT) as reply:
            assert reply.status == 201
    collector.received["metrics"].clear()
    await wait_until(lambda: collector.received["metrics"])
    metrics = collector.metrics()
    duration = metrics["http.server.request.duration"]
    assert duration.unit == "s"
    (point,) = [
        point
        for point in duration.histogram.data_points
        if (found := attributes_of(point))["http.route"] == "/items"
        and (found["http.request.method"], found["http.response.status_code"]) == ("POST", 201)
    ]
    assert (point.count, sum(point.bucket_counts)) == (3, 3)
    assert point.sum > 0
    assert not point.HasField("min")
    assert not point.HasField("max")
    assert {exemplar.trace_id.hex() for exemplar in point.exemplars} == {TRACE_ID}
    assert metrics["items.created"].sum.is_monotonic
    assert metrics["items.created"].sum.data_points[0].as_int == 3
    shown = {family for family in (await scrape(running.client)).families if family != "target"}
    assert len(metrics) == len(shown)


@pytest_asyncio.fixture
async def victoria_metrics(tmp_path: Path) -> AsyncIterator[str]:
    """A real database that takes OTLP, and names things as Prometheus does; its URL."""
    program = shutil.which("victoria-metrics")
    if program is None:
        reason = "victoria-metrics is not on PATH: install VictoriaMetrics to run this test"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    options = [
        f"-httpListenAddr=127.0.0.1:{port}",
        f"-storageDataPath={tmp_path}/victoria-metrics",
        "-opentelemetry.usePrometheusNaming",
        "-search.latencyOffset=1ms",
        "-loggerLevel=ERROR",
    ]
    process = await asyncio.create_subprocess_exec(program, *options)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    await process.wait()


async def ask(client: aiohttp.ClientSession, url: str, query: str) -> list[tuple[dict[str, str], float]]:
    """The labels and values that the database has now; nothing while it starts."""
    try:
        async with client.get(f"{url}/internal/force_flush"):  # Without it, what came in is found seconds later.
            pass
        async with client.get(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}") as reply:
            found = (await reply.json())["data"]["result"]
    except aiohttp.ClientConnectionError:
        return []
    return [(entry["metric"], float(entry["value"][1])) for entry in found]


async def test_a_real_database_of_metrics_understands_them(start_service: StartService, victoria_metrics: str) -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{victoria_metrics}/opentelemetry/v1/metrics",
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
        "OTEL_SERVICE_NAME": "shop",
    }
    running = await start_service(environment)
    for price in (1, 2, 3, None):
        async with running.client.post("/items", json=ITEM | {"price": price}) as reply:
            assert reply.status == (422 if price is None else 201)
    created = '{http_route="/items", http_request_method="POST", http_response_status_code="201"}'
    deadline = monotonic() + 20
    while [value for _, value in await ask(running.client, victoria_metrics, f"{DURATION}_count{created}")] != [3]:
        assert monotonic() < deadline
        await asyncio.sleep(0.2)

    seen = await scrape(running.client)
    posted = {"http_route": "/items", "http_request_method": "POST", "http_response_status_code": "201"}
    buckets = {float(sample.labels["le"]): sample.value for sample in seen.find(f"{DURATION}_bucket", **posted)}
    found = await ask(running.client, victoria_metrics, f"{DURATION}_bucket{created}")
    assert {float(labels["le"]): value for labels, value in found} == buckets
    ((_, total_s),) = await ask(running.client, victoria_metrics, f"{DURATION}_sum{created}")
    assert total_s == pytest.approx(seen.sum(f"{DURATION}_sum", **posted))
    ((labels, count),) = await ask(running.client, victoria_metrics, "items_created_total")
    assert count == 3
    ((_, refused),) = await ask(running.client, victoria_metrics, 'items_rejected_total{reason="invalid"}')
    assert refused == 1
    (target,) = seen.find("target_info")
    assert target.labels["service_name"] == "shop"
    assert target.labels.items() <= labels.items()


@pytest.mark.parametrize(
    ("environment", "signal_name", "expected"),
    [
        ({}, "traces", None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1/"}, "traces", "http://c:1/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1/base"}, "logs", "http://c:1/base/v1/logs"),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c:1/as-is"}, "logs", "http://c:1/as-is"),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c:1/as-is"}, "traces", None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1", "OTEL_METRICS_EXPORTER": "none"}, "metrics", None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, "metrics", None),
    ],
)
def test_endpoints_follow_the_specification(
    environment: dict[str, str], signal_name: str, expected: str | None
) -> None:
    assert find_endpoint(environment, signal_name) == expected


def test_a_flush_that_hangs_does_not_hold_up_the_rest() -> None:
    done: list[int] = []
    started = monotonic()
    shut_down([lambda _: sleep(3), done.append], 0.2)
    assert monotonic() - started < 1
    assert done == [200]


async def time_requests(client: aiohttp.ClientSession) -> list[float]:
    """How many seconds each of `REQUESTS` takes."""
    durations = []
    for _ in range(REQUESTS):
        started = monotonic()
        async with client.get("/items") as reply:
            assert reply.status == 200
        durations.append(monotonic() - started)
    return durations


def count_live(kind: type) -> int:
    """How many objects of a kind there are in memory."""
    gc.collect()
    return sum(isinstance(thing, kind) for thing in gc.get_objects())


@pytest.mark.parametrize("fault", ["dead", "slow", "unwilling"])
async def test_a_bad_collector_harms_no_request_and_what_is_lost_is_counted(
    start_service: StartService, collector: Collector, tmp_path: Path, fault: str
) -> None:
    collector.status = 503
    collector.delay_s = 10 if fault == "slow" else 0
    url = "http://127.0.0.1:9" if fault == "dead" else collector.url
    environment = QUICK | {"OTEL_TRACES_SAMPLER": "always_on"}
    alone = await start_service(environment, database_url=f"sqlite:///{tmp_path}/alone.db")
    usual = await time_requests(alone.client)
    running = await start_service(
        environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "0.4"}
    )
    durations = await time_requests(running.client)
    assert median(durations) < 2 * median(usual) + 0.001
    assert max(durations) < 0.3
    # In the queue, in the exporter's hands, and those just being made.
    assert count_live(ReadableSpan) <= 2 * BATCH + 4
    assert count_live(ReadableLogRecord) <= 2 * BATCH + 4
    await asyncio.sleep(1)
    found = await scrape(running.client)
    for signal_name in ("traces", "logs", "metrics"):
        assert found.sum("telemetry_export_failures_total", signal=signal_name) >= 1
    # A request makes two spans and a line. Of all two batches may be on their way still, one in the queue and one in
    # the exporter's hands.
    for what, made in (("span", 2 * REQUESTS), ("log_record", REQUESTS)):
        lost = {reason: found.sum(f"telemetry_{what}_dropped_total", reason=reason) for reason in DROPS}
        assert made - 2 * BATCH <= sum(lost.values()) <= made + 1  # The line that says that it has started.
        assert lost["not_taken"] > 0
        assert lost["queue_full"] > 0 or fault != "slow"  # The others may fail faster than requests come.
    started = monotonic()
    running.stop.set()
    await running.serving
    assert monotonic() - started < 5


async def test_what_exporters_complain_of_holds_no_secret(start_service: StartService) -> None:
    environment = QUICK | {
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://me:s3cret@127.0.0.1:9/v1/traces?api_key=s3cret",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",  # Enough for a second attempt, and a line about the first one.
    }
    running = await start_service(environment)
    async with running.client.get("/items") as reply:
        assert reply.status == 200
    await wait_until(lambda: any("/v1/traces?" in line for line in running.read_log()))
    assert "s3cret" not in "".join(running.read_log())


@pytest.mark.parametrize("fault", ["dead", "slow", "unwilling"])
async def test_the_process_leaves_in_time_when_its_collector_does_not_answer(
    collector: Collector, tmp_path: Path, fault: str
) -> None:
    collector.status = 503
    collector.delay_s = 30 if fault == "slow" else 0
    environment = os.environ | {
        "DEVOPS_API_PORT": "0",
        "DEVOPS_API_DATABASE_URL": f"sqlite:///{tmp_path}/items.db",
        "DEVOPS_API_DRAIN_DELAY_S": "0",
        "DEVOPS_API_STOP_TIMEOUT_S": "4",
        "DEVOPS_API_LOG_FORMAT": "json",
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9" if fault == "dead" else collector.url,
    }
    command = [sys.executable, "-m", "devops_api", "serve"]
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 20)
    port = json.loads(line)["ports"][0]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        for _ in range(20):
            async with client.get("/items") as reply:
                assert reply.status == 200
    started = monotonic()
    process.send_signal(signal.SIGTERM)
    _, complaints = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 0
    assert complaints == b""
    assert monotonic() - started < 4
