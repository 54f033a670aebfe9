"""Promises that only a client of the whole service can see broken: races, repeats, and all or nothing."""

import asyncio
from typing import Any
from unicodedata import normalize

import aiohttp
import pytest


def _item(sku: str, **fields: Any) -> dict[str, Any]:
    return {"sku": sku, "name": "Bolt", "price": 1.5} | fields


async def _create(client: aiohttp.ClientSession, **fields: Any) -> tuple[str, str]:
    async with client.post("/items", json=_item("A-1", **fields)) as response:
        assert response.status == 201, await response.text()
        return response.headers["Location"], response.headers["ETag"]


@pytest.mark.parametrize("is_guarded", [True, False])
async def test_one_of_two_writers_with_the_same_etag_wins_and_without_it_both_do(
    client: aiohttp.ClientSession, *, is_guarded: bool
) -> None:
    path, etag = await _create(client)

    async def rename(name: str) -> int:
        headers = {"Content-Type": "application/merge-patch+json"} | ({"If-Match": etag} if is_guarded else {})
        async with client.patch(path, json={"name": name}, headers=headers) as response:
            return response.status

    statuses = sorted(await asyncio.gather(rename("one"), rename("two")))
    assert statuses == ([200, 412] if is_guarded else [200, 200])


async def test_one_key_sent_fifty_times_at_once_creates_one_item(client: aiohttp.ClientSession) -> None:
    async def create() -> tuple[int, bytes]:
        async with client.post("/items", json=_item("A-1"), headers={"Idempotency-Key": "key-1"}) as response:
            return response.status, await response.read()

    replies = set(await asyncio.gather(*(create() for _ in range(50))))
    assert [status for status, _ in replies] == [201]


@pytest.mark.parametrize("name", ["Cafe\u0301", "螺栓", "برغي", "बोल्ट", "🔩"])
async def test_a_name_in_any_script_comes_back_normalised(client: aiohttp.ClientSession, name: str) -> None:
    path, _ = await _create(client, name=name)
    async with client.get(path) as response:
        assert (await response.json())["name"] == normalize("NFC", name)
