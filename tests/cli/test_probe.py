"""Container engines run the probes every few seconds: they must be right, and start fast."""

import asyncio
import json
import socket
import subprocess
import sys

from commands import PREFIX, Commands
from conftest import StartService


async def test_healthcheck_tells_a_healthy_service_from_none(commands: Commands, start_service: StartService) -> None:
    running = await start_service()
    environment = {f"{PREFIX}PORT": running.url.rpartition(":")[2]}
    done = await asyncio.to_thread(commands.run, "healthcheck", environment=environment)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "ok")
    done = commands.run("healthcheck", environment={f"{PREFIX}PORT": "1"})
    assert (done.returncode, done.stdout) == (1, "")
    assert "refused" in done.stderr


def test_healthcheck_takes_no_arguments(commands: Commands) -> None:
    done = commands.run("healthcheck", "http://127.0.0.1:8000")
    assert (done.returncode, done.stderr.startswith("devops-api healthcheck takes no arguments")) == (2, True)


def test_the_probes_import_neither_asyncio_nor_any_other_large_module(commands: Commands) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "devops_api", "ping", "127.0.0.1:1"]
    done = subprocess.run(command, cwd=commands.folder, capture_output=True, text=True, timeout=60, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert "devops_api.cli.probe" in imported
    assert not {"asyncio", "aiohttp", "argparse", "http.client", "json", "ssl", "opentelemetry"} & imported


def test_ping_times_a_connection_and_fails_without_one(commands: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        done = commands.run("ping", address)
    assert done.returncode == 0
    assert done.stdout.startswith(f"connected to {address} (127.0.0.1) in ")
    assert commands.run("ping", "127.0.0.1:1").returncode == 1
    assert commands.run("ping", "nowhere").returncode == 2
