"""Dashboards, alerts and other people's queries depend on each name and label of `/metrics`: none changes unnoticed.

`metrics.txt` is the whole OpenMetrics text after a fixed script of requests. The plain text follows from it.
"""

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import pytest
from conftest import Running, StartService
from scrapes import OPENMETRICS, TRACE_ID, TRACEPARENT

EXPECTED = Path(__file__).with_name("metrics.txt")
STALE = "metrics.txt differs: run `WRITE_EXPECTED=1 make test ARGS=-k=expected_text` and review the difference"
ITEM = {"name": "Test", "price": 9.99, "sku": "a"}
LINES = b'{"name": "One", "price": 1}\n{"name": "Two", "price": 2}\n{"price": 3}\nnonsense\n'
JSON = {"Content-Type": "application/json"}

# Values that depend on time and place are `*` in the file. First whole metrics, then the store operations that run by
# the clock.
VALUES = (
    *("process_cpu_time_seconds_total", "process_memory_usage_bytes", "process_open_file_descriptor_count"),
    *("cpython_gc_collections_total", "store_size_bytes", "store_disk_free_bytes", "store_disk_limit_bytes"),
    "items_event_loop_delay_seconds",
)
BY_THE_CLOCK = re.compile(r'db_client_operation_duration_seconds.*db_operation_name="(count|ping)".*error_type=""')
LABELS = re.compile(r'(service_instance_id|service_version|telemetry_sdk_version)="[^"]*"')
# Sums and buckets (except `+Inf`) of histograms that are not empty: of seconds, and of response bytes, which change
# with each word of a document and each digit of a time.
MEASURED = re.compile(r'(\w+_seconds|http_server_response_body_size_bytes)_(sum|bucket\{(?!.*le="\+Inf"))')
EXEMPLAR = re.compile(r' # \{span_id="[0-9a-f]{16}",trace_id="([0-9a-f]{32})"\} [0-9.e-]+ [0-9.]+$')


async def send_script(running: Running) -> None:
    """Send one request of every kind to every route."""
    client = running.client

    async def ask(method: str, path: str, expected: int, **options: Any) -> Mapping[str, str]:
        async with client.request(method, path, **options) as reply:
            await reply.read()
            assert reply.status == expected, (method, path, await reply.text())
            return reply.headers.copy()

    created = await ask("POST", "/items", 201, json=ITEM)
    path, etag = created["Location"], created["ETag"]
    for method, where, expected, options in (
        ("POST", "/items", 409, {"json": ITEM}),
        ("POST", "/items", 422, {"json": {}}),
        ("POST", "/items", 400, {"data": b"{", "headers": JSON}),
        ("POST", "/items", 415, {"data": b"x"}),
        ("GET", path, 200, {}),
        ("GET", path, 200, {"headers": {"traceparent": TRACEPARENT}}),
        ("GET", path, 304, {"headers": {"If-None-Match": etag}}),
        ("HEAD", path, 200, {}),
        ("GET", "/items/none", 404, {}),
        ("GET", "/items?q=test", 200, {}),
        ("GET", "/items?limit=none", 422, {}),
        ("PUT", path, 200, {"json": ITEM}),
        ("PUT", path, 412, {"json": ITEM, "headers": {"If-Match": '"99"'}}),
        ("PATCH", path, 200, {"json": {"price": 1}}),
        ("POST", "/items/batch", 201, {"json": [ITEM | {"sku": "b"}, ITEM | {"sku": "c"}]}),
        ("POST", "/items/import", 200, {"data": LINES, "headers": {"Content-Type": "application/x-ndjson"}}),
        ("GET", "/items/export", 200, {}),
        ("DELETE", path, 204, {}),
        ("DELETE", "/items", 405, {}),
        ("PROPFIND", "/items", 405, {}),
        ("OPTIONS", "/items", 204, {}),
        *(("GET", where, 200, {}) for where in ("/health", "/livez", "/readyz", "/openapi.json", "/docs")),
        ("GET", "/nowhere", 404, {}),
    ):
        await ask(method, where, expected, **options)
    for data in (b"NO REQUEST\r\n\r\n", b"GET /livez HTTP/1.0\r\n\r\n"):
        host, port = running.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(data)
        await reader.read()
        writer.close()
        await writer.wait_closed()


def mask(lines: Sequence[str]) -> list[str]:
    """Replace what depends on time and place by `*`."""
    empty = {line.removesuffix(" 0.0") for line in lines if re.fullmatch(r"\w+_count\{.*\} 0\.0", line)}
    return [line if line.startswith("#") else mask_sample(line, empty) for line in lines]


def mask_sample(line: str, empty: AbstractSet[str]) -> str:
    """Mask one line. `empty` has the count lines of empty histograms."""
    series = line[: line.rindex(" ")]
    histogram = re.sub(r',le="[^"]*"', "", re.sub(r"_(sum|bucket)\{", "_count{", series))
    if series.startswith(VALUES) or BY_THE_CLOCK.match(series) or (MEASURED.match(series) and histogram not in empty):
        return f"{series} *"
    return LABELS.sub(r'\1="*"', line)


def to_plain(text: str) -> str:
    """Convert OpenMetrics to plain text: other names of counters and target, no units, no end."""
    text = re.sub(r"# UNIT .*\n|# EOF\n", "", text)
    text = re.sub(r"(# HELP) (\w+) (.*\n# TYPE) \2 counter", r"\1 \2_total \3 \2_total counter", text)
    return re.sub(r"(# HELP) target (.*\n# TYPE) target info", r"\1 target_info \2 target_info gauge", text)


async def read_metrics(running: Running, accept: str) -> list[str]:
    """Scrape, and return the lines."""
    async with running.client.get("/metrics", headers={"Accept": accept}) as reply:
        return (await reply.text()).splitlines()


@pytest.fixture
async def scripted(start_service: StartService) -> Running:
    """Run a service that has handled the script."""
    running = await start_service({"OTEL_TRACES_SAMPLER": "parentbased_always_off"})
    await send_script(running)
    return running


async def test_openmetrics_is_the_expected_text(scripted: Running) -> None:
    lines = await read_metrics(scripted, OPENMETRICS)
    found = mask([EXEMPLAR.sub("", line) for line in lines])
    if os.environ.get("WRITE_EXPECTED"):
        EXPECTED.write_text("\n".join([*found, ""]))
    assert found == EXPECTED.read_text().splitlines(), STALE
    # The bucket of a request depends on the clock, so the exemplar is checked separately.
    marks = [(line.split("{")[0], mark[1]) for line in lines if (mark := EXEMPLAR.search(line))]
    assert marks == [("http_server_request_duration_seconds_bucket", TRACE_ID)]


async def test_plain_text_has_the_same_content(scripted: Running) -> None:
    found = mask(await read_metrics(scripted, "text/plain"))
    assert found == to_plain(EXPECTED.read_text()).splitlines(), STALE
