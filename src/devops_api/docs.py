"""The API's description for programs and for people."""

from typing import Final

from aiohttp import web

_PAGE: Final = "<!doctype html><title>devops-api</title>"


class Documents:
    """Handlers of `/openapi.json` and `/docs`."""

    async def get_openapi(self, _: web.Request) -> web.Response:
        """GET /openapi.json."""
        return web.Response(body=b"{}", content_type="application/json")

    async def get_page(self, _: web.Request) -> web.Response:
        """GET /docs."""
        return web.Response(text=_PAGE, content_type="text/html")
