"""The service as an operator runs it, for tests that kill it or must not share its event loop."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

START_S = 20


class Process:
    """`devops-api serve` on a free port, and the lines of its log as they come."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.log: list[dict[str, Any]] = []
        self.port = 0
        self._process = process
        self._reading: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its number, for what the system knows of it."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not left."""
        return self._process.returncode is None

    async def wait_started(self) -> None:
        """Read the log up to the line that says where it listens."""
        while not self.log or self.log[-1]["event"] != "started":
            await self._read_line(START_S)
        self.port = self.log[-1]["ports"][0]
        self._reading = asyncio.create_task(self._read_rest())

    async def kill(self) -> None:
        """End it as a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def _read_rest(self) -> None:
        while await self._read_line(None):
            pass

    async def _read_line(self, timeout_s: float | None) -> bool:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), timeout_s)
        if line:
            self.log.append(json.loads(line))
        return bool(line)


@contextlib.asynccontextmanager
async def run_process(directory: Path, **settings: object) -> AsyncIterator[Process]:
    """Run the service on the database in `directory`; it is killed in the end."""
    environment = {
        "DEVOPS_API_PORT": "0",
        "DEVOPS_API_DATABASE_URL": f"sqlite:///{directory}/items.db",
        "DEVOPS_API_LOG_FORMAT": "json",
        **{f"DEVOPS_API_{name.upper()}": str(value) for name, value in settings.items()},
    }
    process = Process(
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "devops_api", "serve"),
            env=os.environ | environment,
            stdout=asyncio.subprocess.PIPE,
            limit=1024 * 1024,  # a line of the log
        )
    )
    try:
        await process.wait_started()
        yield process
    finally:
        await process.kill()
