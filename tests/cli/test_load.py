"""The load must reach a service and report what it sees, or the dashboards of the demonstration stay empty."""

import asyncio
import re

from commands import Commands
from conftest import StartService


async def test_a_load_sends_requests_and_reports_their_statuses(
    commands: Commands, start_service: StartService
) -> None:
    running = await start_service()
    arguments = ("load", "--url", running.url, "--rate", "100", "--duration", "2")
    done = await asyncio.to_thread(commands.run, *arguments)
    assert done.returncode == 0, done.stderr
    assert re.search(r"requests/s: .*\d+ 2xx", done.stdout)
    assert "5xx" not in done.stdout
    assert "no response" not in done.stdout
