"""Fixtures: the real service, made by the composition root, on a free port and with a database file of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp
import pytest_asyncio

from devops_api.app import create_service
from devops_api.items.events import EVENTS
from devops_api.items.settings import Settings
from devops_api.logs.writer import Logs, open_logs
from devops_api.serve.chassis import Service
from devops_api.serve.lifecycle import serve


@dataclass
class Running:
    """A service under test: a client bound to it, its parts, and the file of its log."""

    client: aiohttp.ClientSession
    service: Service
    url: str
    log_path: Path
    log_file: BinaryIO
    stop: asyncio.Event
    serving: asyncio.Task[None]

    def read_log(self) -> list[str]:
        """Return the lines written so far. Close the log first if the last lines matter: they are written late."""
        return self.log_path.read_text().splitlines()


StartService = Callable[..., Awaitable[Running]]
CreateService = Callable[[Settings, Mapping[str, str], Logs], Service]


@pytest_asyncio.fixture
async def start_service(tmp_path: Path) -> AsyncIterator[StartService]:
    """Start services, each with its own environment and settings. They are stopped when the test ends.

    `create` replaces the composition root, for a test that needs routes of its own.
    """
    started: list[Running] = []

    async def start(
        environment: dict[str, str] | None = None, create: CreateService = create_service, **settings: Any
    ) -> Running:
        number = len(started)
        log_path = tmp_path / f"log-{number}.jsonl"
        log_file = log_path.open("wb", buffering=0)
        logs = open_logs("debug", "json", log_file.fileno(), EVENTS)
        defaults: dict[str, Any] = {
            "port": 0,
            "database_url": f"sqlite:///{tmp_path}/items.db",
            "drain_delay_s": 0,
            "stop_timeout_s": 5,
        }
        service = create(Settings(**(defaults | settings)), environment or {}, logs)
        stop = asyncio.Event()
        listening: asyncio.Future[list[tuple[str, int]]] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(service, stop, on_listening=listening.set_result))
        first: set[asyncio.Future[Any]] = {serving, listening}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        host, port = listening.result()[0]
        client = aiohttp.ClientSession(f"http://{host}:{port}")
        running = Running(client, service, f"http://{host}:{port}", log_path, log_file, stop, serving)
        started.append(running)
        return running

    yield start
    for running in started:
        await running.client.close()
        running.stop.set()
        await running.serving
        running.service.logs.close(timeout_s=1)
        running.log_file.close()


@pytest_asyncio.fixture
async def running(start_service: StartService) -> Running:
    """Start a service with the default settings."""
    return await start_service()


@pytest_asyncio.fixture
async def client(running: Running) -> aiohttp.ClientSession:
    """Return the client of a service with the default settings."""
    return running.client
