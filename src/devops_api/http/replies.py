"""Responses whose body is complete: head and body are sent as one buffer, and the body is released once it is written.

`aiohttp.web.Response` takes a third of a bare request to build and serialise its headers (aio-libs/aiohttp#2779), and
its connection keeps it, with its body, until the next request. aiohttp accepts any object with these members;
`tests/http/test_replies.py` fails when that changes.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from sys import version_info
from time import time
from typing import TYPE_CHECKING, Any, Final

from aiohttp import __version__ as aiohttp_version
from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_BODILESS: Final = frozenset({204, 304})
_SERVER: Final = f"Python/{version_info.major}.{version_info.minor} aiohttp/{aiohttp_version}"
UNBUFFERED_BYTES: Final = 64 * 1024  # A larger buffer is written in parts, as the client reads.

_Base: Any = web.Response if TYPE_CHECKING else object  # so that handlers keep aiohttp's types


class Reply(_Base):  # type: ignore[misc]
    """A response with its whole body. ValueError when it is sent: a header has control characters."""

    __slots__ = ("_is_closing", "body", "content_length", "headers", "keep_alive", "prepared", "status")

    def __init__(self, body: bytes = b"", status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.headers = dict(headers or {})
        self.content_length = len(body)
        self.prepared = False
        self.keep_alive: bool | None = None
        self.body = body
        self._is_closing = False

    def force_close(self) -> None:
        """Close the connection after this response."""
        self._is_closing = True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send head and body. ConnectionResetError: the client did not read them in time, or has left."""
        if self.prepared:
            return
        self.prepared = True
        self.keep_alive = request.keep_alive and not self._is_closing
        head = self._create_head(request.version.minor)
        body, self.body = self.body, b""
        await _send(request, head if request.method == "HEAD" or self.status in _BODILESS else head + body)

    async def write_eof(self) -> None:
        """Do nothing: `prepare` has sent everything."""

    def _create_head(self, minor: int) -> bytes:
        headers = self.headers
        if not "".join(headers.values()).isprintable():
            raise ValueError("A header has control characters")
        lines = [f"HTTP/1.{minor} {self.status} {_PHRASES[self.status]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if self.status not in _BODILESS:
            lines.append(f"Content-Length: {self.content_length}")
        if not self.keep_alive:
            lines.append("Connection: close")
        elif minor == 0:
            lines.append("Connection: keep-alive")
        lines.append(_date.format())
        return "\r\n".join(lines).encode()


class _Date:
    """The last lines of every head, formatted once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._lines = ""

    def format(self) -> str:
        """Return the lines with the present time and the end of the head."""
        second = int(time())
        if second != self._second:
            self._second = second
            self._lines = f"Date: {rfc822_formatted_time()}\r\nServer: {_SERVER}\r\n\r\n"
        return self._lines


_date = _Date()


async def _send(request: web.BaseRequest, data: bytes) -> None:
    """Write, and wait for a client that reads slowly, up to the deadline of its connection."""
    writer, transport = request.writer, request.transport
    if transport is None:
        raise ConnectionResetError("The client has disconnected")
    if len(data) <= UNBUFFERED_BYTES:
        await writer.write(data)
        if not transport.get_write_buffer_size():
            return
        data = b""
    try:
        async with asyncio.timeout(request.protocol.send_timeout_s):  # type: ignore[attr-defined]
            await writer.write(data)
            await writer.drain()
    except TimeoutError:
        transport.abort()
        raise ConnectionResetError("The client did not read the response in time") from None
