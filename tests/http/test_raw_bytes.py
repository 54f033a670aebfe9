"""Anyone can send any bytes: whatever they are, the service answers or hangs up, soon, and is well afterwards."""

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from processes import Process, run_process

TIMEOUT_S = 1  # of headers, of an idle connection, of a request
PATIENCE_S = 8  # after which a connection that is neither answered nor closed hangs
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
_find_statuses = re.compile(rb"HTTP/[01]\.[019] (\d{3}) [A-Z]").findall


@pytest_asyncio.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    """A service of its own process whose time limits are short."""
    async with run_process(
        tmp_path, header_timeout_s=TIMEOUT_S, keepalive_timeout_s=TIMEOUT_S, request_timeout_s=TIMEOUT_S
    ) as running:
        yield running


async def exchange(port: int, *parts: bytes, pause_s: float = 0.02, leaves: bool = False) -> list[int]:
    """Send the parts and read until the service hangs up; the statuses of its replies, interim ones among them.

    TimeoutError where it does not. With `leaves` the client hangs up first.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_s)
            while not leaves and (data := await reader.read(65536)):
                received += data
    except ConnectionError:
        pass  # It hung up, which it may.
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return [int(status) for status in _find_statuses(received)]


async def require_well(process: Process, names: set[str]) -> None:
    """It runs, answers, has failed of nothing, and holds only items that a client meant to create."""
    assert process.is_running
    async with aiohttp.ClientSession(process.url) as client:
        async with client.get("/health") as reply:
            assert (reply.status, (await reply.json())["status"]) == (200, "ok")
        async with client.get("/items", params={"limit": 200}) as reply:
            assert {item["name"] for item in (await reply.json())["items"]} <= names
    assert [line for line in process.log if line["level"] in {"error", "warning"}] == []


REFUSED = {
    "a line that is none": b"hello\r\n\r\n",
    "no line": b"\r\n\r\n\r\n\x00\r\n\r\n",
    "binary": bytes(range(256)),
    "a client that speaks TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "a client that speaks HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version that is none": b"GET /livez HTTP/9.9\r\n" + HOST + b"\r\n",
    "a method that is none": b"BREW /items HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method with a control character": b"GE\x01T /items HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a control character": b"GET /it\x00ems HTTP/1.1\r\n" + HOST + b"\r\n",
    "a header without a colon": b"GET /livez HTTP/1.1\r\n" + HOST + b"nothing\r\n\r\n",
    "a blank before the colon": b"GET /livez HTTP/1.1\r\n" + HOST + b"Content-Length : 5\r\n\r\nhello",
    "a header without a name": b"GET /livez HTTP/1.1\r\n" + HOST + b": x\r\n\r\n",
    "a NUL in a header": b"GET /livez HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
    "a carriage return alone": b"GET /livez HTTP/1.1\r\n" + HOST + b"X: a\rY: b\r\n\r\n",
    "a target beyond the limit": b"GET /" + b"a" * 8_200 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a header beyond the limit": b"GET /livez HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 8_200 + b"\r\n\r\n",
    "a length that is negative": POST + b"Content-Length: -1\r\n\r\n" + ITEM,
    "a length that is signed": POST + b"Content-Length: +27\r\n\r\n" + ITEM,
    "a length that is hexadecimal": POST + b"Content-Length: 0x1b\r\n\r\n" + ITEM,
    "a length with an underscore": POST + b"Content-Length: 2_7\r\n\r\n" + ITEM,
    "a length without end": POST + b"Content-Length: " + b"9" * 100 + b"\r\n\r\n" + ITEM,
    "two lengths": POST + b"Content-Length: 27\r\nContent-Length: 5\r\n\r\n" + ITEM,
    "a list of lengths": POST + b"Content-Length: 27, 27\r\n\r\n" + ITEM,
    "a length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunks and a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "an encoding that is none": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "an encoding with a tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked in HTTP/1.0 with a length": b"POST /items HTTP/1.0\r\n" + JSON
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk's size that is none": CHUNKED + b"zz\r\n" + ITEM + b"\r\n0\r\n\r\n",
    "a chunk's size that is negative": CHUNKED + b"-1\r\n" + ITEM + b"\r\n0\r\n\r\n",
    "a chunk's size in 0x": CHUNKED + b"0x1b\r\n" + ITEM + b"\r\n0\r\n\r\n",
    "a chunk's size with an underscore": CHUNKED + b"1_b\r\n" + ITEM + b"\r\n0\r\n\r\n",
    "a chunk's size without end": CHUNKED + b"f" * 40 + b"\r\n" + ITEM + b"\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"5\r\n" + ITEM + b"\r\n0\r\n\r\n",
    "a chunk without its end": CHUNKED + b"1b\r\n" + ITEM + b"0\r\n\r\n",
    "a line feed in a chunk's extension": CHUNKED + b"1b;a\nb\r\n" + ITEM + b"\r\n0\r\n\r\n",
}  # fmt: skip


ANSWERED = {
    "a request": (GET + LAST, [200, 200]),
    "a hundred in one packet": (GET * 99 + LAST, [200] * 100),
    "line ends before the first line": (b"\r\n\r\n" + LAST, [200]),
    "creations in one packet": (WHOLE * 20 + LAST, [201] * 20 + [200]),
    "chunks": (CHUNKED + b"5\r\n" + ITEM[:5] + b"\r\n16\r\n" + ITEM[5:] + b"\r\n0\r\n\r\n" + LAST, [201, 200]),
    "chunks of one byte": (
        CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in ITEM) + b"0\r\n\r\n" + LAST, [201, 200],
    ),
    "an extension of a chunk": (CHUNKED + b"1b;a=b\r\n" + ITEM + b"\r\n0\r\n\r\n" + LAST, [201, 200]),
    "a trailer": (CHUNKED + b"1b\r\n" + ITEM + b"\r\n0\r\nX: y\r\n\r\n" + LAST, [201, 200]),
    "a body that GET ignores": (
        b"GET /livez HTTP/1.1\r\nContent-Length: 5\r\n" + HOST + b"\r\nhello" + LAST, [200, 200],
    ),
    "no body": (POST + b"\r\n" + LAST, [400, 200]),
    "bytes that are no text": (POST + b"Content-Length: 4\r\n\r\n\xff\xfe\x00\x01" + LAST, [400, 200]),
    "a wish to be asked first": (
        POST + b"Expect: 100-continue\r\nContent-Length: 27\r\n\r\n" + ITEM + LAST, [100, 201, 200],
    ),
    "a wish that is none": (POST + b"Expect: tea\r\nContent-Length: 27\r\n\r\n" + ITEM + LAST, [201, 200]),
    "a wish that HTTP/1.0 cannot have": (
        b"POST /items HTTP/1.0\r\n" + JSON + b"Expect: 100-continue\r\nContent-Length: 27\r\n\r\n" + ITEM, [201],
    ),
    "a wish to speak otherwise": (
        b"GET /livez HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n" + LAST, [200, 200],
    ),
    "a tunnel": (b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n" + LAST, [404, 200]),
    "an absolute target": (b"GET http://a/livez HTTP/1.1\r\n" + HOST + b"\r\n" + LAST, [200, 200]),
    "a star": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n" + LAST, [404, 200]),
    "a target with percent signs": (b"GET /items/%zz%00%ff HTTP/1.1\r\n" + HOST + b"\r\n" + LAST, [404, 200]),
    "dots in a target": (b"GET /items/../livez HTTP/1.1\r\n" + HOST + b"\r\n" + LAST, [404, 200]),
    "a header of Latin-1": (b"GET /livez HTTP/1.1\r\nX: \xe4\xff\r\n" + HOST + b"\r\n" + LAST, [200, 200]),
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
    """A request or two with a few things wrong, in a few parts."""
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


async def test_what_is_no_request_is_refused_and_cut(process: Process) -> None:
    replies = await asyncio.gather(*(exchange(process.port, data) for data in REFUSED.values()))
    assert dict(zip(REFUSED, replies, strict=True)) == {name: [400] for name in REFUSED}
    await require_well(process, set())


async def test_what_is_a_request_is_answered_however_it_comes(process: Process) -> None:
    replies = await asyncio.gather(*(exchange(process.port, data) for data, _ in ANSWERED.values()))
    assert dict(zip(ANSWERED, replies, strict=True)) == {name: expected for name, (_, expected) in ANSWERED.items()}
    await require_well(process, {"Raw"})


@pytest.mark.parametrize("size", [1, 7])
async def test_a_request_in_small_pieces_is_one_request(process: Process, size: int) -> None:
    data = WHOLE + CHUNKED + b"1b\r\n" + ITEM + b"\r\n0\r\n\r\n" + LAST
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    assert await exchange(process.port, *parts, pause_s=0.0005) == [201, 201, 200]


async def test_a_body_that_never_ends_stores_nothing(process: Process) -> None:
    started = POST + b"Content-Length: 1000\r\n\r\n" + ITEM
    cut = [started, CHUNKED + b"1b\r\n" + ITEM + b"\r\n", CHUNKED + b"ff\r\n" + ITEM, IMPORT + b"\r\n" + ITEM]
    await asyncio.gather(*(exchange(process.port, data, leaves=True) for data in cut * 5))
    assert await asyncio.gather(*(exchange(process.port, data) for data in cut[:3])) == [[408], [408], [408]]
    await require_well(process, set())


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_wrong_it_is_answered_or_cut_soon_and_never_with_a_failure(
    process: Process, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same bytes each time
    cases = [mutate(chance) for _ in range(1_000)]
    places = asyncio.Semaphore(200)

    async def send(parts: list[bytes]) -> list[int]:
        async with places:
            try:
                return await exchange(process.port, *parts, leaves=chance.random() < 1 / 8)
            except TimeoutError:
                return [0]

    replies = await asyncio.gather(*(send(parts) for parts in cases))
    bad = [
        (parts, statuses)
        for parts, statuses in zip(cases, replies, strict=True)
        if any(not 100 <= status < 500 for status in statuses)
    ]
    assert bad == []
    assert sum(map(len, replies)) > len(cases) / 2
    async with aiohttp.ClientSession(process.url) as client, client.get("/health") as reply:
        assert (reply.status, (await reply.json())["status"]) == (200, "ok")
    assert [line for line in process.log if line["level"] in {"error", "warning"}] == []
