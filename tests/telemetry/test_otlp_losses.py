"""A dead, slow or refusing collector slows neither requests nor the exit, and what it does not get is counted."""

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import monotonic, sleep

import aiohttp
import pytest
from collectors import BATCH, QUICK, Collector, wait_until
from conftest import StartService
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan
from scrapes import scrape

from devops_api.telemetry.catalogue import DROPS
from devops_api.telemetry.otlp import shut_down

REQUESTS = 500
pytestmark = pytest.mark.usefixtures("small_queues")


def test_a_flush_that_hangs_does_not_delay_the_others() -> None:
    done: list[int] = []
    started = monotonic()
    shut_down([lambda _: sleep(3), done.append], 0.2)
    assert monotonic() - started < 1
    assert done == [200]


async def time_requests(client: aiohttp.ClientSession) -> list[float]:
    """Return the seconds that each of `REQUESTS` takes."""
    durations = []
    for _ in range(REQUESTS):
        started = monotonic()
        async with client.get("/items") as reply:
            assert reply.status == 200
        durations.append(monotonic() - started)
    return durations


def count_live(kind: type) -> int:
    """Return the number of objects of a kind in memory."""
    gc.collect()
    return sum(isinstance(thing, kind) for thing in gc.get_objects())


@pytest.mark.parametrize("fault", ["dead", "slow", "unwilling"])
async def test_a_bad_collector_slows_no_request_and_losses_are_counted(
    start_service: StartService, collector: Collector, tmp_path: Path, fault: str
) -> None:
    collector.status = 503
    collector.delay_s = 10 if fault == "slow" else 0
    url = "http://127.0.0.1:9" if fault == "dead" else collector.url
    environment = QUICK | {"OTEL_TRACES_SAMPLER": "always_on"}
    alone = await start_service(environment, database_url=f"sqlite:///{tmp_path}/alone.db")
    usual = await time_requests(alone.client)
    running = await start_service(
        environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "0.4"}
    )
    durations = await time_requests(running.client)
    assert median(durations) < 2 * median(usual) + 0.001
    assert max(durations) < 0.3
    # in the queue, with the exporter, and just being created
    assert count_live(ReadableSpan) <= 2 * BATCH + 4
    assert count_live(ReadableLogRecord) <= 2 * BATCH + 4
    await asyncio.sleep(1)
    found = await scrape(running.client)
    for signal_name in ("traces", "logs", "metrics"):
        assert found.sum("telemetry_export_failures_total", signal=signal_name) >= 1
    # A request makes two spans and a line. Two batches may still be on their way: one in the queue, one with the
    # exporter.
    for what, made in (("span", 2 * REQUESTS), ("log_record", REQUESTS)):
        lost = {reason: found.sum(f"telemetry_{what}_dropped_total", reason=reason) for reason in DROPS}
        assert made - 2 * BATCH <= sum(lost.values()) <= made + 1  # the line `started`
        assert lost["not_taken"] > 0
        assert lost["queue_full"] > 0 or fault != "slow"  # The others may fail faster than requests arrive.
    started = monotonic()
    running.stop.set()
    await running.serving
    assert monotonic() - started < 5


async def test_log_lines_of_exporters_contain_no_secret(start_service: StartService) -> None:
    environment = QUICK | {
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://me:s3cret@127.0.0.1:9/v1/traces?api_key=s3cret",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",  # long enough for a second attempt, and a line about the first
    }
    running = await start_service(environment)
    async with running.client.get("/items") as reply:
        assert reply.status == 200
    await wait_until(lambda: any("/v1/traces?" in line for line in running.read_log()))
    assert "s3cret" not in "".join(running.read_log())


@pytest.mark.parametrize("fault", ["dead", "slow", "unwilling"])
async def test_the_process_exits_in_time_if_its_collector_does_not_respond(
    collector: Collector, tmp_path: Path, fault: str
) -> None:
    collector.status = 503
    collector.delay_s = 30 if fault == "slow" else 0
    environment = os.environ | {
        "DEVOPS_API_PORT": "0",
        "DEVOPS_API_DATABASE_URL": f"sqlite:///{tmp_path}/items.db",
        "DEVOPS_API_DRAIN_DELAY_S": "0",
        "DEVOPS_API_STOP_TIMEOUT_S": "4",
        "DEVOPS_API_LOG_FORMAT": "json",
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9" if fault == "dead" else collector.url,
    }
    command = [sys.executable, "-m", "devops_api", "serve"]
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 20)
    port = json.loads(line)["ports"][0]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        for _ in range(20):
            async with client.get("/items") as reply:
                assert reply.status == 200
    started = monotonic()
    process.send_signal(signal.SIGTERM)
    _, complaints = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 0
    assert complaints == b""
    assert monotonic() - started < 4
