"""aiohttp's server, with a problem for each request that its parser rejects, and a deadline for the first headers.

The only module that depends on aiohttp's internals, since a runner cannot be given another connection class;
`tests/http/test_server.py` fails when they change.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from devops_api.errors import MalformedError
from devops_api.http.problems import create_problem_response

OnParseError = Callable[[int], None]


class Connection(RequestHandler):
    """One client's connection."""

    __slots__ = ("_header_timeout_s", "_on_parse_error", "send_timeout_s")

    def __init__(
        self,
        manager: web.Server,
        *,
        on_parse_error: OnParseError,
        header_timeout_s: float,
        send_timeout_s: float,
        **options: Any,
    ) -> None:
        super().__init__(manager, **options)
        self._on_parse_error = on_parse_error
        self._header_timeout_s = header_timeout_s
        self.send_timeout_s = send_timeout_s

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
        """Respond to a request that never reached a handler; the handler wrapper catches everything else."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun")
        self._on_parse_error(status)
        error = MalformedError("The request line, the headers or the framing of the body are not valid HTTP/1.1")
        response = create_problem_response(error, instance="", request_id=secrets.token_hex(12), status=status)
        response.force_close()
        return response


class Server(web.Server):
    """Make a `Connection` for each client."""

    def __call__(self) -> RequestHandler:
        """Return the connection of a client that was accepted."""
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Run an application on `Connection`s; `options` are those of aiohttp's `RequestHandler`."""

    def __init__(
        self,
        app: web.Application,
        *,
        on_parse_error: OnParseError,
        header_timeout_s: float,
        send_timeout_s: float,
        **options: Any,
    ) -> None:
        super().__init__(app, access_log=None, **options)
        self._on_parse_error = on_parse_error
        self._header_timeout_s = header_timeout_s
        self._send_timeout_s = send_timeout_s

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return Server(
            server.request_handler,
            request_factory=server.request_factory,
            handler_cancellation=True,
            loop=server._loop,  # noqa: SLF001 - see the module's docstring
            on_parse_error=self._on_parse_error,
            header_timeout_s=self._header_timeout_s,
            send_timeout_s=self._send_timeout_s,
            lingering_time=self._header_timeout_s,
            **server._kwargs,  # noqa: SLF001
        )
