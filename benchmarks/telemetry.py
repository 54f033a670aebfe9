"""Measure what telemetry costs a request: the same handlers with our telemetry, without it, and with the stock one.

    python benchmarks/telemetry.py [--processes 5] [--rounds 12] [--requests 6400]

Raw bytes go into aiohttp's protocol and come out at a transport that discards them, so that neither the network nor a
client is measured. The variants of a group share a process, because the memory layout alone makes two processes differ
by some percent. Their rounds alternate, and each ratio is taken within a round, so that drift of the machine affects
all variants. The request is `GET /items/{id}` on 32 connections; `service.py` measures the same over sockets.

- `without`: telemetry disabled.
- `pipeline`: metrics, 1 % of requests sampled and logged, no endpoint for spans.
- `exporting`: as `pipeline`, and spans are exported over OTLP, 64 at a time, which is about once a round.
- `flood`: as `exporting`, and every request forces a sample.
- `middleware`: telemetry disabled, and `devops_api.telemetry.middleware` around the application.
- `stock`: telemetry disabled, and OpenTelemetry's own instrumentation, set up as its documentation says, with the same
  share of requests sampled and no export.
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
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
from devops_api.http.server import Runner
from devops_api.items.events import EVENTS
from devops_api.items.model import ItemFields
from devops_api.items.settings import Settings
from devops_api.items.store.sqlite.store import open_sqlite_store
from devops_api.logs.writer import open_logs
from devops_api.telemetry.middleware import instrument

CONNECTIONS: Final = 32
WARM_UP: Final = 2_000  # requests
BUDGETS: Final = {"pipeline": 0.93, "flood": 0.85, "middleware": 0.85}  # shares of throughput and of CPU time
SAMPLE_RATIO: Final = 0.01
TRACEPARENT: Final = b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
DISABLED: Final = {"OTEL_SDK_DISABLED": "true"}
# Each group has its own process. Otherwise an exporter's pending spans would be sent during another variant's round.
GROUPS: Final = {
    "pipeline": ("without", "pipeline"),
    "exporting": ("without", "exporting", "flood"),
    "foreign": ("without", "middleware", "stock"),
}
AGAINST: Final = {
    "pipeline": "without",
    "exporting": "without",
    "flood": "exporting",
    "middleware": "without",
    "stock": "without",
}
Figures = dict[str, list[tuple[float, float]]]


class NullTransport(asyncio.Transport):
    """Discards what is written, and calls `on_response` for each response."""

    def __init__(self, on_response: Any) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self._on_response = on_response

    def write(self, data: Any) -> None:
        """Check the status line; ignore the rest."""
        if data[:9] == b"HTTP/1.1 ":
            assert data[9:12] == b"200", bytes(data)
            self._on_response()

    def writelines(self, parts: Any) -> None:
        """See `write`; the first part begins a response."""
        for part in parts:
            self.write(part)

    def is_closing(self) -> bool:
        """Return False: the connection never closes."""
        return False

    def close(self) -> None:
        """Do nothing."""

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: nothing is buffered."""

    def get_write_buffer_size(self) -> int:
        """Return 0: nothing is buffered."""
        return 0


class Load:
    """Sends the same request on each connection as soon as the previous one got its response."""

    def __init__(self, server: web.Server, request: bytes) -> None:
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._left = 0
        self._pending = 0
        self._done = self._loop.create_future()
        self._protocols = []
        for number in range(CONNECTIONS):
            protocol = server()
            protocol.connection_made(NullTransport(lambda number=number: self._continue(number)))
            self._protocols.append(protocol)

    async def run(self, count: int) -> tuple[float, float]:
        """Send `count` requests; return the wall and CPU seconds per request."""
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

    def _continue(self, number: int) -> None:
        self._pending -= 1
        if self._left > 0:
            self._send(number)
        elif not self._pending:
            self._done.set_result(None)


class Variant:
    """One service in this process, and the load on it."""

    def __init__(self, name: str, folder: str, collector: str) -> None:
        self.name = name
        environment = {
            "pipeline": {},
            "exporting": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector},
            "flood": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector},
        }.get(name, DISABLED)
        self._path = Path(folder) / f"{name}.db"
        sink = os.open(os.devnull, os.O_WRONLY)
        self._service = create_service(
            Settings(database_url=f"sqlite:///{self._path}"), environment, open_logs("info", "json", sink, EVENTS)
        )

    async def open(self) -> None:
        """Create the item to request, and start the service."""
        store = open_sqlite_store(self._path)
        created = await store.create(ItemFields("Test", 999))
        await store.close()
        if self.name == "stock":
            instrument_stock(self._service.app)
        if self.name == "middleware":
            instrument(self._service.app, name="bench", version="1.0", metrics_path=None)
        runner = Runner(self._service.app, on_parse_error=lambda _: None, header_timeout_s=60, send_timeout_s=60)
        await runner.setup()
        target = f"GET /items/{created.item.id} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nAccept: */*\r\n".encode()
        self._load = Load(runner.server, target + (TRACEPARENT if self.name == "flood" else b"") + b"\r\n")

    async def run(self, count: int) -> tuple[float, float]:
        """Send `count` requests; return the wall and CPU seconds per request."""
        return await self._load.run(count)


async def work(group: str, folder: str, collector: str) -> None:
    """Run one group: for each line of standard input, send that many requests to each variant."""
    variants = [Variant(name, folder, collector) for name in GROUPS[group]]
    for variant in variants:
        await variant.open()
        await variant.run(WARM_UP)
    gc.freeze()  # as the service does
    for number, line in enumerate(sys.stdin):
        order = variants if number % 2 else variants[::-1]
        print(json.dumps({variant.name: await variant.run(int(line)) for variant in order}), flush=True)
    os._exit(0)


def instrument_stock(app: web.Application) -> None:
    """Instrument an application as OpenTelemetry's documentation says, with the same share of requests sampled."""
    reader = PrometheusMetricReader(registry=CollectorRegistry())
    set_meter_provider(MeterProvider([reader]))
    instrumentor = AioHttpServerInstrumentor()
    instrumentor.instrument()
    instrumentor.uninstrument()
    tracers = TracerProvider(ParentBasedTraceIdRatio(SAMPLE_RATIO))
    app.middlewares.append(create_aiohttp_middleware(tracer_provider=tracers))


class Worker:
    """A group in a process of its own."""

    def __init__(self, group: str, folder: str, collector: str) -> None:
        command = [sys.executable, __file__, "--work", group, "--folder", folder, "--collector", collector]
        # The SDK reads these from the process's environment only.
        environment = os.environ | {
            "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
            "OTEL_BSP_SCHEDULE_DELAY": "60000",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "64",
        }
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, count: int) -> dict[str, tuple[float, float]]:
        """Send `count` requests to each variant; return the wall and CPU seconds per request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        figures: dict[str, tuple[float, float]] = json.loads(self._process.stdout.readline())
        return figures

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


class Receiver(BaseHTTPRequestHandler):
    """Accepts exports and discards them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Accept a batch."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def receive() -> None:
    """Run the collector until standard input ends; print its port first."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


@contextmanager
def run_receiver() -> Iterator[str]:
    """Run a collector in a process of its own; yield its address."""
    command = [sys.executable, __file__, "--receive"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1/traces"
    finally:
        process.communicate()


def compare(group: str, processes: int, rounds: int, count: int) -> Figures:
    """Return the wall and CPU seconds per request of each variant, by round; a process's first round warms up."""
    figures: Figures = {name: [] for name in GROUPS[group]}
    for _ in range(processes):
        with tempfile.TemporaryDirectory() as folder, run_receiver() as collector:
            worker = Worker(group, folder, collector)
            try:
                worker.run(count)
                for _ in range(rounds):
                    for name, measured in worker.run(count).items():
                        figures[name].append(measured)
            finally:
                worker.close()
    return figures


def find_ratio(figures: Figures, variant: str, base: str, kind: int) -> float:
    """Return the share of `base`'s speed that `variant` keeps: the median of the rounds' ratios."""
    rows = zip(figures[variant], figures[base], strict=True)
    return statistics.median(other[kind] / own[kind] for own, other in rows)


def report(figures: Figures) -> dict[str, float]:
    """Print a group's rows; return the lesser of both ratios by variant."""
    ratios = {}
    for variant, rows in figures.items():
        base = AGAINST.get(variant, variant)
        wall, cpu = (statistics.median(row[kind] for row in rows) * 1e6 for kind in (0, 1))
        kept = find_ratio(figures, variant, base, 0), find_ratio(figures, variant, base, 1)
        ratios[variant] = min(kept)
        print(f"{variant:10} {wall:11.1f} {cpu:8.1f} {kept[0]:11.3f} {kept[1]:6.3f}   {base}", flush=True)
    return ratios


def main() -> None:
    """Measure all groups, or run as the child process that the hidden options select."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--requests", type=int, default=6_400)
    for hidden in ("--work", "--folder", "--collector"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.receive:
        receive()
    elif arguments.work:
        uvloop.run(work(arguments.work, arguments.folder, arguments.collector))
    else:
        print(f"{'variant':10} {'us/request':>11} {'CPU us':>8} {'throughput':>11} {'CPU':>6}   against")
        size = arguments.processes, arguments.rounds, arguments.requests
        ratios: dict[str, float] = {}
        for group in GROUPS:
            ratios |= report(compare(group, *size))
        missed = {name for name, budget in BUDGETS.items() if ratios[name] < budget}
        for name, budget in BUDGETS.items():
            print(f"budget: {name} at least {budget} of {AGAINST[name]}: {'missed' if name in missed else 'kept'}")
        sys.exit(bool(missed))


if __name__ == "__main__":
    main()
