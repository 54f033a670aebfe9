"""An export must come in the format that the client asked for."""

import aiohttp
import orjson
import pytest

from devops_api.items.bulk.formats import FORMATS, encode_ndjson
from devops_api.items.model import Item, ItemFields

MEMBERS = ["id", "name", "price", "sku", "description", "tags", "created_at", "updated_at", "version"]
ITEM = Item(id="id", fields=ItemFields("Line\nbreak", 110), created_at_ms=0, updated_at_ms=1, version=7)


def test_ndjson_line_is_the_json_of_the_item() -> None:
    lines = encode_ndjson([ITEM, ITEM]).splitlines()
    assert [list(orjson.loads(line)) for line in lines] == [MEMBERS] * 2


def test_no_items_are_no_rows_in_any_format() -> None:
    assert {known.encode([]) for known in FORMATS.values()} == {b""}


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
async def test_accept_selects_the_preferred_format(
    client: aiohttp.ClientSession, accept: str, expected: str | None
) -> None:
    async with client.get("/items/export", headers={"Accept": accept}) as reply:
        if expected is None:
            assert (reply.status, (await reply.json())["type"]) == (406, "/docs#not-acceptable")
            return
        assert (reply.status, reply.content_type, reply.headers["Vary"]) == (200, expected, "Accept")
        extension = {"text/csv": "csv"}.get(expected, "ndjson")
        assert reply.headers["Content-Disposition"] == f'attachment; filename="items.{extension}"'
