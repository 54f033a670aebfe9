"""A request is counted once, with its route, status and duration, however it ends, sampled or not."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

import pytest
from conftest import Running, StartService
from connections import connect
from samples import ITEM
from scrapes import DURATION, TRACEPARENT, UNHEARD, scrape

ANSWER = ("http_request_method", "http_route", "http_response_status_code", "error_type")
GET = b"GET /items HTTP/1.1\r\nHost: a\r\n\r\n"
UPLOAD = b"POST /items HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


async def send(running: Running, data: bytes) -> bytes:
    """Send bytes, then the end of the stream, and return what comes back."""
    async with connect(running.url) as (reader, writer):
        writer.write(data)
        answer = b""
        with suppress(TimeoutError):
            answer = await asyncio.wait_for(reader.read(1_000_000), 0.3)
        with suppress(OSError):
            writer.write_eof()
        return answer + await asyncio.wait_for(reader.read(), 5)


async def count(running: Running) -> dict[tuple[str, ...], int]:
    """Return the counts once they no longer change, without scrapes and fault plans."""
    found, before, deadline = await scrape(running.client), -1, monotonic() + 5
    while found.count_requests() - 1 != before and monotonic() < deadline:  # without the previous scrape
        before = found.count_requests()
        await asyncio.sleep(0.15)
        found = await scrape(running.client)
    return {key: number for key, number in found.count_by(*ANSWER).items() if key[1] not in {"/metrics", "/faults"}}


async def plan(running: Running, **faults: Any) -> None:
    """Inject faults from now on."""
    async with running.client.put("/faults", json=faults) as reply:
        assert reply.status == 200


async def read_time(running: Running, **labels: str) -> float:
    """Return the seconds that the requests took together."""
    return (await scrape(running.client)).sum(f"{DURATION}_sum", **labels)


@pytest.mark.parametrize("environment", [{}, UNHEARD], ids=["ids alone", "spans"])
async def test_sampled_requests_are_counted_like_others(
    start_service: StartService, environment: dict[str, str]
) -> None:
    running = await start_service(environment, forced_samples_per_s=1_000)
    client = running.client
    for headers in ({}, {"traceparent": TRACEPARENT}):
        async with client.post("/items", json=ITEM, headers=headers) as reply:
            path, etag = reply.headers["Location"], reply.headers["ETag"]
        for method, where, extra in (
            ("GET", path, {}),
            ("HEAD", path, {}),
            ("GET", path, {"If-None-Match": etag}),
            ("GET", "/items/none", {}),
            ("GET", "/nowhere", {}),
            ("PATCH", "/items", {}),
            ("GET", "/items/export", {}),
            ("GET", "/livez", {}),
        ):
            async with client.request(method, where, headers=headers | extra) as reply:
                await reply.read()
    assert await count(running) == {
        ("POST", "/items", "201", ""): 2,
        ("GET", "/items/{id}", "200", ""): 2,
        ("HEAD", "/items/{id}", "200", ""): 2,
        ("GET", "/items/{id}", "304", ""): 2,
        ("GET", "/items/{id}", "404", ""): 2,
        ("GET", "/{unmatched}", "404", ""): 2,
        ("PATCH", "/items", "405", ""): 2,
        ("GET", "/items/export", "200", ""): 2,
        ("GET", "/livez", "200", ""): 2,
    }


@pytest.mark.parametrize("headers", [{}, {"traceparent": TRACEPARENT}])
async def test_each_of_a_hundred_failures_is_counted(start_service: StartService, headers: dict[str, str]) -> None:
    running = await start_service(faults=True, forced_samples_per_s=50)
    await plan(running, error_ratio=1)
    for _ in range(100):
        async with running.client.get("/items", headers=headers) as reply:
            assert reply.status == 500
    assert await count(running) == {("GET", "/items", "500", "InjectedFaultError"): 100}


async def test_a_request_that_exceeds_its_time_is_a_504_with_that_time(start_service: StartService) -> None:
    running = await start_service(faults=True, request_timeout_s=0.3)
    await plan(running, latency_ms=10_000, route="/items/{id}")
    async with running.client.get("/items/none") as reply:
        assert reply.status == 504
    assert await count(running) == {("GET", "/items/{id}", "504", "TimedOutError"): 1}
    assert 0.3 <= await read_time(running, http_response_status_code="504") < 2


async def test_a_body_that_does_not_arrive_is_a_408_with_that_time(start_service: StartService) -> None:
    running = await start_service(request_timeout_s=0.3)
    async with connect(running.url) as (reader, writer):
        writer.write(UPLOAD + b"Content-Length: 10\r\n\r\n{")
        assert b" 408 " in await reader.readline()
    assert await count(running) == {("POST", "/items", "408", ""): 1}
    assert 0.3 <= await read_time(running, http_response_status_code="408") < 2


async def test_a_client_that_disconnects_while_it_waits_is_a_499_with_that_time(start_service: StartService) -> None:
    running = await start_service(faults=True)
    await plan(running, latency_ms=60_000, route="/items")
    async with connect(running.url) as (_, writer):
        writer.write(GET)
        await asyncio.sleep(0.3)
        writer.transport.abort()
    assert await count(running) == {("GET", "/items", "499", ""): 1}
    assert 0.2 <= await read_time(running, http_response_status_code="499") < 2


@pytest.mark.parametrize("is_abrupt", [True, False])
async def test_a_client_that_disconnects_during_its_body_is_a_499(running: Running, *, is_abrupt: bool) -> None:
    async with connect(running.url) as (reader, writer):
        writer.write(UPLOAD + b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"{")
        if is_abrupt:
            writer.transport.abort()
    assert await count(running) == {("POST", "/items", "499", ""): 1}


async def test_pipelined_requests_of_a_client_that_disconnects_are_counted_if_they_began(
    start_service: StartService,
) -> None:
    running = await start_service(faults=True)
    await plan(running, latency_ms=60_000, route="/items")
    async with connect(running.url) as (reader, writer):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" + GET * 3)
        assert b" 200 " in await reader.readline()
        await asyncio.sleep(0.1)
        writer.transport.abort()
    assert await count(running) == {("GET", "/livez", "200", ""): 1, ("GET", "/items", "499", ""): 1}


async def test_each_pipelined_request_has_its_own_time(start_service: StartService) -> None:
    """A request's time includes neither the wait for the previous request nor the time between two requests."""
    running = await start_service(faults=True)
    await plan(running, latency_ms=300, route="/items")
    async with connect(running.url) as (reader, writer):
        writer.write(GET + b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b" 200 " in await reader.readline()
        await asyncio.sleep(0.3)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).count(b"HTTP/1.1 200") == 2
    assert await count(running) == {("GET", "/items", "200", ""): 1, ("GET", "/livez", "200", ""): 2}
    assert 0.3 <= await read_time(running, http_route="/items") < 1
    assert await read_time(running, http_route="/livez") < 0.3


async def fill(running: Running) -> None:
    """Store more than fits into the buffers between the service and a client."""
    batch = [{"name": "x" * 200, "price": 1, "description": "y" * 2_000}] * 400
    for _ in range(15):
        async with running.client.post("/items/batch", json=batch) as reply:
            assert reply.status == 201


@asynccontextmanager
async def begin_export(running: Running) -> AsyncIterator[asyncio.StreamReader]:
    """Start an export and read a thousand bytes of it."""
    async with connect(running.url) as (reader, writer):
        writer.write(b"GET /items/export HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await reader.readexactly(1_000)
        yield reader


async def test_an_export_takes_as_long_as_its_reader(running: Running) -> None:
    await fill(running)
    async with begin_export(running) as reader:
        await asyncio.sleep(0.4)
        while await reader.read(1_000_000):
            pass
    assert (await count(running))["GET", "/items/export", "200", ""] == 1
    assert 0.4 <= await read_time(running, http_route="/items/export", http_response_status_code="200") < 5


async def test_an_export_that_ends_because_its_reader_is_slow_is_a_499(start_service: StartService) -> None:
    running = await start_service(export_timeout_s=0.3)
    await fill(running)
    async with begin_export(running):
        await asyncio.sleep(0.5)
        counts = await count(running)
    del counts["POST", "/items/batch", "201", ""]
    assert counts == {("GET", "/items/export", "499", ""): 1}


async def test_an_export_that_ends_because_the_store_is_slow_is_a_failure(start_service: StartService) -> None:
    running = await start_service(export_timeout_s=0.0001)
    await fill(running)
    with suppress(asyncio.IncompleteReadError):
        async with begin_export(running) as reader:
            await reader.read()
    counts = await count(running)
    del counts["POST", "/items/batch", "201", ""]
    assert counts == {("GET", "/items/export", "500", "TimedOutError"): 1}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", {}),
        (b"GET /items", {}),
        (b"GET /items HTTP/1.1\r\nHost: a\r\n", {}),
        (b"NO REQUEST\r\n\r\n", {("_OTHER", "/{unmatched}", "400", ""): 1}),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 20_000 + b"\r\n\r\n", {("_OTHER", "/{unmatched}", "400", ""): 1}),
        (UPLOAD + b"Content-Length: x\r\n\r\n", {("_OTHER", "/{unmatched}", "400", ""): 1}),
        (UPLOAD + b"Content-Length: 2000000\r\n\r\n", {("POST", "/items", "413", ""): 1}),
        (UPLOAD + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", {("_OTHER", "/{unmatched}", "400", ""): 1}),
    ],
)
async def test_an_incomplete_or_invalid_request_is_counted_once_if_it_gets_a_response(
    running: Running, data: bytes, expected: dict[tuple[str, ...], int]
) -> None:
    """A request begins when its headers are complete. One that the parser refuses has the fixed route."""
    answered = Counter(status.decode() for status in re.findall(rb"HTTP/1\.[01] (\d+) ", await send(running, data)))
    assert await count(running) == expected
    assert answered == Counter(status for _, _, status, _ in expected)


async def test_a_body_that_the_parser_refuses_while_it_is_read_is_counted_once(start_service: StartService) -> None:
    running = await start_service(request_timeout_s=0.3, header_timeout_s=0.5)
    async with connect(running.url) as (reader, writer):
        writer.write(UPLOAD + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"nonsense\r\n")
        statuses = re.findall(rb"HTTP/1\.[01] (\d+) ", await asyncio.wait_for(reader.read(), 5))
    assert len(statuses) == 1
    assert await count(running) == {("POST", "/items", statuses[0].decode(), ""): 1}
