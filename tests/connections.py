"""Raw TCP connections to a service, for tests that send bytes which no HTTP client sends."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlsplit

TIMEOUT_S = 8
_find_statuses = re.compile(rb"HTTP/[01]\.[019] (\d{3}) [A-Z]").findall


class RawResponse(NamedTuple):
    """A response as it was received; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection(NamedTuple):
    """One TCP connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def read_response(self, method: str = "GET") -> RawResponse:
        """Read one response that has no body or a Content-Length. `method` is that of its request."""
        async with asyncio.timeout(TIMEOUT_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status_line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            length = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
            return RawResponse(int(status_line.split()[1]), headers, await self.reader.readexactly(length))

    async def read_all(self, timeout_s: float = TIMEOUT_S) -> bytes:
        """Read until the service closes the connection. TimeoutError: it does not."""
        received = b""
        async with asyncio.timeout(timeout_s):
            with contextlib.suppress(ConnectionError):  # A reset also closes the connection.
                while part := await self.reader.read(65_536):
                    received += part
        return received

    async def wait_closed(self, timeout_s: float) -> float:
        """Return the seconds until the service closes the connection. TimeoutError: it does not."""
        started = monotonic()
        await self.read_all(timeout_s)
        return monotonic() - started


@contextlib.asynccontextmanager
async def connect(url: str) -> AsyncIterator[Connection]:
    """Connect to the service at a URL. At the end the connection is closed, unless it was aborted."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def exchange(url: str, *parts: bytes, pause_s: float = 0.0, reads: bool = True) -> bytes:
    """Send the parts with pauses, then return what the service sends until it closes the connection.

    TimeoutError: it does not close. Without `reads` the client aborts the connection after the last part.
    """
    async with connect(url) as connection, asyncio.timeout(TIMEOUT_S):
        try:
            with contextlib.suppress(ConnectionError):
                for part in parts:
                    await connection.send(part)
                    await asyncio.sleep(pause_s)
            return await connection.read_all() if reads else b""
        finally:
            connection.writer.transport.abort()


def find_statuses(received: bytes) -> list[int]:
    """Return the status of each response in the bytes, interim ones included."""
    return [int(status) for status in _find_statuses(received)]
