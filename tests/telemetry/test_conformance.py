"""Dashboards made for OpenTelemetry work here: the stock instrumentation sees the same traffic and agrees.

`DIFFERENCES` and the tests below it list all exceptions with their reasons; each fails once the stock one has changed.
"""

import asyncio
import io
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Running, StartService
from samples import ITEM
from scrapes import DURATION, Scrape, scrape

LABELS = (
    "http_request_method",
    "url_scheme",
    "network_protocol_version",
    "http_route",
    "http_response_status_code",
    "error_type",
)
STOCK = Path(__file__).with_name("stock.py")
TIMEOUT_S = 0.5  # Both services respond with 504 after it.


class Difference(NamedTuple):
    """A request that is counted differently: method, route, status and error type; None if it is not counted."""

    reason: str
    stock: tuple[str, str, str, str] | None
    ours: tuple[str, str, str, str]


DIFFERENCES = (
    Difference(
        "stock repeats the status of a failure as its error type, which hides the cause",
        ("GET", "/items", "500", "500"),
        ("GET", "/items", "500", "InjectedFaultError"),
    ),
    Difference(
        "the same for a request that exceeded its time",
        ("GET", "/items/{id}", "504", "504"),
        ("GET", "/items/{id}", "504", "TimedOutError"),
    ),
    Difference(
        "stock gives a request whose client disconnected no status: no ratio contains it",
        ("GET", "/items/export", "", ""),
        ("GET", "/items/export", "499", ""),
    ),
    Difference(
        "stock does not see a request that the parser refuses, although the client got a response",
        None,
        ("_OTHER", "/{unmatched}", "400", ""),
    ),
)
# Differences that no request to the same routes can show have tests of their own: in stock a crash has no status, an
# unknown path has no route, active requests have labels, body sizes are missing, and whole bounds are written `1`.


async def send(client: Any, url: str) -> None:
    """Send the same requests to both."""
    async with client.post(f"{url}/items", json=ITEM) as reply:
        item, etag = await reply.json(), reply.headers["ETag"]
    path = f"/items/{item['id']}"
    for method, where, options in (
        ("GET", path, {}),
        ("GET", path, {}),
        ("HEAD", path, {}),
        ("GET", path, {"headers": {"If-None-Match": etag}}),
        ("GET", path, {"headers": {"Host": "spoofed.example"}}),
        ("GET", "/items?limit=1", {}),
        ("GET", "/items?limit=x", {}),
        ("GET", "/items/none", {}),
        ("PUT", path, {"json": ITEM}),
        ("PATCH", path, {"json": {"price": 1}}),
        ("POST", "/items", {"json": {}}),
        ("POST", "/items/batch", {"json": [ITEM, ITEM]}),
        ("GET", "/items/export", {}),
        ("GET", "/items/export?format=pdf", {}),
        ("POST", "/items/import", {"data": b"{}", "headers": {"Content-Type": "application/x-ndjson"}}),
        ("POST", "/items", {"data": b"{", "headers": {"Content-Type": "application/json"}}),
        ("POST", "/items", {"data": b"x", "headers": {"Content-Type": "text/plain"}}),
        ("POST", "/items", {"data": io.BytesIO(b" " * 1_100_000), "headers": {"Content-Type": "application/json"}}),
        ("PUT", path, {"json": ITEM, "headers": {"If-Match": '"99"'}}),
        *(("GET", probe, {}) for probe in ("/health", "/livez", "/readyz", "/docs", "/openapi.json")),
        ("DELETE", "/items", {}),
        ("OPTIONS", "/items", {}),
        ("PROPFIND", "/items", {}),
        ("GET", "/nowhere/at/all", {}),
        ("DELETE", path, {}),
    ):
        async with client.request(method, f"{url}{where}", **options) as reply:
            await reply.read()
    await exchange(url, b"GET /items/none HTTP/1.0\r\n\r\n")
    get = b"GET /items HTTP/1.1\r\nHost: a\r\n\r\n"
    await exchange(url, get * 3 + get.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


async def send_different(client: Any, url: str) -> None:
    """Send the requests that lead to `DIFFERENCES`, in their order."""
    for plan, path in (
        ({"error_ratio": 1, "route": "/items"}, "/items"),
        ({"latency_ms": 10_000, "route": "/items/{id}"}, "/items/none"),
    ):
        async with client.put(f"{url}/faults", json=plan) as reply:
            assert reply.status == 200
        async with client.get(f"{url}{path}") as reply:
            assert reply.status in {500, 504}
    async with client.put(f"{url}/faults", json={"latency_ms": 10_000}) as reply:
        assert reply.status == 200
    _, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
    writer.write(b"GET /items/export HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.sleep(0.2)
    writer.transport.abort()
    await exchange(url, b"NO REQUEST\r\n\r\n")
    await asyncio.sleep(0.2)


async def exchange(url: str, data: bytes) -> None:
    """Send bytes, and read until the service closes the connection."""
    reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
    writer.write(data)
    await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()


def find_labels(found: Scrape) -> set[str]:
    """Return the names of the duration's labels."""
    return {label for sample in found.find(f"{DURATION}_count") for label in sample.labels}


def find_bounds(found: Scrape) -> set[float]:
    """Return the upper bounds of the duration's buckets."""
    return {float(sample.labels["le"]) for sample in found.find(f"{DURATION}_bucket")}


@pytest.fixture
def stock(tmp_path: Path) -> Any:
    """Run the stock service; its URL, that of its metrics and that of an application that crashes."""
    environment = os.environ | {"OTEL_SEMCONV_STABILITY_OPT_IN": "http"}
    command = [sys.executable, str(STOCK), str(tmp_path), str(TIMEOUT_S)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield [f"http://127.0.0.1:{process.stdout.readline().strip()}" for _ in range(3)]
        process.kill()


@pytest.fixture
async def running(start_service: StartService) -> Running:
    """Run the service with the settings of the stock one."""
    return await start_service(faults=True, request_timeout_s=TIMEOUT_S)


async def compare(running: Running, stock: list[str]) -> tuple[Scrape, Scrape]:
    """Scrape both."""
    ours = await scrape(running.client)
    async with running.client.get(f"{stock[1]}/stock") as reply:
        return ours, Scrape(await reply.text())


async def test_stock_instrumentation_sees_the_same_requests(running: Running, stock: list[str]) -> None:
    await send(running.client, running.url)
    await send(running.client, stock[0])
    ours, theirs = await compare(running, stock)
    ours_family, theirs_family = ours.families[DURATION], theirs.families[DURATION]
    assert ours_family.type == theirs_family.type
    assert ours_family.unit == theirs_family.unit
    assert ours_family.documentation == theirs_family.documentation
    # Difference: stock writes whole bounds as `1`, where OpenMetrics requires `1.0`; Prometheus reads both as `1.0`.
    assert find_bounds(ours) == find_bounds(theirs)
    assert find_labels(ours) == find_labels(theirs) | {"error_type"}  # No request of the script has one there.
    assert ours.count_by(*LABELS) == theirs.count_by(*LABELS)
    assert len(theirs.count_by(*LABELS)) >= 28


async def test_each_difference_appears_once(running: Running, stock: list[str]) -> None:
    await send_different(running.client, running.url)
    await send_different(running.client, stock[0])
    ours, theirs = (Counter(found.count_by(*LABELS)) for found in await compare(running, stock))
    assert ours - theirs == Counter(name(each.ours) for each in DIFFERENCES)
    assert theirs - ours == Counter(name(each.stock) for each in DIFFERENCES if each.stock)


def name(labels: tuple[str, str, str, str]) -> tuple[str, ...]:
    """Return all labels, in the order of `LABELS`."""
    method, route, status, error_type = labels
    return method, "http", "1.1", route, status, error_type


async def test_active_requests_have_the_conventions_name_and_no_labels(running: Running, stock: list[str]) -> None:
    """Difference: stock labels them by method and scheme. No alert needs that, and every request would pay for it."""
    await send(running.client, stock[0])
    ours = (await scrape(running.client)).families
    async with running.client.get(f"{stock[1]}/stock") as reply:
        theirs = Scrape(await reply.text()).families
    name = "http_server_active_requests"
    assert ours[name].type == theirs[name].type == "gauge"
    assert {label for sample in ours[name].samples for label in sample.labels} == set()
    assert {label for sample in theirs[name].samples for label in sample.labels} == {
        "http_request_method",
        "url_scheme",
    }
    assert set(theirs) - {"target"} <= set(ours)


async def test_a_crash_has_no_status_in_the_stock_one(running: Running, stock: list[str]) -> None:
    """Difference: an error ratio over `5..` misses every crash in stock. When this fails, drop the difference."""
    async with running.client.get(f"{stock[2]}/crash") as reply:
        assert reply.status == 500
    async with running.client.get(f"{stock[1]}/stock") as reply:
        theirs = Scrape(await reply.text())
    assert theirs.count_by("http_response_status_code", "error_type") == {("", "KeyError"): 1}


async def test_an_unknown_path_has_no_route_in_the_stock_one(running: Running, stock: list[str]) -> None:
    """Difference: in stock, a sum by route loses every request to an unknown path. Here they have one fixed route."""
    async with (
        running.client.get(f"{running.url}/nowhere") as ours,
        running.client.get(f"{stock[2]}/nowhere") as theirs,
    ):
        assert ours.status == theirs.status == 404
    found, found_there = await compare(running, stock)
    assert found.count_by("http_route") == {("/{unmatched}",): 1}
    assert found_there.count_by("http_route") == {("",): 1}


async def test_body_sizes_are_measured_here_alone(running: Running, stock: list[str]) -> None:
    """Difference: the conventions define them, stock does not measure them."""
    await send(running.client, stock[0])
    ours, theirs = await compare(running, stock)
    missing = {family for family in ours.families if family.startswith("http_server_")} - set(theirs.families)
    assert missing == {"http_server_request_body_size_bytes", "http_server_response_body_size_bytes"}
