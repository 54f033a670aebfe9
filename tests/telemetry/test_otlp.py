"""A collector gets spans, logs and metrics in the real protocol."""

import asyncio
import os
import shutil
import socket
import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import aiohttp
import pytest
import pytest_asyncio
from collectors import QUICK, Collector, attributes_of, wait_until
from conftest import StartService
from samples import ITEM
from scrapes import DURATION, SPAN_ID, TRACE_ID, TRACEPARENT, scrape

from devops_api.telemetry.otlp import find_endpoint

PARENT = {"traceparent": TRACEPARENT}
pytestmark = pytest.mark.usefixtures("small_queues")


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
    """Run a real database that accepts OTLP and names metrics as Prometheus does; its URL."""
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
    """Return the labels and values that the database has now; nothing while it starts."""
    try:
        async with client.get(f"{url}/internal/force_flush"):  # Otherwise new samples are found seconds later.
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
