"""A team adopts the telemetry alone: any aiohttp application is instrumented, with its sub-applications and errors."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from scrapes import DURATION, OPENMETRICS, TRACE_ID, TRACEPARENT, UNHEARD, Scrape, scrape

from devops_api.telemetry.catalogue import Metric
from devops_api.telemetry.middleware import instrument

README = Path(__file__).parents[2] / "otel" / "README.md"
STATUS = ("http_request_method", "http_route", "http_response_status_code")
Client = TestClient[web.Request, web.Application]


async def greet(request: web.Request) -> web.Response:
    return web.Response(text=f"Hello, {request.match_info['name']}")


async def store(request: web.Request) -> web.Response:
    return web.Response(status=201, body=await request.read())


async def price(_: web.Request) -> web.Response:
    return web.Response(text="9.99")


async def crash(_: web.Request) -> web.Response:
    raise KeyError("on purpose")


async def refuse(request: web.Request) -> web.Response:
    raise web.HTTPBadGateway if request.query else web.HTTPGone


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(3):
        await response.write(b"part")
        await asyncio.sleep(0.05)
    return response


async def echo(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


def create_app(environment: dict[str, str]) -> web.Application:
    """An application with a sub-application in a sub-application, and its own middlewares."""

    @web.middleware
    async def deny(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("X-Denied"):
            return web.Response(status=403)
        response: web.StreamResponse = await handler(request)
        return response

    prices, shop, app = web.Application(), web.Application(), web.Application(middlewares=[deny])
    prices.router.add_get("/{currency}/{item:\\d+}", price)
    shop.router.add_get("/crash", crash)
    shop.add_subapp("/prices", prices)
    app.router.add_get("/greet/{name}", greet)
    app.router.add_post("/store", store)
    app.router.add_get("/refuse", refuse)
    app.router.add_get("/stream", stream)
    app.router.add_get("/echo", echo)
    app.router.add_static("/files", README.parent)
    app.add_subapp("/shop", shop)
    instrument(app, name="shop", version="1.0", environment=environment)
    return app


@pytest_asyncio.fixture
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    environment = getattr(request, "param", {"OTEL_TRACES_SAMPLER": "parentbased_always_off"})
    async with TestClient(TestServer(create_app(environment))) as client:
        yield client


async def ask(client: Client, method: str, path: str, **options: Any) -> int:
    async with client.request(method, path, **options) as response:
        await response.read()
        return response.status


async def read_metrics(client: Client) -> Scrape:
    async with client.get("/metrics", headers={"Accept": OPENMETRICS}) as response:
        assert response.headers["Content-Type"].startswith(OPENMETRICS)
        return Scrape(await response.text())


async def test_requests_are_counted_by_the_full_path_of_their_route(client: Client) -> None:
    for path in ("/greet/a", "/greet/b", "/shop/prices/eur/1", "/shop/prices/usd/2", "/files/README.md"):
        assert await ask(client, "GET", path) == 200
    assert await ask(client, "HEAD", "/greet/a") == 200
    assert await ask(client, "POST", "/store", data=b"12345") == 201
    assert (await read_metrics(client)).count_by(*STATUS) == {
        ("GET", "/greet/{name}", "200"): 2,
        ("HEAD", "/greet/{name}", "200"): 1,
        ("GET", "/shop/prices/{currency}/{item}", "200"): 2,
        ("GET", "/files", "200"): 1,
        ("POST", "/store", "201"): 1,
    }


async def test_failures_have_their_status_and_a_type_of_a_closed_set(client: Client) -> None:
    for method, path, status in (
        ("GET", "/shop/crash", 500),
        ("GET", "/refuse", 410),
        ("GET", "/refuse?x=1", 502),
        ("GET", "/nowhere/at/all", 404),
        ("GET", "/shop/nowhere", 404),
        ("DELETE", "/store", 405),
        ("PROPFIND", "/nowhere", 404),
    ):
        assert await ask(client, method, path) == status
    assert await ask(client, "GET", "/greet/a", headers={"X-Denied": "1"}) == 403
    assert (await read_metrics(client)).count_by(*STATUS, "error_type") == {
        ("GET", "/shop/crash", "500", "_OTHER"): 1,
        ("GET", "/refuse", "410", ""): 1,
        ("GET", "/refuse", "502", "_OTHER"): 1,
        ("GET", "/{unmatched}", "404", ""): 2,
        ("DELETE", "/{unmatched}", "405", ""): 1,
        ("_OTHER", "/{unmatched}", "404", ""): 1,
        ("GET", "/greet/{name}", "403", ""): 1,
    }


async def test_series_of_every_route_exist_before_its_first_request(client: Client) -> None:
    found = await read_metrics(client)
    for method, route in (
        ("GET", "/greet/{name}"),
        ("POST", "/store"),
        ("GET", "/shop/crash"),
        ("GET", "/shop/prices/{currency}/{item}"),
    ):
        for status, error_type in (("200", ""), ("500", "_OTHER")):
            labels = dict(zip((*STATUS, "error_type"), (method, route, status, error_type), strict=True))
            assert [sample.value for sample in found.find(f"{DURATION}_count", **labels)] == [0.0]


@pytest.mark.parametrize(
    "client", [{"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, UNHEARD], ids=["ids alone", "spans"], indirect=True
)
async def test_a_sampled_request_leaves_an_exemplar(client: Client) -> None:
    assert await ask(client, "GET", "/greet/a", headers={"traceparent": TRACEPARENT}) == 200
    found = await read_metrics(client)
    exemplars = {
        sample.labels["http_route"]: sample.exemplar.labels["trace_id"]
        for sample in found.find(f"{DURATION}_bucket", http_route="/greet/{name}")
        if sample.exemplar
    }
    assert exemplars == {"/greet/{name}": TRACE_ID}


async def test_streams_and_websockets_work_and_are_counted_with_their_whole_time(client: Client) -> None:
    async with client.get("/stream") as response:
        assert await response.read() == b"part" * 3
    async with client.ws_connect("/echo") as socket:
        await socket.send_str("hello")
        assert (await socket.receive_str(), socket.closed) == ("hello", False)
        await asyncio.sleep(0.2)
    found = await read_metrics(client)
    assert found.count_by(*STATUS) == {("GET", "/stream", "200"): 1, ("GET", "/echo", "101"): 1}
    assert found.sum(f"{DURATION}_sum", http_route="/stream") >= 0.15
    assert found.sum(f"{DURATION}_sum", http_route="/echo") >= 0.2


async def test_bodies_are_measured_if_their_size_is_known(client: Client) -> None:
    await ask(client, "POST", "/store", data=b"12345")
    await ask(client, "GET", "/files/README.md")  # aiohttp sends files later.
    found = await read_metrics(client)
    assert found.sum("http_server_request_body_size_bytes_sum", http_route="/store") == 5
    assert found.sum("http_server_response_body_size_bytes_sum", http_route="/store") == 5
    assert found.sum("http_server_response_body_size_bytes_count", http_route="/files") == 0


async def test_the_exposition_names_the_service_and_has_metrics_of_process_and_loop(client: Client) -> None:
    await asyncio.sleep(0.1)
    found = await read_metrics(client)
    (target,) = found.find("target_info")
    assert (target.labels["service_name"], target.labels["service_version"]) == ("shop", "1.0")
    assert found.sum("shop_event_loop_delay_seconds_count") > 0
    assert found.sum("process_memory_usage_bytes") > 0
    assert found.sum("http_server_active_requests") == 1  # the scrape
    async with client.get("/metrics", headers={"Accept": "text/plain"}) as response:
        assert "# EOF" not in await response.text()


async def test_an_application_adds_metrics_of_its_own() -> None:
    app = web.Application()
    orders = Metric("shop.orders", "counter", "{order}", "Orders.", {"payment": ("card", "cash")})
    counter = instrument(app, name="shop", version="1.0", environment={}).counter(orders)
    async with TestClient(TestServer(app)) as client:
        counter.add(2, "card")
        found = await read_metrics(client)
    assert {sample.labels["payment"]: sample.value for sample in found.find("shop_orders_total")} == {
        "card": 2,
        "cash": 0,
    }


@pytest.mark.parametrize("client", [{"OTEL_SDK_DISABLED": "true"}], indirect=True)
async def test_turned_off_the_application_works_without_metrics(client: Client) -> None:
    assert await ask(client, "GET", "/greet/a") == 200
    assert await ask(client, "GET", "/shop/crash") == 500
    assert not (await read_metrics(client)).families


def test_an_unknown_sampler_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="OTEL_TRACES_SAMPLER must be one of always_on, always_off, traceidratio"):
        instrument(web.Application(), name="shop", version="1.0", environment={"OTEL_TRACES_SAMPLER": "often"})


async def test_the_example_in_the_readme_works() -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": "shop"}
    exec(compile(snippet, str(README), "exec"), names)  # noqa: S102 - the test's subject
    server = TestServer(names["app"])
    await server.start_server()
    async with aiohttp.ClientSession(str(server.make_url("/"))) as session:
        async with session.get("/greet/world") as response:
            assert await response.text() == "Hello, world"
        found = await scrape(session)
    await server.close()
    assert found.count_by(*STATUS) == {("GET", "/greet/{name}", "200"): 1}
