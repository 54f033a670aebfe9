"""Both documents are served with an entity tag, so that a reader does not load them twice."""

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from apidocs.notes import create_documents


async def test_documents_of_any_domain_are_served_and_describe_themselves() -> None:
    documents = create_documents()
    app = web.Application()
    for route in documents.routes():
        assert (route.scope, route.is_probe) == (None, True)
        app.router.add_route(route.method, route.path, route.handler)
    async with TestClient(TestServer(app)) as client:
        openapi = await (await client.get("/openapi.json")).json()
        page = await client.get("/docs")
        assert set(openapi["paths"]) == {"/notes", "/notes/{id}", "/openapi.json", "/docs"}
        assert page.content_type == "text/html"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert 'id="getDocs"' in await page.text()


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_unchanged_document_is_not_sent_again(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as response:
        etag = response.headers["ETag"]
    async with client.get(path, headers={"If-None-Match": etag}) as response:
        assert (response.status, await response.read()) == (304, b"")
