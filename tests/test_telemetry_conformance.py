"""Dashboards made for OpenTelemetry must work here: the stock instrumentation sees the same traffic and must agree.

Each exception is a fault of the stock one, and is named where it is taken.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Running
from scrapes import DURATION, Scrape, scrape

ITEM = {"name": "Test", "price": 9.99}
LABELS = (
    "http_request_method",
    "url_scheme",
    "network_protocol_version",
    "http_route",
    "http_response_status_code",
    "error_type",
)
STOCK = Path(__file__)


def serve_stock(folder: str) -> None:
    """The same handlers behind OpenTelemetry's own middleware, its metrics on /stock; what it is a process for."""
    from aiohttp import web  # noqa: PLC0415 - this is the other process
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415
    from opentelemetry.instrumentation.aiohttp_server import (  # noqa: PLC0415
        AioHttpServerInstrumentor,
        create_aiohttp_middleware,
    )
    from opentelemetry.metrics import set_meter_provider  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from prometheus_client import CollectorRegistry  # noqa: PLC0415
    from prometheus_client.openmetrics.exposition import generate_latest  # noqa: PLC0415

    from devops_api.app import create_service  # noqa: PLC0415
    from devops_api.logs import open_logs  # noqa: PLC0415
    from devops_api.settings import Settings  # noqa: PLC0415

    registry = CollectorRegistry()

    async def crash(_: web.Request) -> web.Response:
        raise KeyError

    async def show(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry))

    async def run() -> None:
        set_meter_provider(MeterProvider([PrometheusMetricReader(registry=registry, scope_info_enabled=False)]))
        settings = Settings(database_url=f"sqlite:///{folder}/stock.db")
        service = create_service(settings, {"OTEL_SDK_DISABLED": "true"}, open_logs("error", "json", 2))
        AioHttpServerInstrumentor().instrument()
        AioHttpServerInstrumentor().uninstrument()
        service.app.middlewares.append(create_aiohttp_middleware())
        outer = web.Application()
        outer.router.add_get("/stock", show)
        crashing = web.Application(middlewares=[create_aiohttp_middleware()])
        crashing.router.add_get("/crash", crash)
        for app, port in ((service.app, 0), (outer, 0), (crashing, 0)):
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            sys.stdout.write(f"{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    asyncio.run(run())


async def send(client: Any, url: str) -> None:
    """A script of requests, the same for both."""
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
        ("GET", "/livez", {}),
        ("DELETE", "/items", {}),
        ("OPTIONS", "/items", {}),
        ("PROPFIND", "/items", {}),
        ("GET", "/nowhere/at/all", {}),
        ("DELETE", path, {}),
    ):
        async with client.request(method, f"{url}{where}", **options) as reply:
            await reply.read()


def find_bounds(found: Scrape) -> set[float]:
    """The upper bounds of the duration's buckets."""
    return {float(sample.labels["le"]) for sample in found.find(f"{DURATION}_bucket")}


@pytest.fixture
def stock(tmp_path: Path) -> Any:
    """The URLs of the stock service, of its metrics and of its crashes."""
    environment = os.environ | {"OTEL_SEMCONV_STABILITY_OPT_IN": "http"}
    command = [sys.executable, str(STOCK), str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield [f"http://127.0.0.1:{process.stdout.readline().strip()}" for _ in range(3)]
        process.kill()


async def test_stock_instrumentation_sees_the_same_requests(running: Running, stock: list[str]) -> None:
    await send(running.client, running.url)
    await send(running.client, stock[0])
    ours = await scrape(running.client)
    async with running.client.get(f"{stock[1]}/stock") as reply:
        theirs = Scrape(await reply.text())

    ours_family, theirs_family = ours.families[DURATION], theirs.families[DURATION]
    assert ours_family.type == theirs_family.type
    assert ours_family.unit == theirs_family.unit
    assert ours_family.documentation == theirs_family.documentation
    # Exception: stock writes whole bounds as `1`, where OpenMetrics wants `1.0`; Prometheus takes both for the latter.
    assert find_bounds(ours) == find_bounds(theirs)
    assert ours.count_by(*LABELS) == theirs.count_by(*LABELS)


async def test_active_requests_have_the_conventions_name_and_no_labels(running: Running, stock: list[str]) -> None:
    """Exception: stock labels them by method and scheme, which no alert asks for and every request would pay for."""
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
    """Exception, and why: an error ratio over `5..` misses every crash there. When this fails, drop the exception."""
    async with running.client.get(f"{stock[2]}/crash") as reply:
        assert reply.status == 500
    async with running.client.get(f"{stock[1]}/stock") as reply:
        theirs = Scrape(await reply.text())
    assert theirs.count_by("http_response_status_code", "error_type") == {("", "KeyError"): 1}


if __name__ == "__main__":
    serve_stock(sys.argv[1])
