"""For any failure of a handler, the client gets a problem or a broken connection, and the request is counted once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.typedefs import Handler
from scrapes import DURATION, OPENMETRICS, TRACEPARENT, Scrape

from devops_api.http.admission import Admission
from devops_api.http.events import EventLogger
from devops_api.http.operations import Operation, Response
from devops_api.http.routes import Route, add_routes
from devops_api.http.server import Runner
from devops_api.http.wrapper import HandlerWrapper
from devops_api.identity import Identity
from devops_api.logs.writer import open_logs
from devops_api.telemetry.pipeline import Telemetry, create_telemetry

IDENTITY = Identity("bench", "1.0", "bench", "BENCH_")
OPERATION = Operation("call", "Tests", "Call", "Calls a handler.", responses=(Response(200, "It returned."),))


class Bench:
    """A handler in the real wrapper, telemetry and server."""

    def __init__(self, telemetry: Telemetry, client: aiohttp.ClientSession) -> None:
        self.telemetry = telemetry
        self.client = client

    async def scrape(self) -> Scrape:
        """Return what was measured so far."""
        return Scrape((await self.telemetry.render(OPENMETRICS, "")).body.decode())


StartBench = Callable[..., Awaitable[Bench]]


@pytest_asyncio.fixture
async def start_bench(tmp_path: Path) -> AsyncIterator[StartBench]:
    stops: list[Callable[[], Awaitable[object]]] = []

    async def start(handler: Handler, **environment: str) -> Bench:
        log_file = (tmp_path / "log").open("wb", buffering=0)
        logs = open_logs("debug", "json", log_file.fileno())
        telemetry = create_telemetry(IDENTITY, environment, logs, forced_samples_per_s=10, flush_timeout_s=1)
        admission = Admission(limit=100, timeout_s=0.5)
        wrapper = HandlerWrapper(
            admission=admission,
            telemetry=telemetry,
            events=EventLogger(logs),
            access=None,
            slow_request_s=60,
            logs_every_request=False,
        )
        app = web.Application()
        add_routes(app.router, wrapper, [Route("GET", "/{name}", None, handler, OPERATION)])
        runner = Runner(app, on_parse_error=lambda _: None, header_timeout_s=5, send_timeout_s=5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        client = aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}")
        sweeping = asyncio.create_task(admission.sweep())

        async def stop() -> None:
            await client.close()
            sweeping.cancel()
            await runner.cleanup()
            telemetry.stop()
            await asyncio.to_thread(logs.close, 1)
            log_file.close()

        stops.append(stop)
        return Bench(telemetry, client)

    yield start
    for stop in stops:
        await stop()


async def test_crashes_are_counted_each_with_a_type_of_a_closed_set(start_bench: StartBench) -> None:
    crashes = [KeyError, ZeroDivisionError, RuntimeError, type("Minted", (Exception,), {})]

    async def crash(request: web.Request) -> web.StreamResponse:
        raise crashes[int(request.match_info["name"]) % len(crashes)]

    bench = await start_bench(crash, OTEL_TRACES_SAMPLER_ARG="0.5")
    for number in range(100):
        async with bench.client.get(f"/{number}") as reply:
            assert reply.status == 500
    found = await bench.scrape()
    assert found.count_by("http_response_status_code", "error_type") == {("500", "_OTHER"): 100}


async def test_a_request_that_exceeds_its_time_is_counted_as_504(start_bench: StartBench) -> None:
    async def sleep(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    bench = await start_bench(sleep)
    async with bench.client.get("/a") as reply:
        assert reply.status == 504
    found = await bench.scrape()
    assert found.count_by("http_response_status_code", "error_type") == {("504", "TimedOutError"): 1}
    assert 0.5 <= found.sum(f"{DURATION}_sum") < 2


@pytest.mark.parametrize("headers", [{}, {"traceparent": TRACEPARENT}])
async def test_a_request_whose_client_disconnects_is_counted_as_499(
    start_bench: StartBench, headers: dict[str, str]
) -> None:
    entered = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        entered.set()
        await asyncio.sleep(60)
        raise AssertionError

    bench = await start_bench(wait)
    asking = asyncio.create_task(bench.client.get("/a", headers=headers))
    await entered.wait()
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0.2)
    assert (await bench.scrape()).count_by("http_response_status_code", "error_type") == {("499", ""): 1}
    assert bench.telemetry.traced_in_flight == 0


async def test_a_streamed_response_is_counted_once_with_its_whole_time(start_bench: StartBench) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        for _ in range(3):
            await reply.write(b"part")
            await asyncio.sleep(0.1)
        return reply

    bench = await start_bench(stream)
    async with bench.client.get("/a") as reply:
        assert await reply.read() == b"part" * 3
    found = await bench.scrape()
    assert found.count_by("http_response_status_code") == {("200",): 1}
    assert found.sum(f"{DURATION}_sum") >= 0.3


async def test_a_stream_that_crashes_after_its_first_bytes_is_a_failure(start_bench: StartBench) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        await reply.write(b"part")
        raise RuntimeError("on purpose")

    bench = await start_bench(stream)
    with pytest.raises(aiohttp.ClientPayloadError):
        async with bench.client.get("/a") as reply:
            await reply.read()
    found = await bench.scrape()
    assert found.count_by("http_response_status_code", "error_type") == {("500", "_OTHER"): 1}


async def test_http_exceptions_of_aiohttp_are_counted_with_their_status(start_bench: StartBench) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        raise web.HTTPBadGateway if request.query else web.HTTPGone

    bench = await start_bench(answer)
    for query in ("", "", "?x=1"):
        async with bench.client.get(f"/here{query}") as reply:
            assert reply.status == (502 if query else 410)
    found = await bench.scrape()
    assert found.count_by("http_response_status_code", "error_type") == {("410", ""): 2, ("502", "_OTHER"): 1}


async def test_unusual_methods_share_one_series(start_bench: StartBench) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response()

    bench = await start_bench(answer)
    for method in ("PROPFIND", "LOCK", "SEARCH", "TRACE"):
        async with bench.client.request(method, "/a") as reply:
            assert reply.status == 405
    assert (await bench.scrape()).count_by("http_request_method", "error_type") == {("_OTHER", ""): 4}
