"""Fault injection must do what its plan says, and only a writer may change the plan."""

import asyncio
from time import monotonic
from typing import Any

import pytest
from conftest import StartService
from samples import ITEM
from tokens import authorize, create_tokens


async def test_without_the_setting_the_path_is_not_found(start_service: StartService) -> None:
    running = await start_service()
    async with running.client.put("/faults", json={"error_ratio": 1}) as response:
        assert response.status == 404


async def test_a_plan_fails_its_route_until_it_is_deleted(start_service: StartService) -> None:
    running = await start_service(faults=True)
    client = running.client
    async with client.put("/faults", json={"error_ratio": 1, "route": "/items"}) as response:
        assert await response.json() == {"error_ratio": 1.0, "latency_ms": 0.0, "route": "/items"}
    async with client.post("/items", json=ITEM) as response:
        assert (response.status, (await response.json())["title"]) == (500, "Injected fault")
    async with client.get("/items/none") as response:
        assert response.status == 404
    async with client.get("/health") as response:
        assert response.status == 200
    async with client.delete("/faults") as response:
        assert response.status == 204
    async with client.post("/items", json=ITEM) as response:
        assert response.status == 201


async def test_an_error_ratio_fails_about_that_share_of_requests(start_service: StartService) -> None:
    running = await start_service(faults=True)
    async with running.client.put("/faults", json={"error_ratio": 0.5}):
        pass

    async def ask() -> int:
        async with running.client.get("/items") as response:
            return response.status

    statuses = [await ask() for _ in range(400)]
    assert 120 < statuses.count(500) < 280  # 200, give or take eight standard deviations.
    assert statuses.count(500) + statuses.count(200) == 400


async def test_latency_delays_requests_concurrently_and_spares_probes(start_service: StartService) -> None:
    running = await start_service(faults=True)
    async with running.client.put("/faults", json={"latency_ms": 400}):
        pass
    started = monotonic()
    async with running.client.get("/livez") as response:
        assert response.status == 200
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
async def test_an_invalid_plan_is_refused_and_changes_nothing(
    start_service: StartService, plan: dict[str, Any], pointer: str
) -> None:
    running = await start_service(faults=True)
    async with running.client.put("/faults", json=plan) as response:
        assert response.status == 422
        assert [error["pointer"] for error in (await response.json())["errors"]] == [pointer]
    async with running.client.get("/faults") as response:
        assert (await response.json())["error_ratio"] == 0


async def test_with_tokens_only_a_writer_may_change_the_plan(start_service: StartService) -> None:
    tokens, values = create_tokens(reader="read", writer="write")
    running = await start_service(faults=True, tokens_file=tokens)
    async with running.client.put("/faults", json={}) as response:
        assert response.status == 401
    for name, status in (("reader", 403), ("writer", 200)):
        async with running.client.put("/faults", json={}, headers=authorize(values[name])) as response:
            assert response.status == status
