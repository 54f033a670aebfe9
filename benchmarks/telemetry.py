"""What telemetry costs a request: the same handlers with the pipeline, without it, and with stock instrumentation.

    python benchmarks/telemetry.py [--rounds 25] [--requests 4000]

In process: raw bytes go into aiohttp's protocol and come out at a transport that keeps nothing, so that neither the
network nor a client is measured. Each variant is a process of its own; the rounds of all are interleaved and a ratio is
taken within each round, so that a machine whose speed drifts drifts for all. `GET /items/{id}` on 32 connections.
"""

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import uvloop
from aiohttp import web
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor, create_aiohttp_middleware
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from prometheus_client import CollectorRegistry

from devops_api.app import create_service
from devops_api.items import ItemFields
from devops_api.logs import open_logs
from devops_api.server import Runner
from devops_api.settings import Settings
from devops_api.store_sqlite import open_sqlite_store

CONNECTIONS: Final = 32
WARM_UP: Final = 2_000  # requests
COST_BUDGET: Final = 0.93
FLOOD_BUDGET: Final = 0.85
SAMPLE_RATIO: Final = 0.01
TRACEPARENT: Final = b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
VARIANTS: Final[Mapping[str, Mapping[str, str]]] = {
    "without": {"OTEL_SDK_DISABLED": "true"},
    "pipeline": {},
    "flood": {},  # Every request asks to be sampled.
    "stock": {"OTEL_SDK_DISABLED": "true", "OTEL_SEMCONV_STABILITY_OPT_IN": "http"},
}


class NullTransport(asyncio.Transport):
    """Keeps nothing of what is written, but tells of each reply."""

    def __init__(self, on_reply: Any) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self._on_reply = on_reply

    def write(self, data: Any) -> None:
        """Look at the status line alone."""
        if data[:9] == b"HTTP/1.1 ":
            assert data[9:12] == b"200", bytes(data)
            self._on_reply()

    def writelines(self, parts: Any) -> None:
        """See `write`; the first part begins a reply."""
        for part in parts:
            self.write(part)

    def is_closing(self) -> bool:
        """Whether the connection ends: never."""
        return False

    def close(self) -> None:
        """Nothing to close."""

    def pause_reading(self) -> None:
        """Nothing to pause."""

    def resume_reading(self) -> None:
        """Nothing to resume."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered."""

    def get_write_buffer_size(self) -> int:
        """Nothing is buffered."""
        return 0


class Load:
    """Sends the same request on each connection as soon as the reply to the last one is there."""

    def __init__(self, server: web.Server, request: bytes) -> None:
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._left = 0
        self._pending = 0
        self._done = self._loop.create_future()
        self._protocols = []
        for number in range(CONNECTIONS):
            protocol = server()
            protocol.connection_made(NullTransport(lambda number=number: self._answered(number)))
            self._protocols.append(protocol)

    async def run(self, count: int) -> tuple[float, float]:
        """Send `count` requests; wall and CPU seconds that they took, each divided by `count`."""
        self._left, self._pending = count, 0
        self._done = self._loop.create_future()
        wall, cpu = time.perf_counter(), time.process_time()
        for number in range(CONNECTIONS):
            self._send(number)
        await self._done
        return (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count

    def _send(self, number: int) -> None:
        self._left -= 1
        self._pending += 1
        self._loop.call_soon(self._protocols[number].data_received, self._request)

    def _answered(self, number: int) -> None:
        self._pending -= 1
        if self._left > 0:
            self._send(number)
        elif not self._pending:
            self._done.set_result(None)


async def work(variant: str, folder: str) -> None:
    """Be one variant: run as many requests as each line of standard input says."""
    environment = VARIANTS[variant]
    store = open_sqlite_store(Path(folder) / f"{variant}.db")
    created = await store.create(ItemFields("Test", 999))
    await store.close()
    sink = os.open(os.devnull, os.O_WRONLY)
    settings = Settings(database_url=f"sqlite:///{folder}/{variant}.db")
    service = create_service(settings, environment, open_logs("info", "json", sink))
    if variant == "stock":
        instrument(service.app)
    runner = Runner(service.app, on_refusal=lambda _: None, header_timeout_s=60)
    await runner.setup()
    header = TRACEPARENT if variant == "flood" else b""
    target = f"GET /items/{created.item.id} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nAccept: */*\r\n".encode()
    load = Load(runner.server, target + header + b"\r\n")
    loop = asyncio.get_running_loop()
    await load.run(WARM_UP)
    gc.freeze()  # As the service does once it listens.
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await load.run(int(line))), flush=True)
    os._exit(0)


def instrument(app: web.Application) -> None:
    """What OpenTelemetry's documentation tells to do, with the same share of requests sampled."""
    reader = PrometheusMetricReader(registry=CollectorRegistry())
    set_meter_provider(MeterProvider([reader]))
    instrumentor = AioHttpServerInstrumentor()
    instrumentor.instrument()
    instrumentor.uninstrument()
    tracers = TracerProvider(ParentBasedTraceIdRatio(SAMPLE_RATIO))
    app.middlewares.append(create_aiohttp_middleware(tracer_provider=tracers))


class Worker:
    """A variant in a process of its own."""

    def __init__(self, variant: str, folder: str) -> None:
        command = [sys.executable, __file__, "--work", variant, "--folder", folder]
        environment = os.environ | VARIANTS[variant]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, count: int) -> tuple[float, float]:
        """Wall and CPU seconds a request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        wall, cpu = json.loads(self._process.stdout.readline())
        return wall, cpu

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def compare(rounds: int, count: int) -> dict[str, list[tuple[float, float]]]:
    """Wall and CPU seconds a request of each variant, by round; the first round warms up and is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        workers = {variant: Worker(variant, folder) for variant in VARIANTS}
        figures: dict[str, list[tuple[float, float]]] = {variant: [] for variant in VARIANTS}
        try:
            for number in range(rounds + 1):
                order = list(workers)
                for variant in order if number % 2 else reversed(order):
                    measured = workers[variant].run(count)
                    if number:
                        figures[variant].append(measured)
        finally:
            for worker in workers.values():
                worker.close()
    return figures


def find_ratio(figures: dict[str, list[tuple[float, float]]], variant: str, base: str, kind: int) -> float:
    """How much of `base`'s speed `variant` keeps: the median of the rounds' ratios."""
    rows = zip(figures[variant], figures[base], strict=True)
    return statistics.median(other[kind] / own[kind] for own, other in rows)


def report(figures: dict[str, list[tuple[float, float]]]) -> bool:
    """Print the table; whether the budgets are kept."""
    print(f"{'variant':10} {'us/request':>11} {'CPU us':>8} {'throughput':>11} {'CPU':>6}   against")
    ratios: dict[str, tuple[float, float]] = {}
    for variant, base in (("without", "without"), ("pipeline", "without"), ("stock", "without"), ("flood", "pipeline")):
        wall, cpu = (statistics.median(row[kind] for row in figures[variant]) * 1e6 for kind in (0, 1))
        ratios[variant] = find_ratio(figures, variant, base, 0), find_ratio(figures, variant, base, 1)
        print(
            f"{variant:10} {wall:11.1f} {cpu:8.1f} {ratios[variant][0]:11.3f} {ratios[variant][1]:6.3f}   {base}",
        )
    is_kept = min(ratios["pipeline"]) >= COST_BUDGET and min(ratios["flood"]) >= FLOOD_BUDGET
    print(f"budgets: pipeline {COST_BUDGET} of without, flood {FLOOD_BUDGET}: {'kept' if is_kept else 'NOT KEPT'}")
    return is_kept


def main() -> None:
    """Measure, or be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--work", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        uvloop.run(work(arguments.work, arguments.folder))
    elif not report(compare(arguments.rounds, arguments.requests)):
        sys.exit(1)


if __name__ == "__main__":
    main()
