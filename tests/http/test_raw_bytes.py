"""For any bytes that a client sends, the service must respond or close the connection soon, and stay healthy."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from connections import exchange, find_statuses
from processes import Process, run_process

TIMEOUT_S = 1  # for headers, idle connections and requests
ITEM = b'{"name": "Raw", "price": 1}'
HOST = b"Host: a\r\n"
JSON = b"Content-Type: application/json\r\n"
POST = b"POST /items HTTP/1.1\r\n" + HOST + JSON
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /livez HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
WHOLE = POST + b"Content-Length: %d\r\n\r\n" % len(ITEM) + ITEM
SMUGGLED = (
    b"POST /items HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 34\r\n\r\n" + b'{"name": "Smuggled", "price": 666}'
)


@pytest_asyncio.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    """Run a service with short timeouts."""
    async with run_process(
        tmp_path, header_timeout_s=TIMEOUT_S, keepalive_timeout_s=TIMEOUT_S, request_timeout_s=TIMEOUT_S
    ) as running:
        yield running


async def send(process: Process, *parts: bytes, pause_s: float = 0.02, reads: bool = True) -> list[int]:
    """Send the parts; return the statuses of the responses. TimeoutError: the service keeps the connection open."""
    return find_statuses(await exchange(process.url, *parts, pause_s=pause_s, reads=reads))


async def require_healthy(process: Process, names: set[str]) -> None:
    """Require that the service is healthy, logged no failure, and holds only items with these names."""
    assert process.is_running
    async with aiohttp.ClientSession(process.url) as client:
        async with client.get("/health") as response:
            assert (response.status, (await response.json())["status"]) == (200, "ok")
        async with client.get("/items", params={"limit": 200}) as response:
            assert {item["name"] for item in (await response.json())["items"]} <= names
    assert [line for line in process.log if line["level"] in {"error", "warning"}] == []


REFUSED = {
    "an invalid request line": b"hello\r\n\r\n",
    "no request line": b"\r\n\r\n\r\n\x00\r\n\r\n",
    "binary data": bytes(range(256)),
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown version": b"GET /livez HTTP/9.9\r\n" + HOST + b"\r\n",
    "an unknown method": b"BREW /items HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method with a control character": b"GE\x01T /items HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a control character": b"GET /it\x00ems HTTP/1.1\r\n" + HOST + b"\r\n",
    "a header without a colon": b"GET /livez HTTP/1.1\r\n" + HOST + b"nothing\r\n\r\n",
    "a space before the colon": b"GET /livez HTTP/1.1\r\n" + HOST + b"Content-Length : 5\r\n\r\nhello",
    "a header without a name": b"GET /livez HTTP/1.1\r\n" + HOST + b": x\r\n\r\n",
    "a NUL in a header": b"GET /livez HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
    "a bare carriage return": b"GET /livez HTTP/1.1\r\n" + HOST + b"X: a\rY: b\r\n\r\n",
    "a target beyond the limit": b"GET /" + b"a" * 8_200 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a header beyond the limit": b"GET /livez HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 8_200 + b"\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + ITEM,
    "a signed length": POST + b"Content-Length: +27\r\n\r\n" + ITEM,
    "a hexadecimal length": POST + b"Content-Length: 0x1b\r\n\r\n" + ITEM,
    "a length with an underscore": POST + b"Content-Length: 2_7\r\n\r\n" + ITEM,
    "a length of 100 digits": POST + b"Content-Length: " + b"9" * 100 + b"\r\n\r\n" + ITEM,
    "two lengths": POST + b"Content-Length: 27\r\nContent-Length: 5\r\n\r\n" + ITEM,
    "a list of lengths": POST + b"Content-Length: 27, 27\r\n\r\n" + ITEM,
    "a length before chunked": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a length after chunked": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "an unknown transfer encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a vertical tab before the transfer encoding": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked in HTTP/1.0 with a length": b"POST /items HTTP/1.0\r\n" + JSON
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "an invalid chunk size": CHUNKED + b"zz\r\n" + ITEM + b"\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + b"-1\r\n" + ITEM + b"\r\n0\r\n\r\n",
    "a chunk size with 0x": CHUNKED + b"0x1b\r\n" + ITEM + b"\r\n0\r\n\r\n",
    "a chunk size with an underscore": CHUNKED + b"1_b\r\n" + ITEM + b"\r\n0\r\n\r\n",
    "a chunk size of 40 digits": CHUNKED + b"f" * 40 + b"\r\n" + ITEM + b"\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"5\r\n" + ITEM + b"\r\n0\r\n\r\n",
    "a chunk without a line end": CHUNKED + b"1b\r\n" + ITEM + b"0\r\n\r\n",
    "a line feed in a chunk extension": CHUNKED + b"1b;a\nb\r\n" + ITEM + b"\r\n0\r\n\r\n",
}  # fmt: skip


SERVED = {
    "a request": (GET + LAST, [200, 200]),
    "a hundred pipelined requests": (GET * 99 + LAST, [200] * 100),
    "empty lines before the request line": (b"\r\n\r\n" + LAST, [200]),
    "pipelined creations": (WHOLE * 20 + LAST, [201] * 20 + [200]),
    "chunks": (CHUNKED + b"5\r\n" + ITEM[:5] + b"\r\n16\r\n" + ITEM[5:] + b"\r\n0\r\n\r\n" + LAST, [201, 200]),
    "chunks of one byte": (
        CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in ITEM) + b"0\r\n\r\n" + LAST, [201, 200],
    ),
    "a chunk extension": (CHUNKED + b"1b;a=b\r\n" + ITEM + b"\r\n0\r\n\r\n" + LAST, [201, 200]),
    "a trailer": (CHUNKED + b"1b\r\n" + ITEM + b"\r\n0\r\nX: y\r\n\r\n" + LAST, [201, 200]),
    "a body that GET ignores": (
        b"GET /livez HTTP/1.1\r\nContent-Length: 5\r\n" + HOST + b"\r\nhello" + LAST, [200, 200],
    ),
    "no body": (POST + b"\r\n" + LAST, [400, 200]),
    "a body that is not UTF-8": (POST + b"Content-Length: 4\r\n\r\n\xff\xfe\x00\x01" + LAST, [400, 200]),
    "Expect: 100-continue": (
        POST + b"Expect: 100-continue\r\nContent-Length: 27\r\n\r\n" + ITEM + LAST, [100, 201, 200],
    ),
    "an unknown Expect": (POST + b"Expect: tea\r\nContent-Length: 27\r\n\r\n" + ITEM + LAST, [201, 200]),
    "Expect: 100-continue in HTTP/1.0": (
        b"POST /items HTTP/1.0\r\n" + JSON + b"Expect: 100-continue\r\nContent-Length: 27\r\n\r\n" + ITEM, [201],
    ),
    "an upgrade to WebSocket": (
        b"GET /livez HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n" + LAST, [200, 200],
    ),
    "CONNECT": (b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n" + LAST, [404, 200]),
    "an absolute target": (b"GET http://a/livez HTTP/1.1\r\n" + HOST + b"\r\n" + LAST, [200, 200]),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n" + LAST, [404, 200]),
    "an invalid percent encoding": (b"GET /items/%zz%00%ff HTTP/1.1\r\n" + HOST + b"\r\n" + LAST, [404, 200]),
    "dot segments in a target": (b"GET /items/../livez HTTP/1.1\r\n" + HOST + b"\r\n" + LAST, [404, 200]),
    "a Latin-1 header": (b"GET /livez HTTP/1.1\r\nX: \xe4\xff\r\n" + HOST + b"\r\n" + LAST, [200, 200]),
    "a header within the limit": (
        b"GET /livez HTTP/1.1\r\nX: " + b"a" * 8_180 + b"\r\n" + HOST + b"\r\n" + LAST, [200, 200],
    ),
    "a target within the limit": (b"GET /" + b"a" * 8_150 + b" HTTP/1.1\r\n" + HOST + b"\r\n" + LAST, [404, 200]),
    "HTTP/0.9": (b"GET /livez\r\n\r\n", [200]),
    "HTTP/1.0": (b"GET /livez HTTP/1.0\r\n\r\n", [200]),
}  # fmt: skip
TOKENS = (
    *(b"\r\n", b"\n", b"\r", b"\x00", b"\xff", b" ", b"\t", b":", b";", b",", b"0", b"-1", b"%00", b'"', b"\r\n\r\n"),
    *(b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"chunked"),
    *(b"0\r\n\r\n", b"ffffffff\r\n", b"X: " + b"x" * 9_000 + b"\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n"),
    *(b"Content-Encoding: gzip\r\n", b'If-Match: "1"\r\n', b"Host: \xff\r\n", b"traceparent: 00-\x80\r\n"),
)  # fmt: skip
IMPORT = b"POST /items/import HTTP/1.1\r\n" + HOST + b"Content-Type: application/x-ndjson\r\n"
SEEDS = (
    GET + LAST,
    WHOLE + WHOLE + LAST,
    CHUNKED + b"1b\r\n" + ITEM + b"\r\n0\r\n\r\n" + LAST,
    IMPORT + b"Content-Length: %d\r\n\r\n" % (2 * len(ITEM) + 2) + (ITEM + b"\n") * 2 + LAST,
    IMPORT + b"Transfer-Encoding: chunked\r\n\r\n1c\r\n" + ITEM + b"\n\r\n0\r\n\r\n" + LAST,
    b"GET /items?q=a&limit=2&sort=-price HTTP/1.1\r\n" + HOST + b"\r\n" + LAST,
    b"GET /items/export?format=csv HTTP/1.1\r\n" + HOST + b"\r\n" + LAST,
    b"PATCH /items/019b7d2c-5e4e-7000-8a6b-3c5d7e9f1a2b HTTP/1.1\r\n"
    + HOST
    + JSON
    + b"Content-Length: 2\r\n\r\n{}"
    + LAST,
    b"DELETE /items/x HTTP/1.1\r\n" + HOST + b'If-Match: "1"\r\n\r\n' + LAST,
)


def mutate(chance: random.Random) -> list[bytes]:
    """Return one or two requests with random mutations, cut into parts."""
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        match chance.randrange(5):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.choice((1, 2, 20))]
            case 2:
                data[at:at] = data[at : at + chance.choice((1, 10, 60))]
            case 3:
                data[at:at] = chance.choice(TOKENS)
            case _:
                line = data.find(b"\r\n", at) + 2
                data[line:line] = chance.choice(TOKENS)
        data = data or bytearray(b"\r\n")
    cuts = sorted(chance.randrange(len(data)) for _ in range(chance.randrange(3)))
    return [bytes(data[start:end]) for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


async def test_invalid_requests_get_400_and_the_connection_is_closed(process: Process) -> None:
    statuses = await asyncio.gather(*(send(process, data) for data in REFUSED.values()))
    assert dict(zip(REFUSED, statuses, strict=True)) == {name: [400] for name in REFUSED}
    await require_healthy(process, set())


async def test_valid_requests_in_unusual_forms_are_served(process: Process) -> None:
    statuses = await asyncio.gather(*(send(process, data) for data, _ in SERVED.values()))
    assert dict(zip(SERVED, statuses, strict=True)) == {name: expected for name, (_, expected) in SERVED.items()}
    await require_healthy(process, {"Raw"})


@pytest.mark.parametrize("size", [1, 7])
async def test_requests_that_arrive_in_small_pieces_are_served(process: Process, size: int) -> None:
    data = WHOLE + CHUNKED + b"1b\r\n" + ITEM + b"\r\n0\r\n\r\n" + LAST
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    assert await send(process, *parts, pause_s=0.0005) == [201, 201, 200]


async def test_a_body_that_never_ends_stores_nothing(process: Process) -> None:
    started = POST + b"Content-Length: 1000\r\n\r\n" + ITEM
    cut = [started, CHUNKED + b"1b\r\n" + ITEM + b"\r\n", CHUNKED + b"ff\r\n" + ITEM, IMPORT + b"\r\n" + ITEM]
    await asyncio.gather(*(send(process, data, reads=False) for data in cut * 5))
    assert await asyncio.gather(*(send(process, data) for data in cut[:3])) == [[408], [408], [408]]
    await require_healthy(process, set())


@pytest.mark.parametrize("seed", range(4))
async def test_mutated_requests_get_a_response_or_are_cut_and_never_fail_the_service(
    process: Process, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same bytes in each run
    cases = [mutate(chance) for _ in range(1_000)]
    places = asyncio.Semaphore(200)

    async def send_case(parts: list[bytes]) -> list[int]:
        async with places:
            try:
                return await send(process, *parts, reads=chance.random() >= 1 / 8)
            except TimeoutError:
                return [0]

    statuses = await asyncio.gather(*(send_case(parts) for parts in cases))
    bad = [
        (parts, found)
        for parts, found in zip(cases, statuses, strict=True)
        if any(not 100 <= status < 500 for status in found)
    ]
    assert bad == []
    assert sum(map(len, statuses)) > len(cases) / 2
    async with aiohttp.ClientSession(process.url) as client, client.get("/health") as response:
        assert (response.status, (await response.json())["status"]) == (200, "ok")
    assert [line for line in process.log if line["level"] in {"error", "warning"}] == []
