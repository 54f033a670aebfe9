"""A client that is slow or speaks nonsense costs one connection for a bounded time, and is told what was wrong."""

import asyncio
import contextlib
from time import monotonic

import aiohttp
import orjson
import pytest
from conftest import Running, StartService

HOST = b"Host: a\r\n"
POST = b"POST /items HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
ITEM = b'{"name": "Asked","price":1}'
GET = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"


class Client:
    """A connection on which bytes are sent as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read_reply(self) -> tuple[int, dict[str, str], bytes]:
        """One reply that has a length: status, headers, body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        return int(head[0].split()[1]), headers, await self.reader.readexactly(int(headers.get("content-length", "0")))

    async def wait_closed(self, within_s: float) -> float:
        """Seconds until the service hangs up. TimeoutError."""
        started = monotonic()
        async with asyncio.timeout(within_s):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass
        return monotonic() - started


@contextlib.asynccontextmanager
async def connect(running: Running):  # type: ignore[no-untyped-def]  # noqa: ANN201
    port = int(running.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_what_is_not_http_is_told_so_as_a_problem_and_counted(running: Running) -> None:
    async with connect(running) as client:
        client.writer.write(b"GET /items HTTP/1.1\r\nContent-Length: x\r\n\r\n")
        status, headers, body = await client.read_reply()
        await client.wait_closed(1)
    problem = orjson.loads(body)
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert (problem["type"], problem["status"]) == ("/docs#malformed-request", 400)
    assert problem["request_id"]
    async with running.client.get("/metrics") as reply:
        text = await reply.text()
    assert 'http_response_status_code="400",http_route="/{unmatched}"' in text


async def test_headers_that_do_not_come_are_not_waited_for(start_service: StartService) -> None:
    running = await start_service(header_timeout_s=0.5)
    async with connect(running) as silent, connect(running) as dripping:

        async def drip() -> None:
            dripping.writer.write(b"GET /livez HTTP/1.1\r\n")
            with contextlib.suppress(ConnectionError):
                for number in range(100):
                    dripping.writer.write(b"X-%d: y\r\n" % number)
                    await dripping.writer.drain()
                    await asyncio.sleep(0.05)

        task = asyncio.create_task(drip())
        silent_s, dripping_s = await asyncio.gather(silent.wait_closed(2), dripping.wait_closed(2))
        task.cancel()
    assert 0.4 < silent_s < 1.5
    assert 0.4 < dripping_s < 1.5


async def test_headers_that_drip_on_a_connection_that_was_used_are_not_waited_for(start_service: StartService) -> None:
    running = await start_service(header_timeout_s=0.5, keepalive_timeout_s=0.7)
    async with connect(running) as client:
        client.writer.write(GET)
        assert (await client.read_reply())[0] == 200
        client.writer.write(b"GET /livez HTTP/1.1\r\nX: ")
        assert await client.wait_closed(2) < 1.5


async def test_an_idle_connection_is_kept_for_a_while_and_then_closed(start_service: StartService) -> None:
    running = await start_service(header_timeout_s=0.3, keepalive_timeout_s=1)
    async with connect(running) as client:
        for _ in range(2):
            client.writer.write(GET)
            assert (await client.read_reply())[0] == 200
            await asyncio.sleep(0.6)
        assert await client.wait_closed(2) < 1


async def test_a_body_that_does_not_come_is_answered_408_and_cut(start_service: StartService) -> None:
    running = await start_service(request_timeout_s=0.5, header_timeout_s=1)
    started = monotonic()
    async with connect(running) as client:
        client.writer.write(POST + b'Content-Length: 27\r\n\r\n{"name":')
        status, _, body = await client.read_reply()
        assert (status, orjson.loads(body)["title"]) == (408, "Request timeout")
        assert 0.4 < monotonic() - started < 1.5
        await client.wait_closed(2)


async def test_an_import_may_take_long_but_not_pause_long(start_service: StartService) -> None:
    running = await start_service(request_timeout_s=0.5, header_timeout_s=1)
    async with connect(running) as client:
        client.writer.write(POST.replace(b"/items", b"/items/import").replace(b"json", b"x-ndjson"))
        client.writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            client.writer.write(b'1b\r\n{"name": "Slow","price":1}\n\r\n')
            await asyncio.sleep(0.25)
        status, _, body = await client.read_reply()
    problem = orjson.loads(body)
    assert (status, problem["title"]) == (408, "Request timeout")
    assert problem["created"] == problem["stored_through_line"]
    async with running.client.get("/items", params={"count": "exact"}) as reply:
        assert (await reply.json())["total"] == problem["created"]


async def test_a_length_beyond_the_limit_is_refused_before_a_byte_of_the_body(start_service: StartService) -> None:
    running = await start_service(max_body_bytes=1024)
    async with connect(running) as client:
        client.writer.write(POST + b"Content-Length: 1025\r\n\r\n")
        status, _, body = await client.read_reply()
    assert (status, orjson.loads(body)["type"]) == (413, "/docs#content-too-large")


async def test_chunks_beyond_the_limit_are_refused_as_soon_as_they_are(start_service: StartService) -> None:
    running = await start_service(max_body_bytes=1024)
    async with connect(running) as client:
        client.writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"400\r\n" + b" " * 1024 + b"\r\n") * 2)
        assert (await client.read_reply())[0] == 413


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (b"Content-Length: 27\r\nExpect: 100-continue\r\n", 100),
        (b"Content-Length: 27\r\nExpect: 100-Continue\r\n", 100),
        (b"Content-Length: 2000000\r\nExpect: 100-continue\r\n", 413),
    ],
)
async def test_a_client_that_waits_with_its_body_is_told_whether_it_is_wanted(
    running: Running, headers: bytes, expected: int
) -> None:
    async with connect(running) as client:
        client.writer.write(POST + headers + b"\r\n")
        assert (await client.read_reply())[0] == expected
        if expected == 100:
            client.writer.write(ITEM)
            assert (await client.read_reply())[0] == 201


async def test_a_client_that_waits_is_not_asked_for_a_body_of_the_wrong_type(running: Running) -> None:
    async with connect(running) as client:
        client.writer.write(POST.replace(b"json", b"xml") + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.read_reply())[0] == 415


async def test_a_client_that_leaves_cancels_what_it_asked_for(start_service: StartService) -> None:
    running = await start_service(faults=True)
    async with running.client.put("/faults", json={"latency_ms": 5000}) as reply:
        assert reply.status == 200
    async with connect(running) as client:
        client.writer.write(GET.replace(b"/livez", b"/items"))
        await asyncio.sleep(0.2)
        assert running.service.admission.in_flight == 1
    await asyncio.sleep(0.2)
    assert running.service.admission.in_flight == 0


async def test_many_idle_connections_keep_nobody_out(start_service: StartService) -> None:
    running = await start_service(max_in_flight=4)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(200):
            await stack.enter_async_context(connect(running))
        async with running.client.post("/items", json={"name": "In", "price": 1}) as reply:
            assert reply.status == 201


async def test_a_reply_to_head_has_the_headers_of_get_and_no_body(client: aiohttp.ClientSession) -> None:
    async with client.post("/items", json={"name": "Head", "price": 1}) as reply:
        location = reply.headers["Location"]
    for path in (location, "/items", "/health", "/docs", "/openapi.json"):
        async with client.get(path) as get, client.head(path) as head:
            assert (head.status, await head.read()) == (200, b"")
            assert head.headers["Content-Type"] == get.headers["Content-Type"]
            assert head.headers.get("ETag") == get.headers.get("ETag")
