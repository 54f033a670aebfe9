"""Counts are exact under load, and no client can create series or use up memory."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple, Self

import aiohttp
import pytest
from processes import run_process
from scrapes import TRACEPARENT, Scrape, scrape

ITEM = b'{"name": "Test", "price": 9.99}'
STATUS = ("http_request_method", "http_route", "http_response_status_code")
REPLY_S = 30
BURST = 200  # requests, the last of which is nonsense
STRANGE_METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "PROPFIND", "LOCK", "SEARCH", "TRACE")
STRANGE_PATHS = (
    *("/items", "/items?*=+", "/items/*", "/items/*?+", "/items/*/+", "/items/batch"),
    *("/*", "/*/+", "/metrics*", "/livez?*", "/livez?+=*", "/health/*"),
)  # `*` and `+` stand for new words each time.
MEMORY = "process_memory_usage_bytes"
GROWTH_MAX_BYTES = 5_000_000
Seen = Counter[tuple[str, str, str]]


class Reply(NamedTuple):
    """A response; header names in lower case."""

    status: str
    headers: dict[str, str]
    body: bytes


class Request(NamedTuple):
    """A request, and the route that it matches."""

    method: str
    route: str
    path: str
    headers: Sequence[str] = ()
    body: bytes = b""

    def encode(self) -> bytes:
        """Return the bytes of the request."""
        length = [f"Content-Length: {len(self.body)}"] if self.body else []
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: a", *length, *self.headers, "", ""]
        return "\r\n".join(lines).encode() + self.body


JSON = "Content-Type: application/json"
CREATE = Request("POST", "/items", "/items", [JSON], ITEM)


class Wire:
    """A connection; requests that are sent together are pipelined."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    async def ask(self, *requests: Request) -> list[Reply]:
        """Send requests, and return the responses in order."""
        self.writer.write(b"".join(request.encode() for request in requests))
        return [await asyncio.wait_for(self._read(request.method), REPLY_S) for request in requests]

    async def _read(self, method: str) -> Reply:
        status_line, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        status = status_line.split(" ")[1]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        has_body = method != "HEAD" and status not in {"204", "304"}
        body = await self.reader.readexactly(int(headers["content-length"])) if has_body else b""
        return Reply(status, headers, body)


class Client:
    """Sends random requests, and counts the responses in `seen`."""

    def __init__(self, seed: int, port: int, seen: Seen) -> None:
        self._choices = random.Random(seed)  # noqa: S311 - traffic
        self._port = port
        self._seen = seen
        self._doomed: list[str] = []

    async def run(self, count: int) -> None:
        """Send at least `count` requests."""
        async with Wire(self._port) as wire:
            (created,) = await self._ask(wire, CREATE)
            self._path, self._etag = created.headers["location"], created.headers["etag"]
            (created,) = await self._ask(wire, CREATE)
            self._changed = created.headers["location"]
            done = 2
            while done < count:
                done += await self._act(wire)

    async def _act(self, wire: Wire) -> int:
        chance = self._choices.random()
        if chance < 0.02:
            await self._disconnect_during_the_response()
        elif chance < 0.04:
            await self._disconnect_during_the_body()
        elif chance < 0.06:
            await self._send_too_much()
        elif chance < 0.2:
            burst = [self._choose() for _ in range(self._choices.randint(2, 8))]
            await self._ask(wire, *burst)
            return len(burst)
        else:
            await self._ask(wire, self._choose())
        return 1

    async def _ask(self, wire: Wire, *requests: Request) -> list[Reply]:
        replies = await wire.ask(*requests)
        for request, reply in zip(requests, replies, strict=True):
            self._count(request, reply.status)
            if (request.method, request.route, reply.status) == ("POST", "/items", "201"):
                self._doomed.append(reply.headers["location"])
        return replies

    def _count(self, request: Request, status: str) -> None:
        self._seen[request.method, request.route, status] += 1

    def _choose(self) -> Request:
        one, changed = self._path, self._changed
        kinds = (
            Request("GET", "/items/{id}", one),
            Request("GET", "/items/{id}", one, [f"traceparent: {TRACEPARENT}"]),
            Request("GET", "/items/{id}", one, [f"If-None-Match: {self._etag}"]),
            Request("GET", "/items/{id}", "/items/none"),
            Request("HEAD", "/items/{id}", one),
            Request("GET", "/items", "/items?limit=2"),
            Request("GET", "/items", "/items?limit=none"),
            CREATE,
            Request("POST", "/items", "/items", [JSON], b"{}"),
            Request("POST", "/items", "/items", [JSON], b"{"),
            Request("POST", "/items", "/items", ["Content-Type: text/plain"], b"x"),
            Request("POST", "/items/batch", "/items/batch", [JSON], b"[" + ITEM + b"]"),
            Request("PUT", "/items/{id}", changed, [JSON], ITEM),
            Request("PUT", "/items/{id}", one, [JSON, 'If-Match: "99"'], ITEM),
            Request("PATCH", "/items/{id}", changed, [JSON], b'{"price": 1}'),
            Request("PATCH", "/items/{id}", changed, [JSON], b'{"price": -1}'),
            Request("DELETE", "/items/{id}", self._doomed.pop() if len(self._doomed) > 2 else "/items/none"),
            Request("DELETE", "/items", "/items"),
            Request("OPTIONS", "/items", "/items"),
            Request("GET", "/{unmatched}", "/somewhere/else"),
            Request("GET", "/livez", "/livez"),
        )
        return self._choices.choice(kinds)

    async def _send_too_much(self) -> None:
        """Send a body that is refused by its length; the connection cannot be used afterwards."""
        request = Request("POST", "/items", "/items", [JSON, "Content-Length: 2000000", "Connection: close"])
        async with Wire(self._port) as wire:
            await self._ask(wire, request)

    async def _disconnect_during_the_body(self) -> None:
        """Disconnect once the service waits for the body."""
        request = Request("POST", "/items", "/items", [JSON, "Content-Length: 1000", "Expect: 100-continue"])
        async with Wire(self._port) as wire:
            wire.writer.write(request.encode())
            assert b" 100 " in await wire.reader.readuntil(b"\r\n\r\n")
            wire.writer.transport.abort()
        self._count(request, "499")

    async def _disconnect_during_the_response(self) -> None:
        """Disconnect during a response that does not fit into the buffers."""
        request = Request("GET", "/items/export", "/items/export")
        async with Wire(self._port) as wire:
            wire.writer.write(request.encode())
            await wire.reader.readexactly(1_000)
            wire.writer.transport.abort()
        self._count(request, "499")


async def fill(port: int, seen: Seen) -> None:
    """Store enough items for an export that does not fit into the buffers between service and client."""
    item = {"name": "x" * 200, "price": 1, "description": "y" * 2_000}
    request = Request("POST", "/items/batch", "/items/batch", [JSON], json.dumps([item] * 1_000).encode())
    async with Wire(port) as wire:
        for _ in range(6):
            (reply,) = await wire.ask(request)
            seen[request.method, request.route, reply.status] += 1


def count(found: Scrape) -> dict[tuple[str, ...], int]:
    """Return the counts, without the scrapes themselves."""
    return {key: number for key, number in found.count_by(*STATUS).items() if key[1] != "/metrics"}


@pytest.mark.slow
async def test_ten_thousand_requests_are_counted_as_clients_see_them(tmp_path: Path) -> None:
    """Requests of all kinds on 64 connections, some of which break."""
    seen: Seen = Counter()
    async with run_process(tmp_path) as process, aiohttp.ClientSession(process.url) as session:
        await fill(process.port, seen)
        await asyncio.gather(*(Client(seed, process.port, seen).run(157) for seed in range(64)))
        deadline = monotonic() + 10
        found = await scrape(session)
        while sum(count(found).values()) < sum(seen.values()) and monotonic() < deadline:
            await asyncio.sleep(0.1)  # The service notices a disconnected client a moment later.
            found = await scrape(session)
        await asyncio.sleep(0.5)
        found = await scrape(session)  # Nothing is counted late, and so twice.
    assert count(found) == seen
    assert sum(seen.values()) >= 10_000
    statuses = {200, 201, 204, 304, 400, 404, 405, 412, 413, 415, 422, 499}
    assert {int(status) for _, _, status in seen} == statuses


class Stranger:
    """Creates requests with new values wherever a request has room for them."""

    def __init__(self, seed: int) -> None:
        self._choices = random.Random(seed)  # noqa: S311 - traffic

    def make_burst(self, count: int) -> bytes:
        """Return `count` requests, the last of which ends the connection."""
        return b"".join(self._make("keep-alive") for _ in range(count - 1)) + self._make("close")

    def make_nonsense(self) -> bytes:
        """Return a request that the parser refuses."""
        return f"{self._choices.randbytes(4).hex().upper()} /items HTTP/1.1\r\n\r\n".encode()

    def _make(self, connection: str) -> bytes:
        word = self._choices.randbytes(64).hex()
        path = self._choices.choice(STRANGE_PATHS).replace("*", word[:12]).replace("+", word[12:24])
        return (
            f"{self._choices.choice(STRANGE_METHODS)} {path} HTTP/1.{self._choices.choice('01')}\r\n"
            f"Host: {word[24:36]}.example:{int(word[36:40], 16)}\r\nConnection: {connection}\r\n"
            f"X-{word[40:48]}: {word[48:60]}\r\nX-Request-ID: {word[72:84]}\r\nUser-Agent: {word[60:72]}\r\n"
            f"Content-Type: {word[48:52]}/{word[52:56]}\r\nAccept: {word[84:90]}/*\r\n"
            f"traceparent: 00-{word[:32]}-{word[32:48]}-01\r\n\r\n"
        ).encode()


async def send_strange(port: int, stranger: Stranger, count: int) -> int:
    """Send `count` random requests in bursts, and return the number of responses."""
    answered = 0
    for _ in range(count // BURST):
        for data in (stranger.make_burst(BURST - 1), stranger.make_nonsense()):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            answered += (await asyncio.wait_for(reader.read(), REPLY_S)).count(b"\r\nDate: ")
            writer.close()
            await writer.wait_closed()
    return answered


async def send_all_strange(port: int, seed: int, count: int) -> int:
    """Do the same on four connections at once."""
    strangers = [Stranger(seed + number) for number in range(4)]
    return sum(await asyncio.gather(*(send_strange(port, each, count // len(strangers)) for each in strangers)))


@pytest.mark.slow
async def test_a_hundred_thousand_strange_requests_add_no_series_and_no_memory(tmp_path: Path) -> None:
    async with run_process(tmp_path) as process, aiohttp.ClientSession(process.url) as session:
        answered = await send_all_strange(process.port, 0, 8_000)
        await scrape(session)
        before = await scrape(session)
        answered += await send_all_strange(process.port, 100, 100_000)
        after = await scrape(session)
    assert answered == sum(count(after).values()) == 108_000
    assert after.series() == before.series()
    assert after.sum(MEMORY) - before.sum(MEMORY) < GROWTH_MAX_BYTES
