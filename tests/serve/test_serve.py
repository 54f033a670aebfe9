"""A stop must not cost anyone an answer: the real process is told to go while it works."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import aiohttp
import pytest
import pytest_asyncio
from conftest import StartService

ITEM = {"name": "Test", "price": 9.99}
LINE = b'{"name": "Test", "price": 1}\n'


class Process:
    """The service as an operator runs it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, log: list[dict[str, object]]) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.log = log

    async def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Signal it; its exit code and how long it took."""
        started = monotonic()
        self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), 15)
        return code, monotonic() - started

    def find(self, event: str) -> list[dict[str, object]]:
        """The log lines of an event."""
        return [line for line in self.log if line["event"] == event]


@pytest_asyncio.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    """`devops-api serve` with its default times, on a free port."""
    environment = {
        **os.environ,
        "DEVOPS_API_PORT": "0",
        "DEVOPS_API_DATABASE_URL": f"sqlite:///{tmp_path}/items.db",
        "DEVOPS_API_LOG_LEVEL": "info",
    }
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "devops_api", "serve", env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert running.stdout is not None
    log = [json.loads(await asyncio.wait_for(running.stdout.readline(), 20))]
    while log[-1]["event"] != "started":
        log.append(json.loads(await asyncio.wait_for(running.stdout.readline(), 20)))
    reading = asyncio.create_task(_read_log(running.stdout, log))
    yield Process(running, log[-1]["ports"][0], log)
    if running.returncode is None:
        running.kill()
        await running.wait()
    await reading


async def _read_log(stdout: asyncio.StreamReader, log: list[dict[str, object]]) -> None:
    while line := await stdout.readline():
        log.append(json.loads(line))


async def test_sigterm_fails_readiness_finishes_what_runs_and_exits_0(process: Process) -> None:
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
        async with client.get("/readyz") as reply:
            assert (reply.status, reply.headers["Connection"]) == (503, "close")
        async with client.get("/health") as reply:
            assert (reply.status, (await reply.json())["status"]) == (200, "draining")
        await asyncio.sleep(1.2)
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get("/livez")
        hold.set()
        async with await creating as reply:
            assert reply.status == 201
        code, duration_s = await stopping
    assert code == 0
    assert duration_s < 10
    assert [line["is_complete"] for line in process.find("stopped")] == [True]
    assert len(process.find("draining")) == 1


async def test_no_request_fails_while_the_service_stops_under_load(process: Process) -> None:
    statuses: list[int] = []

    async def client_loop(client: aiohttp.ClientSession) -> None:
        while True:
            try:
                async with client.post("/items", json=ITEM) as reply:
                    statuses.append(reply.status)
            except aiohttp.ClientConnectionError:
                return  # Not accepted any more: had it been, `item_created` below would be one too many.

    async with aiohttp.ClientSession(process.url) as client:
        loops = [asyncio.create_task(client_loop(client)) for _ in range(16)]
        await asyncio.sleep(0.5)
        code, _ = await process.stop()
        await asyncio.gather(*loops)
    assert code == 0
    assert set(statuses) == {201}
    assert len(process.find("item_created")) == len(statuses)


async def test_an_import_that_cannot_end_in_time_says_what_is_stored(process: Process) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield LINE * 100
            await asyncio.sleep(0.01)

    async with aiohttp.ClientSession(process.url) as client:
        headers = {"Content-Type": "application/x-ndjson"}
        importing = asyncio.create_task(client.post("/items/import", data=endless(), headers=headers))
        await asyncio.sleep(1)
        code, duration_s = await process.stop()
        async with await importing as reply:
            report = await reply.json()
    assert (code, reply.status) == (0, 503)
    assert duration_s < 10
    assert report["created"] == report["stored_through_line"] > 0
    assert process.find("items_imported")[0]["created"] == report["created"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_idle_service_leaves_soon_after_its_drain_delay(process: Process, number: int) -> None:
    code, duration_s = await process.stop(number)
    assert code == 0
    assert 1 <= duration_s < 4


async def test_metrics_can_have_a_port_of_their_own(start_service: StartService) -> None:
    running = await start_service(metrics_port=0)
    async with running.client.get("/metrics") as reply:
        assert reply.status == 404
    running.service.logs.close(timeout_s=1)
    lines = [json.loads(line) for line in running.read_log()]
    port = next(line["ports"][1] for line in lines if line["event"] == "started")
    async with running.client.get(f"http://127.0.0.1:{port}/metrics") as reply:
        assert reply.status == 200
        assert "http_server_request_duration_seconds" in await reply.text()


async def test_listening_beyond_loopback_without_tokens_is_warned_of(start_service: StartService) -> None:
    running = await start_service(host="0.0.0.0")  # noqa: S104 - the subject
    running.service.logs.close(timeout_s=1)
    events = [json.loads(line)["event"] for line in running.read_log()]
    assert "open_to_network" in events
