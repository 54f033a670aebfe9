"""What is taken out is everything that matched, in a form that other programs read as it was meant."""

import asyncio
import csv
import io
from typing import Any

import aiohttp
import orjson
import pytest
from conftest import StartService

from devops_api.items.bulk.csv_rows import HEADER, encode_csv
from devops_api.items.bulk.formats import encode_ndjson
from devops_api.items.model import Item, ItemFields

COLUMNS = ["id", "name", "price", "sku", "description", "tags", "created_at", "updated_at", "version"]
ITEM = Item(
    id="id",
    fields=ItemFields('a "b", c', 110, description="=1+1\r\nü", tags=("x", "y")),
    created_at_ms=0,
    updated_at_ms=1,
    version=7,
)


def test_csv_is_read_back_by_any_reader() -> None:
    text = (HEADER + encode_csv([ITEM])).decode()
    assert list(csv.DictReader(io.StringIO(text, newline=""), strict=True)) == [
        {
            "id": "id",
            "name": 'a "b", c',
            "price": "1.1",
            "sku": "",
            "description": "=1+1\r\nü",
            "tags": "x y",
            "created_at": "1970-01-01T00:00:00.000Z",
            "updated_at": "1970-01-01T00:00:00.001Z",
            "version": "7",
        }
    ]


def test_a_line_of_ndjson_is_the_document_of_the_item() -> None:
    lines = encode_ndjson([ITEM, ITEM]).splitlines()
    assert [list(orjson.loads(line)) for line in lines] == [COLUMNS] * 2
    assert encode_ndjson([]) == encode_csv([]) == b""


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "application/x-ndjson"),
        ("text/csv, application/x-ndjson", "text/csv"),
        ("application/x-ndjson, text/csv;q=x", "application/x-ndjson"),
        ("text/csv;q=0, */*", "application/x-ndjson"),
        ("*/*", "application/x-ndjson"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV;q=0.5", "text/csv"),
        ("text/html, text/csv", "text/csv"),
        ("application/json, */*;q=0.1", "application/x-ndjson"),
        ("text/csv;q=0.5, application/x-ndjson", "application/x-ndjson"),
        ("application/x-ndjson;q=0, text/csv", "text/csv"),
        ("application/x-ndjson;q=0.2, text/*;q=0.3", "text/csv"),
        ("application/*", "application/x-ndjson"),
        ("text/html", None),
        ("application/json", None),
        ("text/csv;q=0", None),
    ],
)
async def test_the_form_is_the_one_that_is_preferred(
    client: aiohttp.ClientSession, accept: str, expected: str | None
) -> None:
    async with client.get("/items/export", headers={"Accept": accept}) as reply:
        if expected is None:
            assert (reply.status, (await reply.json())["type"]) == (406, "/docs#not-acceptable")
            return
        assert (reply.status, reply.content_type, reply.headers["Vary"]) == (200, expected, "Accept")
        extension = {"text/csv": "csv"}.get(expected, "ndjson")
        assert reply.headers["Content-Disposition"] == f'attachment; filename="items.{extension}"'


async def test_a_format_in_the_url_beats_what_the_browser_accepts(client: aiohttp.ClientSession) -> None:
    async with client.get("/items/export?format=csv", headers={"Accept": "text/html"}) as reply:
        assert (reply.status, await reply.read()) == (200, HEADER)
    async with client.get("/items/export?format=xml") as reply:
        assert (reply.status, (await reply.json())["errors"][0]["parameter"]) == (422, "format")
    async with client.get("/items/export?limit=1") as reply:
        assert reply.status == 422


async def test_filters_and_sort_are_those_of_the_list(client: aiohttp.ClientSession) -> None:
    for number in range(6):
        item: dict[str, Any] = {"name": f"item {number}", "price": number, "tags": ["even"] if number % 2 == 0 else []}
        async with client.post("/items", json=item) as reply:
            assert reply.status == 201
    async with client.get("/items/export?sort=-price&tag=even&min_price=1&q=item") as reply:
        assert [orjson.loads(line)["price"] async for line in reply.content] == [4, 2]
    async with client.head("/items/export") as reply:
        assert (reply.status, reply.content_type, await reply.read()) == (200, "application/x-ndjson", b"")


async def test_an_export_that_takes_too_long_breaks_off_where_the_client_sees_it(start_service: StartService) -> None:
    running = await start_service(export_timeout_s=0.2)
    line = orjson.dumps({"name": "x" * 200, "price": 1, "description": "y" * 2000}) + b"\n"
    headers = {"Content-Type": "application/x-ndjson"}
    for _ in range(2):
        async with running.client.post("/items/import", data=io.BytesIO(line * 10_000), headers=headers) as reply:
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
