"""A route is declared once: methods, scope, timeout and the exemptions of a probe must follow from its declaration."""

import asyncio
from collections.abc import Mapping
from time import monotonic

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from conftest import Running, StartService
from tokens import authorize, create_tokens

from devops_api.http.operations import Operation, Response
from devops_api.http.routes import STREAM, Route
from devops_api.items.settings import IDENTITY, Settings
from devops_api.logs.writer import Logs
from devops_api.serve.chassis import Chassis, Domain, Service

WAIT_S = 0.6


async def respond(request: web.Request) -> web.Response:
    """Respond with the method and the path of the request."""
    return web.Response(text=f"{request.method} {request.path}")


async def wait(_: web.Request) -> web.Response:
    """Respond after a while."""
    await asyncio.sleep(WAIT_S)
    return web.Response(text="late")


def describe(name: str) -> Operation:
    """Return an operation that nothing in these tests depends on."""
    return Operation(name, "Things", name, f"{name}.", responses=(Response(200, "Done."),))


ROUTES = [
    Route("GET", "/things/{id}", "read", respond, describe("getThing")),
    Route("PUT", "/things/{id}", "write", respond, describe("putThing")),
    Route("POST", "/things", "write", respond, describe("createThing")),
    Route("GET", "/open", None, respond, describe("getOpen")),
    Route("GET", "/slow", "read", wait, describe("getSlow")),
    Route("GET", "/short", "read", wait, describe("getShort"), timeout_s=0.1),
    Route("GET", "/stream", "read", wait, describe("getStream"), timeout_s=STREAM),
    Route("GET", "/probe", "read", respond, describe("getProbe"), is_probe=True),
]


def create_things(settings: Settings, environment: Mapping[str, str], logs: Logs) -> Service:
    """Assemble a service of these routes."""
    return Chassis(IDENTITY, settings, environment, logs).assemble(Domain(routes=ROUTES))


@pytest_asyncio.fixture
async def things(start_service: StartService) -> Running:
    """Start the service of these routes with a request timeout of 0.3 s, for one request at a time."""
    return await start_service(create=create_things, request_timeout_s=0.3, max_in_flight=1, faults=True)


@pytest_asyncio.fixture
async def client(things: Running) -> aiohttp.ClientSession:
    """Return a client of the service of these routes."""
    return things.client


async def read(client: aiohttp.ClientSession, method: str, path: str) -> tuple[int, str]:
    """Send a request; return the status and the text of its response."""
    async with client.request(method, path) as response:
        return response.status, await response.text()


@pytest.mark.parametrize(("method", "path"), [("GET", "/things/7"), ("PUT", "/things/7"), ("POST", "/things")])
async def test_each_route_calls_its_handler(client: aiohttp.ClientSession, method: str, path: str) -> None:
    assert await read(client, method, path) == (200, f"{method} {path}")


async def test_head_exists_where_get_exists(client: aiohttp.ClientSession) -> None:
    assert await read(client, "HEAD", "/things/7") == (200, "")
    assert (await read(client, "HEAD", "/things"))[0] == 405


@pytest.mark.parametrize(
    ("path", "allow"),
    [("/things/7", "GET, PUT, HEAD, OPTIONS"), ("/things", "POST, OPTIONS"), ("/probe", "GET, HEAD, OPTIONS")],
)
async def test_options_and_405_list_the_methods_of_the_path(
    client: aiohttp.ClientSession, path: str, allow: str
) -> None:
    for method, status in (("OPTIONS", 204), ("DELETE", 405), ("PROPFIND", 405)):
        async with client.request(method, path) as response:
            assert (response.status, response.headers["Allow"]) == (status, allow)


@pytest.mark.parametrize("path", ["/", "/things/", "/things/7/parts", "/Things", "/items"])
async def test_any_other_path_is_not_found(client: aiohttp.ClientSession, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        assert (await read(client, method, path))[0] == 404


async def test_a_token_is_checked_against_the_scope_of_the_route(start_service: StartService) -> None:
    tokens, values = create_tokens(reader="read", writer="write")
    client = (await start_service(create=create_things, tokens_file=tokens)).client
    for method, path, statuses in (
        ("GET", "/things/7", (401, 200, 200)),
        ("HEAD", "/things/7", (401, 200, 200)),
        ("PUT", "/things/7", (401, 403, 200)),
        ("GET", "/open", (200, 200, 200)),
        ("GET", "/probe", (200, 200, 200)),
        ("OPTIONS", "/things/7", (204, 204, 204)),
    ):
        for headers, status in zip(
            ({}, authorize(values["reader"]), authorize(values["writer"])), statuses, strict=True
        ):
            async with client.request(method, path, headers=headers) as response:
                assert response.status == status, (method, path, headers)


@pytest.mark.parametrize(
    ("path", "status", "least_s", "most_s"),
    [("/slow", 504, 0.25, WAIT_S), ("/short", 504, 0.05, 0.25), ("/stream", 200, WAIT_S, 5)],
)
async def test_a_request_is_cancelled_after_the_timeout_of_its_route(
    client: aiohttp.ClientSession, path: str, status: int, least_s: float, most_s: float
) -> None:
    """The service's timeout is 0.3 s; `/short` has 0.1 s and `/stream` none."""
    started = monotonic()
    assert (await read(client, "GET", path))[0] == status
    assert least_s <= monotonic() - started < most_s


async def test_a_probe_is_served_under_any_load_and_spared_by_fault_injection(things: Running) -> None:
    client = things.client
    stream = asyncio.create_task(read(client, "GET", "/stream"))
    await asyncio.sleep(0.1)
    assert (await read(client, "GET", "/things/7"))[0] == 503
    assert await read(client, "GET", "/probe") == (200, "GET /probe")
    assert (await stream)[0] == 200
    async with client.put("/faults", json={"error_ratio": 1}) as response:
        assert response.status == 200
    assert (await read(client, "GET", "/things/7"))[0] == 500
    assert await read(client, "GET", "/probe") == (200, "GET /probe")
