"""A slow or broken client may hold one connection for a bounded time, and gets a problem that names its mistake."""

import asyncio
import contextlib
from time import monotonic

import aiohttp
import orjson
import pytest
from conftest import Running, StartService
from connections import connect
from waiting import wait_until

HOST = b"Host: a\r\n"
POST = b"POST /items HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
ITEM = b'{"name": "Asked","price":1}'
GET = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"


async def test_an_unparsable_request_gets_a_problem_and_is_counted(running: Running) -> None:
    async with connect(running.url) as client:
        await client.send(b"GET /items HTTP/1.1\r\nContent-Length: x\r\n\r\n")
        status, headers, body = await client.read_response()
        await client.wait_closed(1)
    problem = orjson.loads(body)
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert (problem["type"], problem["status"]) == ("/docs#malformed-request", 400)
    assert problem["request_id"]
    async with running.client.get("/metrics") as response:
        text = await response.text()
    assert 'http_response_status_code="400",http_route="/{unmatched}"' in text


async def test_a_connection_without_complete_headers_is_closed(start_service: StartService) -> None:
    running = await start_service(header_timeout_s=0.5)
    async with connect(running.url) as silent, connect(running.url) as dripping:

        async def drip() -> None:
            await dripping.send(b"GET /livez HTTP/1.1\r\n")
            with contextlib.suppress(ConnectionError):
                for number in range(100):
                    await dripping.send(b"X-%d: y\r\n" % number)
                    await asyncio.sleep(0.05)

        task = asyncio.create_task(drip())
        silent_s, dripping_s = await asyncio.gather(silent.wait_closed(2), dripping.wait_closed(2))
        task.cancel()
    assert 0.4 < silent_s < 1.5
    assert 0.4 < dripping_s < 1.5


async def test_a_reused_connection_without_complete_headers_is_closed(start_service: StartService) -> None:
    running = await start_service(header_timeout_s=0.5, keepalive_timeout_s=0.7)
    async with connect(running.url) as client:
        await client.send(GET)
        assert (await client.read_response())[0] == 200
        await client.send(b"GET /livez HTTP/1.1\r\nX: ")
        assert await client.wait_closed(2) < 1.5


async def test_an_idle_connection_is_closed_after_the_keepalive_timeout(start_service: StartService) -> None:
    running = await start_service(header_timeout_s=0.3, keepalive_timeout_s=1)
    async with connect(running.url) as client:
        for _ in range(2):
            await client.send(GET)
            assert (await client.read_response())[0] == 200
            await asyncio.sleep(0.6)
        assert await client.wait_closed(2) < 1


async def test_a_body_that_does_not_arrive_gets_408_and_the_connection_is_closed(start_service: StartService) -> None:
    running = await start_service(request_timeout_s=0.5, header_timeout_s=1)
    started = monotonic()
    async with connect(running.url) as client:
        await client.send(POST + b'Content-Length: 27\r\n\r\n{"name":')
        status, _, body = await client.read_response()
        assert (status, orjson.loads(body)["title"]) == (408, "Request timeout")
        assert 0.4 < monotonic() - started < 1.5
        await client.wait_closed(2)


async def test_an_import_may_exceed_the_request_timeout_but_not_pause_for_it(start_service: StartService) -> None:
    running = await start_service(request_timeout_s=0.5, header_timeout_s=1)
    async with connect(running.url) as client:
        await client.send(POST.replace(b"/items", b"/items/import").replace(b"json", b"x-ndjson"))
        await client.send(b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            await client.send(b'1b\r\n{"name": "Slow","price":1}\n\r\n')
            await asyncio.sleep(0.25)
        status, _, body = await client.read_response()
    problem = orjson.loads(body)
    assert (status, problem["title"]) == (408, "Request timeout")
    assert problem["created"] == problem["stored_through_line"]
    async with running.client.get("/items", params={"count": "exact"}) as response:
        assert (await response.json())["total"] == problem["created"]


async def test_a_content_length_above_the_limit_is_refused_before_the_body_arrives(start_service: StartService) -> None:
    running = await start_service(max_body_bytes=1024)
    async with connect(running.url) as client:
        await client.send(POST + b"Content-Length: 1025\r\n\r\n")
        status, _, body = await client.read_response()
    assert (status, orjson.loads(body)["type"]) == (413, "/docs#content-too-large")


async def test_chunks_above_the_limit_are_refused_before_the_body_ends(start_service: StartService) -> None:
    running = await start_service(max_body_bytes=1024)
    async with connect(running.url) as client:
        await client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"400\r\n" + b" " * 1024 + b"\r\n") * 2)
        assert (await client.read_response())[0] == 413


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (b"Content-Length: 27\r\nExpect: 100-continue\r\n", 100),
        (b"Content-Length: 27\r\nExpect: 100-Continue\r\n", 100),
        (b"Content-Length: 2000000\r\nExpect: 100-continue\r\n", 413),
    ],
)
async def test_expect_continue_gets_100_or_the_final_refusal(running: Running, headers: bytes, expected: int) -> None:
    async with connect(running.url) as client:
        await client.send(POST + headers + b"\r\n")
        assert (await client.read_response())[0] == expected
        if expected == 100:
            await client.send(ITEM)
            assert (await client.read_response())[0] == 201


async def test_expect_continue_with_an_unsupported_media_type_gets_no_100(running: Running) -> None:
    async with connect(running.url) as client:
        await client.send(POST.replace(b"json", b"xml") + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.read_response())[0] == 415


async def test_a_client_that_disconnects_cancels_its_request(start_service: StartService) -> None:
    running = await start_service(faults=True)
    async with running.client.put("/faults", json={"latency_ms": 5000}) as response:
        assert response.status == 200
    async with connect(running.url) as client:
        await client.send(GET.replace(b"/livez", b"/items"))
        await wait_until("request in flight", lambda: running.service.admission.in_flight == 1, timeout_s=1)
    await wait_until("cancellation", lambda: running.service.admission.in_flight == 0, timeout_s=1)


async def test_idle_connections_do_not_count_as_requests_in_flight(start_service: StartService) -> None:
    running = await start_service(max_in_flight=4)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(200):
            await stack.enter_async_context(connect(running.url))
        async with running.client.post("/items", json={"name": "In", "price": 1}) as response:
            assert response.status == 201


async def test_a_head_response_has_the_headers_of_get_and_no_body(client: aiohttp.ClientSession) -> None:
    async with client.post("/items", json={"name": "Head", "price": 1}) as response:
        location = response.headers["Location"]
    for path in (location, "/items", "/health", "/docs", "/openapi.json"):
        async with client.get(path) as get, client.head(path) as head:
            assert (head.status, await head.read()) == (200, b"")
            assert head.headers["Content-Type"] == get.headers["Content-Type"]
            assert head.headers.get("ETag") == get.headers.get("ETag")
