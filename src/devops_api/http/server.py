"""aiohttp's server, with what its parser refuses answered as a problem and counted, and slow connections cut.

The only module that leans on how aiohttp 3 is built inside, since a runner cannot be given another class of
connection; `tests/test_server.py` fails when that changes.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from devops_api.http.problems import create_problem_reply

OnParseError = Callable[[int], None]


class Connection(RequestHandler):
    """One client's connection."""

    __slots__ = ("_header_timeout_s", "_on_refusal")

    def __init__(self, manager: web.Server, *, on_refusal: OnParseError, header_timeout_s: float, **options: Any) -> None:
        super().__init__(manager, **options)
        self._on_refusal = on_refusal
        self._header_timeout_s = header_timeout_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the first headers a shorter time than aiohttp gives an idle connection."""
        super().connection_made(transport)
        if self._keepalive_handle is not None and self._header_timeout_s < self._keepalive_timeout:
            self._keepalive_handle.cancel()
            self._next_keepalive_close_time = self._loop.time() + self._header_timeout_s
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002 - aiohttp's signature
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Answer what never reached a handler; endpoints catch everything else."""
        if request.writer.output_size > 0:
            raise ConnectionError("the reply has begun")
        self._on_refusal(status)
        reply = create_problem_reply(
            status,
            "Malformed request",
            "The request line, the headers or the framing of the body are not HTTP/1.1",
            instance="",
            request_id=secrets.token_hex(12),
        )
        reply.force_close()
        return reply


class Server(web.Server):
    """Makes a `Connection` for each client."""

    def __call__(self) -> RequestHandler:
        """A connection, for each that is accepted."""
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application on `Connection`s; `options` are those of aiohttp's `RequestHandler`."""

    def __init__(self, app: web.Application, *, on_refusal: OnParseError, header_timeout_s: float, **options: Any) -> None:
        super().__init__(app, access_log=None, **options)
        self._on_refusal = on_refusal
        self._header_timeout_s = header_timeout_s

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return Server(
            server.request_handler,
            request_factory=server.request_factory,
            handler_cancellation=True,
            loop=server._loop,  # noqa: SLF001 - see the module's docstring
            on_refusal=self._on_refusal,
            header_timeout_s=self._header_timeout_s,
            lingering_time=self._header_timeout_s,
            **server._kwargs,  # noqa: SLF001
        )
