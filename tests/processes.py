"""A service in a process of its own, for tests that kill it or must not share its event loop."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

START_S = 20
STOP_S = 15
SERVE = ("-m", "devops_api", "serve")


class Process:
    """A service on a free port. `log` holds the lines of its log, read as they are written."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.log: list[dict[str, Any]] = []
        self.port = 0
        self._process = process
        self._reading: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The URL of the service."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Tell whether the process has not exited."""
        return self._process.returncode is None

    def find(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of an event."""
        return [line for line in self.log if line["event"] == event]

    async def wait_started(self) -> None:
        """Read the log until the service listens."""
        while not self.log or self.log[-1]["event"] != "started":
            await self._read_line(START_S)
        self.port = self.log[-1]["ports"][0]
        self._reading = asyncio.create_task(self._read_rest())

    async def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; return the exit code and the seconds until the process exited."""
        started = monotonic()
        self._process.send_signal(number)
        code = await asyncio.wait_for(self._process.wait(), STOP_S)
        duration_s = monotonic() - started
        if self._reading is not None:
            await self._reading
        return code, duration_s

    async def kill(self) -> None:
        """Kill the process, as a power cut would."""
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
async def run_process(
    directory: Path, command: Sequence[str] = SERVE, prefix: str = "DEVOPS_API_", **settings: object
) -> AsyncIterator[Process]:
    """Run a service, by default the item service on a database in `directory`. It is killed at the end."""
    if command is SERVE:
        settings = {"database_url": f"sqlite:///{directory}/items.db", **settings}
    settings = {"port": 0, "log_format": "json", **settings}
    process = Process(
        await asyncio.create_subprocess_exec(
            *(sys.executable, *command),
            env=os.environ | {f"{prefix}{name.upper()}": str(value) for name, value in settings.items()},
            stdout=asyncio.subprocess.PIPE,
            limit=1024 * 1024,  # longest line of the log
        )
    )
    try:
        await process.wait_started()
        yield process
    finally:
        await process.kill()
