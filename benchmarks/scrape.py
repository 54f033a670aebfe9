"""Measure how much a scrape of `/metrics` delays requests, and what a series adds to a scrape.

    python benchmarks/scrape.py [--scrapes 120]

The service runs on the first processor, after every operation has been used once. This process runs on the second. It
sends `GET /items/{id}`, first at a constant rate and then as fast as the connections allow, and scrapes every 0.4 s:
plain text, OpenMetrics and gzip in turn. A scrape's delay is the longest duration of a request that overlapped it, less
the longest duration in a window of the same length just before it. Needs taskset.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import psutil
import uvloop

DELAY_BUDGET_MS: Final = 10.0  # at the 99th percentile of scrapes
INTERVAL_S: Final = 0.4
MARGIN_S: Final = 0.02  # between the window without a scrape and the one with it
WARM_UP_S: Final = 2.0
CONNECTIONS: Final = 8
RATE: Final = 500  # requests a second of the constant load
IDLE_SCRAPES: Final = 30  # for their CPU time, which the kernel counts in steps of 10 ms
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"
FORMATS: Final = {
    "text": {"Accept": "text/plain", "Accept-Encoding": "identity"},
    "openmetrics": {"Accept": OPENMETRICS, "Accept-Encoding": "identity"},
    "openmetrics, gzip": {"Accept": OPENMETRICS, "Accept-Encoding": "gzip"},
}
ITEM: Final = {"name": "Test", "price": 9.99}
USES: Final[Sequence[tuple[str, str, dict[str, Any]]]] = (
    ("GET", "/items", {}),
    ("GET", "/items?q=test", {}),
    ("GET", "/items?limit=none", {}),
    ("GET", "{}", {}),
    ("GET", "{}", {"headers": {"If-None-Match": "*"}}),
    ("HEAD", "{}", {}),
    ("GET", "/items/none", {}),
    ("PUT", "{}", {"json": ITEM}),
    ("PUT", "{}", {"json": ITEM, "headers": {"If-Match": '"99"'}}),
    ("PATCH", "{}", {"json": {"price": 1}}),
    ("POST", "/items", {"json": {}}),
    ("POST", "/items", {"data": b"x"}),
    ("POST", "/items/batch", {"json": [ITEM]}),
    ("POST", "/items/import", {"data": b"{}", "headers": {"Content-Type": "application/x-ndjson"}}),
    ("GET", "/items/export", {}),
    *(("GET", path, {}) for path in ("/health", "/livez", "/readyz", "/docs", "/openapi.json", "/nowhere")),
)
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "LOCK")


class Timing(NamedTuple):
    """The start and the end of a request or a scrape, in seconds."""

    begin: float
    end: float

    @property
    def length(self) -> float:
        """Duration in seconds."""
        return self.end - self.begin

    def overlaps(self, other: "Timing") -> bool:
        """Return whether both overlap."""
        return self.begin <= other.end and other.begin <= self.end


class Connection(asyncio.Protocol):
    """Send one request repeatedly and record when each began and got its response; all responses have one length."""

    def __init__(self, request: bytes, response_bytes: int, timings: list[Timing], *, is_saturating: bool) -> None:
        self._request = request
        self._response_bytes = response_bytes
        self._timings = timings
        self._is_saturating = is_saturating
        self._begun: deque[float] = deque()
        self._left_bytes = response_bytes
        self._transport: Any = None  # uvloop's transports are not asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request, unless something else sets the pace."""
        self._transport = transport
        if self._is_saturating:
            self.send()

    def send(self) -> None:
        """Send a request without waiting for earlier responses."""
        self._begun.append(time.perf_counter())
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Record each complete response."""
        self._left_bytes -= len(data)
        while self._left_bytes <= 0:
            self._left_bytes += self._response_bytes
            self._timings.append(Timing(self._begun.popleft(), time.perf_counter()))
            if self._is_saturating:
                self.send()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


class Service:
    """The service under test."""

    def __init__(self, process: psutil.Process, port: int, session: aiohttp.ClientSession) -> None:
        self.port = port
        self._process = process
        self._session = session

    def cpu_s(self) -> float:
        """Return the CPU seconds that all its threads have used."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    async def use(self) -> str:
        """Send one request to every operation, as traffic would, and return the path of an item."""
        async with self._session.post("/items", json=ITEM) as response:
            path = response.headers["Location"]
        for method, where, options in USES:
            async with self._session.request(method, where.format(path), **options) as response:
                await response.read()
        return path

    async def mint(self) -> None:
        """Send all methods to all paths, which creates many more series."""
        for path in ("/items", "/items/a", "/items/batch", "/items/import", "/items/export", "/health", "/livez"):
            for method in METHODS:
                async with self._session.request(method, path) as response:
                    await response.read()

    async def scrape(self, form: str) -> tuple[Timing, bytes]:
        """Scrape once; return its timing and the exposition."""
        begin = time.perf_counter()
        async with self._session.get("/metrics", headers=FORMATS[form]) as response:
            body = await response.read()
        return Timing(begin, time.perf_counter()), body

    async def count_series(self) -> tuple[int, int]:
        """Return the number of histogram series and of all samples."""
        text = (await self.scrape("text"))[1]
        return len(re.findall(rb"(?m)^\w+_bucket\{.*le=\"\+Inf\"", text)), len(re.findall(rb"(?m)^[^#]", text))

    async def scrape_cpu_s(self, form: str) -> float:
        """Return the CPU seconds of a scrape of the idle service."""
        before = self.cpu_s()
        for _ in range(IDLE_SCRAPES):
            await self.scrape(form)
        return (self.cpu_s() - before) / IDLE_SCRAPES

    async def load(self, path: str, *, is_saturating: bool, during: Callable[[], Awaitable[None]]) -> list[Timing]:
        """Send requests until `during` ends; return their timings."""
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        response_bytes = await self._measure_response(request)
        timings: list[Timing] = []
        loop = asyncio.get_running_loop()
        connections = [
            (
                await loop.create_connection(
                    lambda: Connection(request, response_bytes, timings, is_saturating=is_saturating),
                    "127.0.0.1",
                    self.port,
                )
            )[1]
            for _ in range(CONNECTIONS)
        ]
        pacing = None if is_saturating else asyncio.create_task(pace(connections))
        await during()
        if pacing is not None:
            pacing.cancel()
        for connection in connections:
            connection.close()
        return timings

    async def _measure_response(self, request: bytes) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return len(head) + int(re.findall(rb"Content-Length: (\d+)", head)[0])


async def pace(connections: Sequence[Connection]) -> None:
    """Send at the constant rate, on one connection after the other."""
    due, number = time.perf_counter(), 0
    while True:
        due += 1 / RATE
        await asyncio.sleep(due - time.perf_counter())
        connections[number % len(connections)].send()
        number += 1


class Scraped(NamedTuple):
    """One scrape under load: its timing, how much it delayed a request, and the longest request that overlapped it."""

    form: str
    timing: Timing
    delay_ms: float
    longest_ms: float


async def measure(service: Service, path: str, count: int, *, is_saturating: bool) -> tuple[list[Scraped], float]:
    """Scrape `count` times under load; return the scrapes and the requests per second."""
    scrapes: list[tuple[str, Timing]] = []

    async def scrape_all() -> None:
        await asyncio.sleep(WARM_UP_S)
        for number in range(count):
            form = list(FORMATS)[number % len(FORMATS)]
            timing, _ = await service.scrape(form)
            scrapes.append((form, timing))
            await asyncio.sleep(max(INTERVAL_S - timing.length, timing.length + 2 * MARGIN_S))

    requests = await service.load(path, is_saturating=is_saturating, during=scrape_all)
    rate = len(requests) / (requests[-1].end - requests[0].begin)
    return [judge(form, timing, requests) for form, timing in scrapes], rate


def judge(form: str, timing: Timing, requests: Sequence[Timing]) -> Scraped:
    """Compare the scrape with the time just before it."""
    control = Timing(timing.begin - timing.length - MARGIN_S, timing.begin - MARGIN_S)
    longest, usual = (
        max((request.length for request in requests if request.overlaps(window)), default=0.0) * 1e3
        for window in (timing, control)
    )
    return Scraped(form, timing, longest - usual, longest)


def find_percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def report(load: str, rate: float, scrapes: Sequence[Scraped]) -> bool:
    """Print a row for each format and one for all; return whether the budget is kept."""
    for form in (*FORMATS, "all"):
        rows = [row for row in scrapes if form in {row.form, "all"}]
        figures = [
            find_percentile(values, share)
            for values in (
                [row.delay_ms for row in rows],
                [row.longest_ms for row in rows],
                [row.timing.length * 1e3 for row in rows],
            )
            for share in (0.5, 0.99)
        ]
        print(f"{load:10} {rate:7.0f} {form:18} {len(rows):5}" + "".join(f"{figure:9.2f}" for figure in figures))
    return find_percentile([row.delay_ms for row in scrapes], 0.99) <= DELAY_BUDGET_MS


async def measure_series(service: Service) -> None:
    """Print the CPU time of a scrape, and how much a histogram series adds to it."""
    few, samples = await service.count_series()
    costs = {form: await service.scrape_cpu_s(form) for form in FORMATS}
    await service.mint()
    many, _ = await service.count_series()
    print(f"\nCPU of a scrape, {few} histogram series and {samples} samples; of a series more, by {many - few} more")
    for form, cost in costs.items():
        more = (await service.scrape_cpu_s(form) - cost) / (many - few)
        print(f"{form:18} {cost * 1e3:6.1f} ms {more * 1e6:8.0f} us")


async def run(port: int, process_id: int, count: int) -> bool:
    """Measure everything; return whether the budget is kept."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        service = Service(psutil.Process(process_id), port, session)
        path = await service.use()
        print("delays and times in ms       ", " ".join(f"{name:>17}" for name in ("delay", "request", "scrape")))
        print(f"{'load':10} {'per s':>7} {'format':18} {'n':>5}" + f"{'p50':>9}{'p99':>9}" * 3)
        verdicts = []
        for load, is_saturating in (("constant", False), ("saturating", True)):
            scrapes, rate = await measure(service, path, count, is_saturating=is_saturating)
            verdicts.append(report(load, rate, scrapes))
        await measure_series(service)
    is_kept = all(verdicts)
    print(f"budget: {DELAY_BUDGET_MS:g} ms at p99 of all scrapes: {'kept' if is_kept else 'NOT KEPT'}")
    return is_kept


@contextmanager
def run_service(folder: Path) -> Iterator[tuple[int, int]]:
    """Run the service on the first processor; yield its port and process id."""
    settings = {
        "DEVOPS_API_PORT": "0",
        "DEVOPS_API_LOG_FORMAT": "json",
        "DEVOPS_API_DATABASE_URL": f"sqlite:///{folder}/items.db",
    }
    command = ["taskset", "-c", "0", sys.executable, "-m", "devops_api", "serve"]
    log_path = folder / "log"
    with log_path.open("wb") as log, subprocess.Popen(command, stdout=log, env=os.environ | settings) as process:
        try:
            yield read_port(log_path), process.pid
        finally:
            process.terminate()


def read_port(log_path: Path) -> int:
    """Read the port from the log, once the service listens."""
    for _ in range(100):
        for line in log_path.read_text().splitlines():
            if '"started"' in line:
                return int(json.loads(line)["ports"][0])
        time.sleep(0.1)
    raise SystemExit("the service did not start")


def main() -> None:
    """Measure under both loads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scrapes", type=int, default=120, help="under each load")
    arguments = parser.parse_args()
    if not shutil.which("taskset"):
        raise SystemExit("benchmarks/scrape.py needs taskset (on Debian: apt install util-linux)")
    with tempfile.TemporaryDirectory() as name, run_service(Path(name)) as (port, process_id):
        os.sched_setaffinity(0, {1})
        is_kept = uvloop.run(run(port, process_id, arguments.scrapes))
    if not is_kept:
        sys.exit(1)


if __name__ == "__main__":
    main()
