"""The API's description for programs and for people, made once, at start."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from devops_api.apidocs.openapi import create_openapi
from devops_api.apidocs.page import draw_page
from devops_api.http.bodies import JSON, is_unchanged
from devops_api.http.operations import Operation, Response, Schema
from devops_api.http.routes import Route
from devops_api.identity import Identity
from devops_api.items.operations import list_calls
from devops_api.settings.service import ServiceSettings

_NO_SNIFF = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class Guide(NamedTuple):
    """What a domain tells the readers of the page."""

    title: str = ""


class Documents:
    """Handlers of `/openapi.json` and `/docs`, which describe the service as these settings make it."""

    def __init__(
        self,
        identity: Identity,
        routes: Sequence[Route],
        schemas: Mapping[str, Schema],
        guide: Guide,
        settings: ServiceSettings,
    ) -> None:
        calls = list_calls(has_metrics=settings.metrics_port is None, has_faults=settings.faults)
        openapi = create_openapi(calls, needs_token=settings.tokens_file is not None)
        page = draw_page(calls, openapi, settings)
        self._openapi = _Document(orjson.dumps(openapi), JSON)
        self._page = _Document(
            page.html.encode(), "text/html; charset=utf-8", {"Content-Security-Policy": page.policy} | _NO_SNIFF
        )

    def routes(self) -> list[Route]:
        """Return the routes of the documents."""
        operation: Any = Operation("", "", "", "", responses=(Response(200, ""),))
        return [
            Route("GET", "/openapi.json", None, self.get_openapi, operation, is_probe=True),
            Route("GET", "/docs", None, self.get_page, operation, is_probe=True),
        ]

    async def get_openapi(self, request: web.Request) -> web.Response:
        """GET /openapi.json."""
        return self._openapi.reply(request)

    async def get_page(self, request: web.Request) -> web.Response:
        """GET /docs."""
        return self._page.reply(request)


class _Document:
    """Bytes that do not change while the service runs."""

    def __init__(self, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> None:
        self._body = body
        self._etag = f'"{blake2b(body, digest_size=9).hexdigest()}"'
        self._headers = {"Content-Type": content_type, "ETag": self._etag, "Cache-Control": "no-cache"}
        self._headers |= headers or {}

    def reply(self, request: web.Request) -> web.Response:
        if is_unchanged(request, self._etag):
            return web.Response(status=304, headers={"ETag": self._etag})
        return web.Response(body=self._body, headers=self._headers)
