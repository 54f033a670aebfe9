"""An error ratio is worth what is counted: every request once, under its route and status, whatever became of it."""

import asyncio
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from time import monotonic, sleep

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from conftest import Running, StartService
from scrapes import DURATION, OPENMETRICS, UNHEARD, Scrape, scrape

from devops_api.http.admission import Admission
from devops_api.http.server import Runner
from devops_api.http.wrapper import HandlerWrapper
from devops_api.items.settings import Settings
from devops_api.logs.writer import open_logs
from devops_api.telemetry.catalogue import HTTP_METHODS, REQUEST_ERRORS
from devops_api.telemetry.pipeline import Telemetry, create_telemetry

ITEM = {"name": "Test", "price": 9.99}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
STATUS = ("http_request_method", "http_route", "http_response_status_code")


async def settle(client: aiohttp.ClientSession, is_there: Callable[[Scrape], bool]) -> Scrape:
    """Scrape until it shows what a broken connection takes a moment to lead to."""
    deadline = monotonic() + 5
    found = await scrape(client)
    while not is_there(found) and monotonic() < deadline:
        await asyncio.sleep(0.02)
        found = await scrape(client)
    assert is_there(found), found.count_by(*STATUS, "error_type")
    return found


async def send_raw(running: Running, data: bytes) -> bytes:
    """Send these bytes on a connection of their own, and read until the service closes it."""
    host, port = running.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


# What the service itself answers


async def test_every_kind_of_answer_is_counted_once_under_its_route_and_status(running: Running) -> None:
    client = running.client
    async with client.post("/items", json=ITEM) as reply:
        item, etag = await reply.json(), reply.headers["ETag"]
    path = f"/items/{item['id']}"
    for method, where, expected, options in (
        ("GET", path, 200, {}),
        ("HEAD", path, 200, {}),
        ("GET", path, 304, {"headers": {"If-None-Match": etag}}),
        ("GET", "/items/none", 404, {}),
        ("GET", "/nowhere", 404, {}),
        ("DELETE", "/items", 405, {}),
        ("OPTIONS", "/items", 204, {}),
        (
            "POST",
            "/items",
            413,
            {"data": io.BytesIO(b" " * 1_100_000), "headers": {"Content-Type": "application/json"}},
        ),
        ("POST", "/items", 422, {"json": {}}),
        ("POST", "/items", 415, {"data": b"x"}),
        ("PUT", path, 412, {"json": ITEM, "headers": {"If-Match": '"99"'}}),
        ("POST", "/items/batch", 201, {"json": [ITEM]}),
        ("GET", "/items/export", 200, {}),
        ("PROPFIND", "/items", 405, {}),
        ("PROPFIND", "/nowhere", 404, {}),
    ):
        async with client.request(method, where, **options) as reply:
            await reply.read()
            assert reply.status == expected, (method, where)
    assert (await scrape(client)).count_by(*STATUS) == {
        ("POST", "/items", "201"): 1,
        ("GET", "/items/{id}", "200"): 1,
        ("HEAD", "/items/{id}", "200"): 1,
        ("GET", "/items/{id}", "304"): 1,
        ("GET", "/items/{id}", "404"): 1,
        ("GET", "/{unmatched}", "404"): 1,
        ("DELETE", "/items", "405"): 1,
        ("OPTIONS", "/items", "204"): 1,
        ("POST", "/items", "413"): 1,
        ("POST", "/items", "422"): 1,
        ("POST", "/items", "415"): 1,
        ("PUT", "/items/{id}", "412"): 1,
        ("POST", "/items/batch", "201"): 1,
        ("GET", "/items/export", "200"): 1,
        ("_OTHER", "/items", "405"): 1,
        ("_OTHER", "/{unmatched}", "404"): 1,
    }


async def test_bodies_are_measured_by_route_and_method_in_both_directions(running: Running) -> None:
    client = running.client
    body = json.dumps(ITEM).encode()
    sizes = Counter[tuple[str, str]]()
    for method, path, data in (
        ("POST", "/items", body),
        ("POST", "/items", b"[" + b" " * 5_000),
        ("GET", "/items", None),
        ("HEAD", "/items", None),
        ("GET", "/nowhere", None),
    ):
        headers = {"Content-Type": "application/json"} if data else {}
        async with client.request(method, path, data=data, headers=headers) as reply:
            sizes[method, path] += len(await reply.read())
    async with client.get("/items/export") as reply:
        exported = len(await reply.read())
    found = await scrape(client)
    sent, received = (f"http_server_{name}_body_size_bytes" for name in ("response", "request"))
    for (method, path), size in sizes.items():
        route = "/{unmatched}" if path == "/nowhere" else path
        assert found.sum(f"{sent}_sum", http_request_method=method, http_route=route) == size
    assert found.sum(f"{received}_sum", http_route="/items") == len(body) + 5_001
    assert found.sum(f"{received}_count", http_route="/items") == 2
    assert exported < found.sum(f"{sent}_sum", http_route="/items/export") < exported + 500
    assert not list(found.find(f"{sent}_sum", http_request_method="HEAD"))


async def test_lines_that_an_import_refuses_are_counted_by_what_is_wrong_with_them(running: Running) -> None:
    lines = b'{"name": "a", "price": 1, "sku": "S"}\n' * 3 + b'{"name": "", "price": 1}\n'
    headers = {"Content-Type": "application/x-ndjson"}
    async with running.client.post("/items/import", data=lines, headers=headers) as reply:
        assert (await reply.json())["rejected"] == 3
    found = await scrape(running.client)
    assert found.sum("items_rejected_total", reason="conflict") == 2
    assert found.sum("items_rejected_total", reason="invalid") == 1


async def test_what_the_parser_refuses_is_counted_under_the_fixed_route(running: Running) -> None:
    for data in (b"NO REQUEST\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nBad Header: 1\r\n\r\n"):
        assert b" 400 Bad Request\r\n" in await send_raw(running, data)
    found = await scrape(running.client)
    assert found.count_by(*STATUS) == {("_OTHER", "/{unmatched}", "400"): 3}


async def test_requests_on_one_connection_are_counted_each_pipelined_or_not(running: Running) -> None:
    get = b"GET /items HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /items/none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert (await send_raw(running, get * 5 + last)).count(b"HTTP/1.1 ") == 6
    async with aiohttp.ClientSession(running.url, connector=aiohttp.TCPConnector(limit=1)) as client:
        for _ in range(4):
            async with client.get("/items") as reply:
                assert reply.status == 200
    assert (await scrape(running.client)).count_by(*STATUS) == {
        ("GET", "/items", "200"): 9,
        ("GET", "/items/{id}", "404"): 1,
    }


async def test_the_protocol_version_is_told_apart(running: Running) -> None:
    assert b" 200 " in await send_raw(running, b"GET /items HTTP/1.0\r\n\r\n")
    found = await scrape(running.client)
    assert found.count_by("network_protocol_version") == {("1.0",): 1}


async def test_shed_requests_fail_and_are_counted(start_service: StartService) -> None:
    running = await start_service(max_in_flight=1, faults=True)
    async with running.client.put("/faults", json={"latency_ms": 300}) as reply:
        assert reply.status == 200

    async def ask() -> int:
        async with running.client.get("/items") as reply:
            return reply.status

    statuses = Counter(await asyncio.gather(*(ask() for _ in range(10))))
    assert statuses == {200: 1, 503: 9}
    found = await scrape(running.client)
    assert found.count_requests(error_type="OverloadedError", http_response_status_code="503") == 9
    assert found.sum("items_requests_shed_total") == 9


async def test_a_client_that_leaves_an_export_half_way_is_counted_as_499(running: Running) -> None:
    batch = [{"name": "x" * 200, "price": 1, "description": "y" * 2_000}] * 400
    for _ in range(10):
        async with running.client.post("/items/batch", json=batch) as reply:
            assert reply.status == 201
    host, port = running.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /items/export HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.readexactly(1_000)
    writer.transport.abort()
    found = await settle(running.client, lambda found: found.count_requests(http_route="/items/export") == 1)
    assert found.count_requests(http_route="/items/export", http_response_status_code="499", error_type="") == 1


# What only a handler of a test does


class Bench:
    """Handlers within the real endpoint, admission, telemetry and server."""

    def __init__(self, telemetry: Telemetry, client: aiohttp.ClientSession, log: Callable[[], list[str]]) -> None:
        self.telemetry = telemetry
        self.client = client
        self.read_log = log

    async def scrape(self) -> Scrape:
        """What is measured so far."""
        return Scrape((await self.telemetry.render(OPENMETRICS, "")).body.decode())


StartBench = Callable[..., Awaitable[Bench]]


@pytest_asyncio.fixture
async def start_bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StartBench]:
    undo: list[Callable[[], Awaitable[object]]] = []

    async def start(handler: Callable[[web.Request], Awaitable[web.StreamResponse]], **environment: str) -> Bench:
        log_path = tmp_path_factory.mktemp("bench") / "log"
        log_file = log_path.open("wb", buffering=0)
        logs = open_logs("debug", "json", log_file.fileno())
        telemetry = create_telemetry(Settings(), environment, logs)
        admission = Admission(limit=100, timeout_s=0.5)
        endpoint = HandlerWrapper(
            admission=admission,
            telemetry=telemetry,
            logs=logs,
            tokens=None,
            slow_request_s=60,
            logs_every_request=False,
        )
        app = web.Application()
        app.router.add_get("/{name}", endpoint.bind("/{name}", handler))
        runner = Runner(app, on_refusal=lambda _: None, header_timeout_s=5)
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

        undo.append(stop)
        return Bench(telemetry, client, lambda: log_path.read_text().splitlines())

    yield start
    for stop in undo:
        await stop()


async def test_a_hundred_crashes_are_a_hundred_failures_of_closed_types(start_bench: StartBench) -> None:
    crashes = [KeyError, ZeroDivisionError, RuntimeError, type("Minted", (Exception,), {})]

    async def crash(request: web.Request) -> web.StreamResponse:
        raise crashes[int(request.match_info["name"]) % len(crashes)]

    bench = await start_bench(crash, OTEL_TRACES_SAMPLER_ARG="0.5")
    for number in range(100):
        async with bench.client.get(f"/{number}") as reply:
            assert reply.status == 500
    found = await bench.scrape()
    assert found.count_by("http_response_status_code", "error_type") == {("500", "_OTHER"): 100}


async def test_a_request_that_takes_too_long_is_counted_as_504(start_bench: StartBench) -> None:
    async def sleep(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    bench = await start_bench(sleep)
    async with bench.client.get("/a") as reply:
        assert reply.status == 504
    found = await bench.scrape()
    assert found.count_by("http_response_status_code", "error_type") == {("504", "TimedOutError"): 1}
    assert 0.5 <= found.sum(f"{DURATION}_sum") < 2


@pytest.mark.parametrize("headers", [{}, {"traceparent": PARENT}])
async def test_a_request_whose_client_leaves_is_counted_as_499(
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


async def test_a_streamed_reply_is_counted_once_with_its_whole_time(start_bench: StartBench) -> None:
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
        raise RuntimeError("half way")

    bench = await start_bench(stream)
    with pytest.raises(aiohttp.ClientPayloadError):
        async with bench.client.get("/a") as reply:
            await reply.read()
    found = await bench.scrape()
    assert found.count_by("http_response_status_code", "error_type") == {("500", "_OTHER"): 1}


async def test_what_handlers_raise_for_aiohttp_to_answer_is_counted(start_bench: StartBench) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        raise web.HTTPBadGateway if request.query else web.HTTPGone

    bench = await start_bench(answer)
    for query in ("", "", "?x=1"):
        async with bench.client.get(f"/here{query}") as reply:
            assert reply.status == (502 if query else 410)
    found = await bench.scrape()
    assert found.count_by("http_response_status_code", "error_type") == {("410", ""): 2, ("502", "_OTHER"): 1}


async def test_attributes_outside_of_their_sets_become_other(start_bench: StartBench) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response()

    recorder = (await start_bench(answer)).telemetry.bind_route("/here")
    for number in range(50):
        recorder.record_unanswered(f"M{number}", 200, 0.1, f"Error{number}", None, number)
    assert len(recorder._recorders) <= 2
    series = [duration.attributes for duration, *_ in recorder._recorders.values()]
    (found,) = [attributes for attributes in series if attributes["network.protocol.version"] == "1.1"]
    assert found["http.request.method"] == HTTP_METHODS[-1]
    assert found["error.type"] == REQUEST_ERRORS[-1]


async def test_observations_fall_into_the_bucket_that_ends_at_them(start_bench: StartBench) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response()

    bench = await start_bench(answer)
    recorder = bench.telemetry.bind_route("/here")
    for duration_s in (0.0, 0.005, 0.0051, 10.0, 10.1):
        recorder.record_unanswered("GET", 200, duration_s)
    found = await bench.scrape()
    buckets = {sample.labels["le"]: sample.value for sample in found.find(f"{DURATION}_bucket", http_route="/here")}
    assert (buckets["0.005"], buckets["0.01"], buckets["10.0"], buckets["+Inf"]) == (2, 3, 4, 5)
    assert found.sum(f"{DURATION}_sum", http_route="/here") == pytest.approx(20.1101)


# Exemplars, the cap, traces in the log


async def test_only_sampled_requests_leave_exemplars_and_only_in_openmetrics(start_service: StartService) -> None:
    running = await start_service({"OTEL_TRACES_SAMPLER": "parentbased_always_off"})
    async with running.client.get("/items"), running.client.get("/items/none", headers={"traceparent": PARENT}):
        pass
    found = await scrape(running.client)
    marked = [sample for sample in found.find(f"{DURATION}_bucket") if sample.exemplar]
    assert [sample.labels["http_route"] for sample in marked] == ["/items/{id}"]
    exemplar = marked[0].exemplar
    assert exemplar.labels["trace_id"] == TRACE
    assert len(exemplar.labels["span_id"]) == 16
    assert exemplar.timestamp is not None
    assert 0 < exemplar.value <= float(marked[0].labels["le"])
    async with running.client.get("/metrics", headers={"Accept": "text/plain"}) as reply:
        assert TRACE not in await reply.text()


async def test_forced_samples_beyond_the_cap_are_counted(start_service: StartService) -> None:
    running = await start_service(forced_samples_per_s=0)
    for _ in range(5):
        async with running.client.get("/items", headers={"traceparent": PARENT}) as reply:
            assert reply.status == 200
    found = await scrape(running.client)
    assert found.sum("telemetry_sample_capped_total") == 5
    assert not [sample for sample in found.find(f"{DURATION}_bucket") if sample.exemplar]


@pytest.mark.parametrize("host", ["]", "[::1", "a:b:c", "a:99999999", "a b", ""])
@pytest.mark.parametrize("environment", [{}, UNHEARD], ids=["ids alone", "spans"])
async def test_a_host_that_is_none_is_answered_alike_sampled_or_not(
    start_service: StartService, environment: dict[str, str], host: str
) -> None:
    running = await start_service(environment)
    answers = []
    for flags in ("00", "01"):
        traceparent = PARENT[:-2] + flags
        request = f"GET /items/none HTTP/1.1\r\nHost: {host}\r\ntraceparent: {traceparent}\r\nConnection: close\r\n\r\n"
        answers.append((await send_raw(running, request.encode())).split(b"\r\n")[0])
    assert answers[0] == answers[1]
    assert answers[0].startswith(b"HTTP/1.1 4")
    found = await scrape(running.client)
    assert found.count_requests(http_response_status_code="404") in {0, 2}
    exemplars = [sample.exemplar.labels for sample in found.find(f"{DURATION}_bucket") if sample.exemplar]
    assert {labels["trace_id"] for labels in exemplars} <= {TRACE}
    assert not [labels for labels in exemplars if labels["span_id"] == "0" * 16]


@pytest.mark.parametrize("environment", [{}, UNHEARD], ids=["ids alone", "spans"])
async def test_log_lines_carry_the_trace_of_the_caller_sampled_or_not(
    start_service: StartService, environment: dict[str, str]
) -> None:
    running = await start_service(environment)
    for flags in ("00", "01"):
        async with running.client.post("/items", json=ITEM, headers={"traceparent": PARENT[:-2] + flags}) as reply:
            assert reply.status == 201
    await asyncio.to_thread(running.service.logs.close, 1)
    lines = [json.loads(line) for line in running.read_log()]
    created = [line for line in lines if line["event"] == "item_created"]
    assert [line["trace_id"] for line in created] == [TRACE, TRACE]
    assert ["span_id" in line for line in created] == [False, True]
    assert [line["span_id"] for line in lines if line["event"] == "request"] == [created[1]["span_id"]]


async def test_turned_off_the_service_serves_and_shows_nothing(start_service: StartService) -> None:
    running = await start_service({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    headers = {"traceparent": PARENT}
    async with running.client.post("/items", json=ITEM, headers=headers) as reply:
        assert reply.status == 201
    async with running.client.get("/metrics") as reply:
        assert (reply.status, await reply.text()) == (200, "")
    await asyncio.to_thread(running.service.logs.close, 1)
    lines = [json.loads(line) for line in running.read_log()]
    assert [line["trace_id"] for line in lines if line["event"] == "item_created"] == [TRACE]
    assert not [line for line in lines if line["event"] == "library"]


async def test_a_blocked_loop_shows_in_its_delay(running: Running) -> None:
    await asyncio.sleep(0.1)
    sleep(0.3)  # noqa: ASYNC251 - the subject
    await asyncio.sleep(0.1)
    found = await scrape(running.client)
    slow = found.sum("items_event_loop_delay_seconds_count") - found.sum(
        "items_event_loop_delay_seconds_bucket", le="0.1"
    )
    assert slow >= 1
