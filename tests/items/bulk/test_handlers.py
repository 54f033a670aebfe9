"""An export must contain every matching item, or visibly fail."""

import asyncio
import io
from typing import Any

import aiohttp
import orjson
import pytest
from conftest import StartService
from samples import NDJSON

from devops_api.items.bulk.csv_rows import HEADER


async def test_format_parameter_takes_precedence_over_accept(client: aiohttp.ClientSession) -> None:
    async with client.get("/items/export?format=csv", headers={"Accept": "text/html"}) as reply:
        assert (reply.status, await reply.read()) == (200, HEADER)
    async with client.get("/items/export?format=xml") as reply:
        assert (reply.status, (await reply.json())["errors"][0]["parameter"]) == (422, "format")
    async with client.get("/items/export?limit=1") as reply:
        assert reply.status == 422


async def test_export_has_the_filters_and_sorts_of_a_list(client: aiohttp.ClientSession) -> None:
    for number in range(6):
        item: dict[str, Any] = {"name": f"item {number}", "price": number, "tags": ["even"] if number % 2 == 0 else []}
        async with client.post("/items", json=item) as reply:
            assert reply.status == 201
    async with client.get("/items/export?sort=-price&tag=even&min_price=1&q=item") as reply:
        assert [orjson.loads(line)["price"] async for line in reply.content] == [4, 2]
    async with client.head("/items/export") as reply:
        assert (reply.status, reply.content_type, await reply.read()) == (200, "application/x-ndjson", b"")


async def test_export_that_takes_too_long_ends_with_a_visible_error(start_service: StartService) -> None:
    running = await start_service(export_timeout_s=0.2)
    line = orjson.dumps({"name": "x" * 200, "price": 1, "description": "y" * 2000}) + b"\n"
    for _ in range(2):
        async with running.client.post("/items/import", data=io.BytesIO(line * 10_000), headers=NDJSON) as reply:
            assert (await reply.json())["created"] == 10_000
    reader = aiohttp.ClientSession(running.url, read_bufsize=1024)
    async with reader, reader.get("/items/export") as reply:
        await reply.content.readany()
        await _until_idle(running)
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()


async def _until_idle(running: Any) -> None:
    async with asyncio.timeout(5):
        while running.service.admission.in_flight:  # noqa: ASYNC110 - the admission has no event to wait for
            await asyncio.sleep(0.02)
