"""A stop must not lose a request: these tests send SIGTERM to real processes while they serve."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from conftest import StartService
from processes import Process, run_process
from samples import ITEM

LINE = b'{"name": "Test", "price": 1}\n'


@pytest_asyncio.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    """Run `devops-api serve` with the default timeouts."""
    async with run_process(tmp_path) as process:
        yield process


async def test_sigterm_fails_readiness_finishes_requests_in_flight_and_exits_0(process: Process) -> None:
    async with aiohttp.ClientSession(process.url) as client:
        hold = asyncio.Event()

        async def slow_body() -> AsyncIterator[bytes]:
            yield b'{"name": "Test",'
            await hold.wait()
            yield b'"price": 1}'

        headers = {"Content-Type": "application/json"}
        creating = asyncio.create_task(client.post("/items", data=slow_body(), headers=headers))
        await asyncio.sleep(0.3)
        stopping = asyncio.create_task(process.stop())
        await asyncio.sleep(0.3)
        async with client.get("/readyz") as response:
            assert (response.status, response.headers["Connection"]) == (503, "close")
        async with client.get("/health") as response:
            assert (response.status, (await response.json())["status"]) == (200, "draining")
        await asyncio.sleep(1.2)
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get("/livez")
        hold.set()
        async with await creating as response:
            assert response.status == 201
        code, duration_s = await stopping
    assert code == 0
    assert duration_s < 10
    assert [line["is_complete"] for line in process.find("stopped")] == [True]
    assert len(process.find("draining")) == 1


async def test_no_request_fails_while_the_service_stops_under_load(process: Process) -> None:
    statuses: list[int] = []

    async def send_requests(client: aiohttp.ClientSession) -> None:
        while True:
            try:
                async with client.post("/items", json=ITEM) as response:
                    statuses.append(response.status)
            except aiohttp.ClientConnectionError:
                return  # The connection was refused. A request cut after it was stored would miss in `statuses`.

    async with aiohttp.ClientSession(process.url) as client:
        loops = [asyncio.create_task(send_requests(client)) for _ in range(16)]
        await asyncio.sleep(0.5)
        code, _ = await process.stop()
        await asyncio.gather(*loops)
    assert code == 0
    assert set(statuses) == {201}
    assert len(process.find("item_created")) == len(statuses)


async def test_an_endless_import_is_stopped_and_reports_what_is_stored(process: Process) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield LINE * 100
            await asyncio.sleep(0.01)

    async with aiohttp.ClientSession(process.url) as client:
        headers = {"Content-Type": "application/x-ndjson"}
        importing = asyncio.create_task(client.post("/items/import", data=endless(), headers=headers))
        await asyncio.sleep(1)
        code, duration_s = await process.stop()
        async with await importing as response:
            report = await response.json()
    assert (code, response.status) == (0, 503)
    assert duration_s < 10
    assert report["created"] == report["stored_through_line"] > 0
    assert process.find("items_imported")[0]["created"] == report["created"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_idle_service_exits_soon_after_its_drain_delay(process: Process, number: int) -> None:
    code, duration_s = await process.stop(number)
    assert code == 0
    assert 1 <= duration_s < 4


async def test_metrics_can_have_a_port_of_their_own(start_service: StartService) -> None:
    running = await start_service(metrics_port=0)
    async with running.client.get("/metrics") as response:
        assert response.status == 404
    running.service.logs.close(timeout_s=1)
    lines = [json.loads(line) for line in running.read_log()]
    port = next(line["ports"][1] for line in lines if line["event"] == "started")
    async with running.client.get(f"http://127.0.0.1:{port}/metrics") as response:
        assert response.status == 200
        assert "http_server_request_duration_seconds" in await response.text()


async def test_listening_beyond_loopback_without_tokens_logs_a_warning(start_service: StartService) -> None:
    running = await start_service(host="0.0.0.0")  # noqa: S104 - the subject
    running.service.logs.close(timeout_s=1)
    events = [json.loads(line)["event"] for line in running.read_log()]
    assert "open_to_network" in events
