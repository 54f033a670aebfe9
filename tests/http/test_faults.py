"""Practice needs faults on demand, and nobody else may be able to order them."""

import asyncio
from time import monotonic
from typing import Any

import pytest
from conftest import StartService

from devops_api.settings.tokens import Token, Tokens, create_token

ITEM = {"name": "Test", "price": 9.99}


async def test_closed_there_is_nothing_at_the_path(start_service: StartService) -> None:
    running = await start_service()
    async with running.client.put("/faults", json={"error_ratio": 1}) as reply:
        assert reply.status == 404


async def test_a_plan_fails_what_it_names_until_it_is_deleted(start_service: StartService) -> None:
    running = await start_service(faults=True)
    client = running.client
    async with client.put("/faults", json={"error_ratio": 1, "route": "/items"}) as reply:
        assert await reply.json() == {"error_ratio": 1.0, "latency_ms": 0.0, "route": "/items"}
    async with client.post("/items", json=ITEM) as reply:
        assert (reply.status, (await reply.json())["title"]) == (500, "Injected fault")
    async with client.get("/items/none") as reply:
        assert reply.status == 404
    async with client.get("/health") as reply:
        assert reply.status == 200
    async with client.delete("/faults") as reply:
        assert reply.status == 204
    async with client.post("/items", json=ITEM) as reply:
        assert reply.status == 201


async def test_a_ratio_fails_about_that_share(start_service: StartService) -> None:
    running = await start_service(faults=True)
    async with running.client.put("/faults", json={"error_ratio": 0.5}):
        pass

    async def ask() -> int:
        async with running.client.get("/items") as reply:
            return reply.status

    statuses = [await ask() for _ in range(400)]
    assert 120 < statuses.count(500) < 280  # Eight standard deviations from 200.
    assert statuses.count(500) + statuses.count(200) == 400


async def test_latency_is_added_without_holding_up_other_requests(start_service: StartService) -> None:
    running = await start_service(faults=True)
    async with running.client.put("/faults", json={"latency_ms": 400}):
        pass
    started = monotonic()
    async with running.client.get("/livez") as reply:
        assert reply.status == 200
    assert monotonic() - started < 0.3
    await asyncio.gather(*(running.client.get("/items") for _ in range(5)))
    assert 0.4 <= monotonic() - started < 1.6


@pytest.mark.parametrize(
    ("plan", "pointer"),
    [
        ({"error_ratio": 2}, "/error_ratio"),
        ({"error_ratio": "1"}, "/error_ratio"),
        ({"latency_ms": -1}, "/latency_ms"),
        ({"route": "/metrics"}, "/route"),
        ({"ratio": 1}, ""),
    ],
)
async def test_a_wrong_plan_is_refused_and_changes_nothing(
    start_service: StartService, plan: dict[str, Any], pointer: str
) -> None:
    running = await start_service(faults=True)
    async with running.client.put("/faults", json=plan) as reply:
        assert reply.status == 422
        assert [fault["pointer"] for fault in (await reply.json())["errors"]] == [pointer]
    async with running.client.get("/faults") as reply:
        assert (await reply.json())["error_ratio"] == 0


async def test_with_tokens_only_writers_may_plan(start_service: StartService) -> None:
    secret, line = create_token("reader", "read")
    tokens = Tokens([Token("reader", "read", bytes.fromhex(line.split()[2]))])
    running = await start_service(faults=True, tokens_file=tokens)
    async with running.client.put("/faults", json={}) as reply:
        assert reply.status == 401
    async with running.client.put("/faults", json={}, headers={"Authorization": f"Bearer {secret}"}) as reply:
        assert reply.status == 403
