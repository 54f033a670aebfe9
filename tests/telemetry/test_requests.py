"""Error ratios depend on it: every request is counted once, under its route and status."""

import asyncio
import io
import json
from collections import Counter
from collections.abc import Callable
from time import monotonic

import aiohttp
from conftest import Running, StartService
from connections import connect, exchange
from samples import ITEM
from scrapes import Scrape, scrape

STATUS = ("http_request_method", "http_route", "http_response_status_code")


async def settle(client: aiohttp.ClientSession, is_there: Callable[[Scrape], bool]) -> Scrape:
    """Scrape until the condition holds: a broken connection is noticed a moment later."""
    deadline = monotonic() + 5
    found = await scrape(client)
    while not is_there(found) and monotonic() < deadline:
        await asyncio.sleep(0.02)
        found = await scrape(client)
    assert is_there(found), found.count_by(*STATUS, "error_type")
    return found


async def test_every_response_is_counted_once_under_its_route_and_status(running: Running) -> None:
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


async def test_body_sizes_are_measured_by_route_and_method(running: Running) -> None:
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


async def test_rejected_import_lines_are_counted_by_reason(running: Running) -> None:
    lines = b'{"name": "a", "price": 1, "sku": "S"}\n' * 3 + b'{"name": "", "price": 1}\n'
    headers = {"Content-Type": "application/x-ndjson"}
    async with running.client.post("/items/import", data=lines, headers=headers) as reply:
        assert (await reply.json())["rejected"] == 3
    found = await scrape(running.client)
    assert found.sum("items_rejected_total", reason="conflict") == 2
    assert found.sum("items_rejected_total", reason="invalid") == 1


async def test_requests_that_the_parser_refuses_are_counted_under_the_fixed_route(running: Running) -> None:
    for data in (b"NO REQUEST\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nBad Header: 1\r\n\r\n"):
        assert b" 400 Bad Request\r\n" in await exchange(running.url, data)
    found = await scrape(running.client)
    assert found.count_by(*STATUS) == {("_OTHER", "/{unmatched}", "400"): 3}


async def test_each_request_of_a_connection_is_counted_pipelined_or_not(running: Running) -> None:
    get = b"GET /items HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /items/none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert (await exchange(running.url, get * 5 + last)).count(b"HTTP/1.1 ") == 6
    async with aiohttp.ClientSession(running.url, connector=aiohttp.TCPConnector(limit=1)) as client:
        for _ in range(4):
            async with client.get("/items") as reply:
                assert reply.status == 200
    assert (await scrape(running.client)).count_by(*STATUS) == {
        ("GET", "/items", "200"): 9,
        ("GET", "/items/{id}", "404"): 1,
    }


async def test_the_protocol_version_is_a_label(running: Running) -> None:
    assert b" 200 " in await exchange(running.url, b"GET /items HTTP/1.0\r\n\r\n")
    found = await scrape(running.client)
    assert found.count_by("network_protocol_version") == {("1.0",): 1}


async def test_shed_requests_are_counted_as_failures(start_service: StartService) -> None:
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


async def test_a_client_that_disconnects_during_an_export_is_counted_as_499(running: Running) -> None:
    batch = [{"name": "x" * 200, "price": 1, "description": "y" * 2_000}] * 400
    for _ in range(10):
        async with running.client.post("/items/batch", json=batch) as reply:
            assert reply.status == 201
    async with connect(running.url) as (reader, writer):
        writer.write(b"GET /items/export HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readexactly(1_000)
        writer.transport.abort()
    found = await settle(running.client, lambda found: found.count_requests(http_route="/items/export") == 1)
    assert found.count_requests(http_route="/items/export", http_response_status_code="499", error_type="") == 1
