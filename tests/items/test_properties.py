"""Properties of all items, patches and queries, checked over HTTP against a plain model."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import aiohttp
import orjson
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import JSON, matches

from devops_api.items.parameters import SORTS

NAME_MAX, SKU_MAX, DESCRIPTION_MAX, TAGS_MAX, PRICE_MAX_HUNDREDTHS = 200, 64, 2_000, 20, 9_999_999_999_99
over_http = settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

_LINES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1)
_TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t\r"))
_TAGS = st.lists(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,9}", fullmatch=True), max_size=TAGS_MAX, unique=True)
_HUNDREDTHS = st.integers(0, PRICE_MAX_HUNDREDTHS) | st.sampled_from([0, 1, 99, 100, PRICE_MAX_HUNDREDTHS])


def fits(text: str, least: int, most: int) -> bool:
    return least <= len(unicodedata.normalize("NFC", text).strip()) <= most


_NAMES = _LINES.filter(lambda text: fits(text, 1, NAME_MAX))
_DESCRIPTIONS = _TEXTS.filter(lambda text: len(unicodedata.normalize("NFC", text)) <= DESCRIPTION_MAX)
_SKUS = st.tuples(st.uuids(), _LINES).map(lambda made: f"{made[1]}{made[0]}").filter(lambda sku: fits(sku, 1, SKU_MAX))
_PRICES = _HUNDREDTHS.map(lambda hundredths: Decimal(hundredths) / 100)
_ITEMS = st.fixed_dictionaries(
    {"name": _NAMES, "price": _PRICES}, optional={"description": st.none() | _DESCRIPTIONS, "tags": _TAGS}
)
_PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "name": _NAMES,
        "price": _PRICES,
        "sku": st.none() | _SKUS,
        "description": st.none() | _DESCRIPTIONS,
        "tags": st.none() | _TAGS,
    },
)


def encode(fields: Mapping[str, Any]) -> bytes:
    """Encode as JSON with every digit of a decimal."""
    return b"{%s}" % b",".join(
        orjson.dumps(name) + b":" + (str(value).encode() if isinstance(value, Decimal) else orjson.dumps(value))
        for name, value in fields.items()
    )


def normalise(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that a client gets back for those that it sent."""
    said = {"sku": None, "description": None, "tags": []} | {
        name: unicodedata.normalize("NFC", value) if isinstance(value, str) else value for name, value in fields.items()
    }
    return said | {name: said[name].strip() for name in ("name", "sku") if said[name] is not None}


def read_fields(text: str) -> dict[str, Any]:
    """Return the fields in a response, with the exact price."""
    item = orjson.loads(text)
    price = re.search(r'"price":([\d.]+),"sku":', text)
    assert price is not None
    return {name: item[name] for name in ("name", "sku", "description", "tags")} | {"price": Decimal(price[1])}


@over_http
@given(_ITEMS)
async def test_item_is_returned_as_it_was_sent(client: aiohttp.ClientSession, fields: dict[str, Any]) -> None:
    async with client.post("/items", data=encode(fields), headers=JSON) as reply:
        created = await reply.text()
        assert reply.status == 201, created
    assert read_fields(created) == normalise(fields)
    async with client.get(reply.headers["Location"]) as again:
        assert await again.text() == created


@over_http
@given(_ITEMS, _PATCHES)
async def test_merge_patch_follows_rfc_7396(
    client: aiohttp.ClientSession, fields: dict[str, Any], patch: dict[str, Any]
) -> None:
    async with client.post("/items", data=encode(fields), headers=JSON) as reply:
        location = reply.headers["Location"]
    headers = {"Content-Type": "application/merge-patch+json", "If-Match": reply.headers["ETag"]}
    async with client.patch(location, data=encode(patch), headers=headers) as reply:
        text = await reply.text()
        assert reply.status == 200, text
    merged = {name: value for name, value in (fields | patch).items() if value is not None}
    assert read_fields(text) == normalise(merged)
    async with client.get(location) as again:
        assert (await again.text(), again.headers["ETag"]) == (text, '"2"')
    async with client.delete(location) as reply:  # Its sku may come again.
        assert reply.status == 204


@over_http
@given(_HUNDREDTHS, st.integers(0, 3), st.sampled_from(["", "e0", "E+0", "e-0"]))
async def test_price_is_returned_in_its_shortest_form(
    client: aiohttp.ClientSession, hundredths: int, zeros: int, exponent: str
) -> None:
    written = f"{hundredths // 100}.{hundredths % 100:02d}{'0' * zeros}{exponent}"
    async with client.post("/items", data=b'{"name":"a","price":%s}' % written.encode(), headers=JSON) as reply:
        text = await reply.text()
    shortest = f"{hundredths // 100}.{hundredths % 100:02d}".rstrip("0").rstrip(".")
    assert f'"price":{shortest},' in text


WORDS = ("lamp", "Lämp", "table", "Ünder", "tab", "étui", "LAMPS", "x1")
NAMES = [f"{first} {second}" for first in WORDS for second in WORDS]


@pytest_asyncio.fixture
async def stocked(client: aiohttp.ClientSession) -> aiohttp.ClientSession:
    """A client of a service with 64 items, many of which share name, price and tags."""
    items = [
        {
            "name": NAMES[number * 7 % 64 // 2],
            "price": number % 9 / 4,
            "sku": f"s{number}",
            "description": WORDS[number % 5] if number % 3 else None,
            "tags": [tag for tag, step in (("two", 2), ("three", 3), ("five", 5)) if number % step == 0],
        }
        for number in range(64)
    ]
    async with client.post("/items/batch", json=items) as reply:
        assert reply.status == 201
    return client


def iterate_pairs(query: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, values in query.items():
        yield from ((name, str(value)) for value in (values if isinstance(values, list) else [values]))


_QUERIES = st.fixed_dictionaries(
    {"sort": st.sampled_from(SORTS), "limit": st.integers(1, 200)},
    optional={
        "q": st.lists(st.sampled_from([*WORDS, "l", "TAB", "ünd", "*", "%"]), max_size=2).map(" ".join),
        "tag": st.lists(st.sampled_from(["two", "three", "five", "six"]), max_size=2),
        "min_price": st.integers(0, 9).map(lambda quarters: quarters / 4),
        "max_price": st.integers(0, 9).map(lambda quarters: quarters / 4),
        "sku": st.sampled_from(["s0", "s7", "none"]),
        "count": st.just("exact"),
    },
)


@over_http
@given(_QUERIES)
async def test_pages_of_a_query_hold_the_matching_items_in_order(
    stocked: aiohttp.ClientSession, query: dict[str, Any]
) -> None:
    async with stocked.get("/items/export") as reply:
        everything = [orjson.loads(line) async for line in reply.content]
    key = query["sort"].removeprefix("-")
    expected = sorted(
        (item for item in everything if matches(item, query)),
        key=lambda item: (item[key], item["id"]),
        reverse=query["sort"].startswith("-"),
    )
    seen: list[dict[str, Any]] = []
    cursor: list[tuple[str, str]] = []
    while True:
        async with stocked.get("/items", params=[*iterate_pairs(query), *cursor]) as reply:
            page = await reply.json()
            assert reply.status == 200, page
        assert len(page["items"]) <= query["limit"]
        assert page.get("total") == (len(expected) if "count" in query else None)
        seen += page["items"]
        if page["next"] is None:
            break
        cursor = [("cursor", page["next"])]
    assert seen == expected
    filters = {name: value for name, value in query.items() if name not in {"limit", "count"}}
    async with stocked.get("/items/export", params=[*iterate_pairs(filters)]) as reply:
        assert [orjson.loads(line) async for line in reply.content] == expected
