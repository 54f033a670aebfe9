"""`/openapi.json` and `/docs`, made once, at start."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final

import orjson
from aiohttp import web

from devops_api.apidocs.guide import Guide
from devops_api.apidocs.openapi import create_openapi
from devops_api.apidocs.page import render_page
from devops_api.http.bodies import JSON, is_unchanged
from devops_api.http.operations import IF_NONE_MATCH, Example, Operation, Response, Schema
from devops_api.http.replies import Reply
from devops_api.http.routes import Route
from devops_api.identity import Identity
from devops_api.settings.service import ServiceSettings

_NOT_MODIFIED: Final = Response(304, "Not modified.", headers=("ETag",))
OPENAPI: Final = Operation(
    "getOpenapi",
    "Documents",
    "Get the OpenAPI document",
    "OpenAPI 3.1, for generators of clients and other programs.",
    parameters=(IF_NONE_MATCH,),
    responses=(Response(200, "The document.", {JSON: None}, ("ETag",)), _NOT_MODIFIED),
    examples=(Example("document", "The document", 200),),
)
DOCS: Final = Operation(
    "getDocs",
    "Documents",
    "Get the docs page",
    "One HTML page that loads nothing else.",
    parameters=(IF_NONE_MATCH,),
    responses=(Response(200, "The page.", {"text/html": None}, ("ETag",)), _NOT_MODIFIED),
    examples=(Example("page", "The page", 200),),
)


class Documents:
    """Handlers of `/openapi.json` and `/docs`, which describe `routes` and themselves."""

    def __init__(
        self,
        identity: Identity,
        routes: Sequence[Route],
        schemas: Mapping[str, Schema],
        guide: Guide,
        settings: ServiceSettings,
    ) -> None:
        described = [*routes, *self.routes()]
        openapi = create_openapi(
            identity,
            described,
            summary=guide.summary,
            schemas=schemas,
            needs_token=settings.tokens_file is not None,
        )
        page = render_page(identity, described, openapi, guide, settings)
        self._openapi = _Document(orjson.dumps(openapi), JSON)
        self._page = _Document(
            page.html.encode(),
            "text/html; charset=utf-8",
            {
                "Content-Security-Policy": page.policy,
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
            },
        )

    def routes(self) -> list[Route]:
        """Return the routes of the two documents."""
        return [
            Route("GET", "/openapi.json", None, self.get_openapi, OPENAPI, is_probe=True),
            Route("GET", "/docs", None, self.get_page, DOCS, is_probe=True),
        ]

    async def get_openapi(self, request: web.Request) -> web.Response:
        """Serve `GET /openapi.json`."""
        return self._openapi.respond(request)

    async def get_page(self, request: web.Request) -> web.Response:
        """Serve `GET /docs`."""
        return self._page.respond(request)


class _Document:
    """A body that does not change while the service runs."""

    def __init__(self, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        self._body = body
        self._etag = f'"{blake2b(body, digest_size=9).hexdigest()}"'
        self._headers = {"Content-Type": content_type, "ETag": self._etag, "Cache-Control": "no-cache"}
        self._headers |= headers or {}

    def respond(self, request: web.Request) -> web.Response:
        if is_unchanged(request, self._etag):
            return Reply(status=304, headers={"ETag": self._etag})
        return Reply(self._body, headers=self._headers)
