"""The bridge depends on private names of the SDK: a change of them must fail here, not in production."""

import asyncio
import os
import shutil
import socket
import subprocess
import urllib.parse
from pathlib import Path
from time import monotonic, time
from typing import Any

import aiohttp
import pytest
from conftest import StartService
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from prometheus_client import CollectorRegistry
from scrapes import TRACE_ID, TRACEPARENT


def test_the_private_names_of_the_sdk_exist() -> None:
    for reader in (MetricReader, PrometheusMetricReader, PeriodicExportingMetricReader):
        assert callable(reader._receive_metrics)
    registry = CollectorRegistry()
    assert hasattr(PrometheusMetricReader(registry=registry), "_collector")


async def test_a_real_prometheus_stores_the_exemplars(start_service: StartService, tmp_path: Path) -> None:
    program = shutil.which("prometheus")
    if program is None:
        reason = "prometheus is not on PATH: install Prometheus to run this test"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    running = await start_service()
    async with running.client.get("/items", headers={"traceparent": TRACEPARENT}) as reply:
        assert reply.status == 200
    target = running.url.removeprefix("http://")
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
        f"scrape_configs: [{{job_name: api, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [
        program,
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    ]
    selector = 'http_server_request_duration_seconds_bucket{http_route="/items"}'
    query = urllib.parse.urlencode({"query": selector, "start": time() - 60, "end": time() + 60})
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
    try:
        found = await ask(running.client, f"http://127.0.0.1:{port}/api/v1/query_exemplars?{query}")
    finally:
        process.terminate()
        await process.wait()
    assert found[0]["seriesLabels"]["http_response_status_code"] == "200"
    assert {exemplar["labels"]["trace_id"] for exemplar in found[0]["exemplars"]} == {TRACE_ID}
    assert abs(float(found[0]["exemplars"][0]["timestamp"]) - time()) < 60


async def ask(client: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    """Return the data of a response as soon as there are any."""
    deadline = monotonic() + 20
    while monotonic() < deadline:
        await asyncio.sleep(0.2)
        try:
            async with client.get(url) as reply:
                # While it starts, Prometheus responds with 503 in plain text.
                if reply.status == 200 and (data := (await reply.json())["data"]):
                    return data
        except OSError:
            continue
    pytest.fail("Prometheus has no exemplar")
