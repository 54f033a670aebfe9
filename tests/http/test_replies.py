"""Every response is one buffer: its framing must be right, its body must not outlive it, no client may hold it up."""

from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import aiohttp
import orjson
import psutil
import pytest
import pytest_asyncio
from aiohttp import web
from conftest import Running, StartService
from connections import connect
from processes import run_process
from waiting import wait_until

from devops_api.http.operations import Operation, Response
from devops_api.http.replies import Reply
from devops_api.http.routes import Route
from devops_api.items.settings import IDENTITY, Settings
from devops_api.logs.writer import Logs
from devops_api.serve.chassis import Chassis, Domain, Service

LARGE = b"x" * (8 * 1024 * 1024)  # more than the kernel buffers of a connection


async def get_large(_: web.Request) -> web.Response:
    """Respond with a body that no kernel buffers."""
    return Reply(LARGE, headers={"Content-Type": "text/plain"})


async def get_injected(_: web.Request) -> web.Response:
    """Respond with a header that tries to add another."""
    return Reply(b"", headers={"X-Note": "a\r\nX-Injected: b"})


def create_texts(settings: Settings, environment: Mapping[str, str], logs: Logs) -> Service:
    """Assemble a service of these two routes."""
    operation = Operation("getText", "Texts", "Get", "Get.", responses=(Response(200, "The text."),))
    routes = [
        Route("GET", "/large", "read", get_large, operation),
        Route("GET", "/injected", "read", get_injected, operation),
    ]
    return Chassis(IDENTITY, settings, environment, logs).assemble(Domain(routes=routes))


@pytest_asyncio.fixture
async def texts(start_service: StartService) -> Running:
    """Start the service of these routes, whose clients have half a second to read."""
    return await start_service(create=create_texts, send_timeout_s=0.5)


async def test_a_large_body_arrives_whole(texts: Running) -> None:
    async with texts.client.get("/large") as response:
        assert (response.status, await response.read()) == (200, LARGE)


async def test_a_client_that_does_not_read_is_cut_off_at_the_deadline(texts: Running) -> None:
    async with connect(texts.url) as connection:
        connection.writer.transport.pause_reading()
        await connection.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        started = monotonic()
        await wait_until("end of the connection", lambda: not count_connections(texts))
        assert 0.4 < monotonic() - started < 3
        connection.writer.transport.resume_reading()
        assert len(await connection.read_all()) < len(LARGE)


def count_connections(running: Running) -> int:
    """Count the established connections to the port of a service, but for those of its own client."""
    port = int(running.url.rpartition(":")[2])
    return sum(
        entry.status == psutil.CONN_ESTABLISHED and entry.laddr.port == port
        for entry in psutil.Process().net_connections("tcp")
    )


async def test_control_characters_in_a_header_never_reach_a_client(texts: Running) -> None:
    async with connect(texts.url) as connection:
        await connection.send(b"GET /injected HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"X-Injected" not in await connection.read_all()


@pytest.mark.parametrize(
    ("version", "header", "connection_header"),
    [
        ("1.1", "", None),
        ("1.1", "Connection: close\r\n", "close"),
        ("1.0", "", "close"),
        ("1.0", "Connection: keep-alive\r\n", "keep-alive"),
    ],
)
async def test_a_response_says_whether_the_connection_stays_open(
    running: Running, version: str, header: str, connection_header: str | None
) -> None:
    async with connect(running.url) as connection:
        await connection.send(f"GET /livez HTTP/{version}\r\nHost: a\r\n{header}\r\n".encode())
        response = await connection.read_response()
        assert (response.status, response.headers.get("connection")) == (200, connection_header)
        if connection_header == "close":
            await connection.wait_closed(1)
        else:
            await connection.send(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await connection.read_response()).status == 200


async def test_responses_without_a_body_have_no_length(running: Running) -> None:
    async with running.client.post("/items", json={"name": "Test", "price": 1}) as response:
        path, etag = response.headers["Location"], response.headers["ETag"]
    async with running.client.get(path, headers={"If-None-Match": etag}) as response:
        assert (response.status, response.headers.get("Content-Length")) == (304, None)
    async with running.client.delete(path) as response:
        assert (response.status, response.headers.get("Content-Length")) == (204, None)


async def test_every_response_has_a_date_and_one_of_each_header(running: Running) -> None:
    for method, path in (("GET", "/items"), ("GET", "/items/none"), ("PUT", "/items"), ("OPTIONS", "/items")):
        async with running.client.request(method, path) as response:
            names = [name.decode().lower() for name, _ in response.raw_headers]
            assert sorted(names) == sorted(set(names))
            assert {"date", "x-request-id"} <= set(names)


@pytest.mark.slow
async def test_idle_connections_hold_no_response(tmp_path: Path) -> None:
    """60 clients read pages of 1.2 MB and stay connected: 72 MB, if their bodies were kept."""
    async with run_process(tmp_path, max_body_bytes=4 * 1024 * 1024) as process:
        memory = psutil.Process(process.pid)
        item = {"name": "Large", "price": 1, "description": "\u2603" * 2_000}
        async with aiohttp.ClientSession(process.url) as client:
            for _ in range(2):
                batch = orjson.dumps([item] * 100)
                headers = {"Content-Type": "application/json"}
                async with client.post("/items/batch", data=batch, headers=headers) as response:
                    assert response.status == 201
        sessions = [aiohttp.ClientSession(process.url) for _ in range(61)]
        before = 0
        for session in sessions:
            async with session.get("/items", params={"limit": "200"}) as response:
                assert len(await response.read()) > 1_000_000
            before = before or memory.memory_info().rss
        grown = memory.memory_info().rss - before
        for session in sessions:
            await session.close()
        assert grown < 30 * 1024 * 1024
