"""Statuses, headers and bodies are the contract with clients: real requests to a real service check them."""

import asyncio
import io
from typing import Any

import aiohttp
import orjson
import pytest
from conftest import Running, StartService
from samples import JSON, LAMP
from yarl import URL

from devops_api.settings.tokens import Token, Tokens, create_token


async def create(client: aiohttp.ClientSession, **fields: Any) -> dict[str, Any]:
    async with client.post("/items", json=LAMP | fields) as reply:
        assert reply.status == 201
        item: dict[str, Any] = await reply.json()
        return item


async def read_problem(reply: aiohttp.ClientResponse) -> dict[str, Any]:
    """Return the problem document of a response, after checking it against the response."""
    problem: dict[str, Any] = await reply.json()
    assert reply.content_type == "application/problem+json"
    assert (problem["status"], problem["instance"]) == (reply.status, reply.url.path)
    assert problem["request_id"] == reply.headers["X-Request-ID"]
    return problem


async def test_item_can_be_created_read_and_deleted(client: aiohttp.ClientSession) -> None:
    async with client.post("/items", json=LAMP) as reply:
        item = await reply.json()
        assert (reply.status, reply.headers["ETag"], reply.content_type) == (201, '"1"', "application/json")
        location = reply.headers["Location"]
    assert location == f"/items/{item['id']}"
    assert {name: item[name] for name in LAMP} == LAMP
    assert (item["version"], item["created_at"]) == (1, item["updated_at"])
    async with client.get(location) as reply:
        assert await reply.json() == item
    async with client.delete(location) as reply:
        assert (reply.status, await reply.read()) == (204, b"")
    for method in ("GET", "DELETE", "HEAD"):
        async with client.request(method, location) as reply:
            assert reply.status == 404


async def test_replacement_resets_every_omitted_field(client: aiohttp.ClientSession) -> None:
    item = await create(client)
    async with client.put(f"/items/{item['id']}", json={"name": "Other", "price": 1}) as reply:
        new = await reply.json()
        assert (reply.status, reply.headers["ETag"]) == (200, '"2"')
    assert new == item | {
        "name": "Other",
        "price": 1,
        "sku": None,
        "description": None,
        "tags": [],
        "version": 2,
        "updated_at": new["updated_at"],
    }


@pytest.mark.parametrize("media_type", ["application/merge-patch+json", "application/json"])
async def test_patch_changes_named_fields_and_null_removes(client: aiohttp.ClientSession, media_type: str) -> None:
    item = await create(client)
    body = b'{"price": 9.99, "description": null, "tags": null}'
    async with client.patch(f"/items/{item['id']}", data=body, headers={"Content-Type": media_type}) as reply:
        new = await reply.json()
    assert new == item | {
        "price": 9.99,
        "description": None,
        "tags": [],
        "version": 2,
        "updated_at": new["updated_at"],
    }


async def test_put_never_creates_an_item(running: Running) -> None:
    for item_id in ("019b7d2c-5e4e-7000-8a6b-3c5d7e9f1a2b", "x", "%00", "batch2", "a%2Fb"):
        url = URL(f"{running.url}/items/{item_id}", encoded=True)
        async with running.client.put(url, json=LAMP) as reply:
            assert reply.status == 404


async def test_unchanged_item_is_not_sent_again(client: aiohttp.ClientSession) -> None:
    location = f"/items/{(await create(client))['id']}"
    for header, status in (('"1"', 304), ('W/"1"', 304), ("*", 304), ('"2"', 200)):
        async with client.get(location, headers={"If-None-Match": header}) as reply:
            assert (reply.status, reply.headers["ETag"]) == (status, '"1"')


@pytest.mark.parametrize(("method", "body"), [("PUT", LAMP), ("PATCH", {"price": 1}), ("DELETE", None)])
async def test_change_of_an_outdated_version_is_rejected(
    client: aiohttp.ClientSession, method: str, body: dict[str, Any] | None
) -> None:
    location = f"/items/{(await create(client))['id']}"
    for header, status in (('"2"', 412), ('W/"1"', 412), ('"x"', 412), ("1", 400)):
        async with client.request(method, location, json=body, headers={"If-Match": header}) as reply:
            assert reply.status == status
            await read_problem(reply)
    async with client.request(method, location, json=body, headers={"If-Match": '"7", "1"'}) as reply:
        assert reply.status in {200, 204}


async def test_sku_belongs_to_one_item(client: aiohttp.ClientSession) -> None:
    await create(client)
    other = await create(client, sku="LAMP-2")
    location = f"/items/{other['id']}"
    for method, path in (("POST", "/items"), ("PUT", location), ("PATCH", location)):
        async with client.request(method, path, json=LAMP) as reply:
            assert (reply.status, (await read_problem(reply))["errors"][0]["pointer"]) == (409, "/sku")
    async with client.put(location, json=LAMP | {"sku": "LAMP-2", "price": 5}) as reply:
        assert reply.status == 200


@pytest.mark.parametrize(
    ("body", "status", "pointers"),
    [
        (b"", 400, None),
        (b'{"name": "a", "price": NaN}', 400, None),
        (b'{"name": "a", "price": 1} x', 400, None),
        (b"[]", 422, [""]),
        (b"null", 422, [""]),
        (b"{}", 422, ["/name", "/price"]),
        (b'{"name": 1, "price": "1", "sku": [], "description": 2, "tags": {}, "x": 1}', 422, 6),
        (b'{"name": "a", "price": 1, "tags": ["ok", "No", 3, "ok"]}', 422, ["/tags/1", "/tags/2", "/tags/3"]),
        (b'{"name": "a", "price": -0.01, "id": "x"}', 422, ["/price", "/id"]),
    ],
)
async def test_every_error_of_a_body_has_a_pointer(
    client: aiohttp.ClientSession, body: bytes, status: int, pointers: list[str] | int | None
) -> None:
    async with client.post("/items", data=body, headers=JSON) as reply:
        problem = await read_problem(reply)
        assert reply.status == status
    found = [error["pointer"] for error in problem.get("errors", [])]
    assert (len(found) if isinstance(pointers, int) else found or None) == pointers


async def test_invalid_patch_changes_nothing(client: aiohttp.ClientSession) -> None:
    item = await create(client)
    for body in ({"name": None}, {"price": None, "sku": "new"}, {"price": 1, "version": 7}, [], {"tags": [None]}):
        async with client.patch(f"/items/{item['id']}", json=body) as reply:
            assert reply.status == 422
    async with client.get(f"/items/{item['id']}") as reply:
        assert await reply.json() == item


@pytest.mark.parametrize(
    ("method", "path", "headers", "accept"),
    [
        ("POST", "/items", {"Content-Type": "text/plain"}, {"Accept": "application/json"}),
        ("POST", "/items", {"Content-Type": "application/merge-patch+json"}, {"Accept": "application/json"}),
        ("PUT", "/items/x", {"Content-Type": "application/xml"}, {"Accept": "application/json"}),
        (
            *("PATCH", "/items/x", {"Content-Type": "application/json-patch+json"}),
            {"Accept-Patch": "application/merge-patch+json, application/json"},
        ),
        ("POST", "/items/batch", {"Content-Type": "application/x-ndjson"}, {"Accept": "application/json"}),
        ("POST", "/items/import", {"Content-Type": "application/json"}, {"Accept": "application/x-ndjson, text/csv"}),
        ("POST", "/items", JSON | {"Content-Encoding": "gzip"}, {"Accept-Encoding": "identity"}),
    ],
)
async def test_unsupported_media_type_is_rejected_with_the_supported_ones(
    client: aiohttp.ClientSession, method: str, path: str, headers: dict[str, str], accept: dict[str, str]
) -> None:
    async with client.request(method, path, data=b"{}", headers=headers) as reply:
        assert (reply.status, await read_problem(reply) is not None) == (415, True)
        assert accept.items() <= dict(reply.headers).items()


async def test_too_long_body_is_rejected_and_a_batch_may_be_longer(start_service: StartService) -> None:
    client = (await start_service(max_body_bytes=2048)).client
    long = LAMP | {"description": "x" * 2000}
    async with client.post("/items", json=long) as reply:
        assert (reply.status, (await read_problem(reply))["title"]) == (413, "Content too large")
    batch = orjson.dumps([long | {"sku": f"s{number}"} for number in range(1000)])
    async with client.post("/items/batch", data=io.BytesIO(batch), headers=JSON) as reply:
        assert reply.status == 201
    async with client.post("/items/batch", data=io.BytesIO(b" " * (4 * 1024 * 1024 + 1)), headers=JSON) as reply:
        assert reply.status == 413


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/items", "GET, POST, HEAD, OPTIONS"),
        ("/items/x", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        ("/items/batch", "POST, OPTIONS"),
        ("/items/import", "POST, OPTIONS"),
        ("/items/export", "GET, HEAD, OPTIONS"),
        ("/health", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
async def test_path_lists_its_methods(client: aiohttp.ClientSession, path: str, allowed: str) -> None:
    async with client.options(path) as reply:
        assert (reply.status, reply.headers["Allow"]) == (204, allowed)
    for method in ("TRACE", "PROPFIND", *({"GET", "POST", "PUT", "DELETE"} - set(allowed.split(", ")))):
        async with client.request(method, path) as reply:
            assert (reply.status, reply.headers["Allow"]) == (405, allowed)
            await read_problem(reply)


async def test_unknown_path_is_a_problem(client: aiohttp.ClientSession) -> None:
    for path in ("/", "/item", "/items/", "/items/x/y", "/favicon.ico"):
        async with client.get(path) as reply:
            assert (reply.status, (await read_problem(reply))["type"]) == (404, "/docs#not-found")


@pytest.mark.parametrize("request_id", ["a", "0af7651916cd43dd8448eb211c80319c", "x" * 128, "a/b:c=~!"])
async def test_valid_request_id_is_kept(running: Running, request_id: str) -> None:
    async with running.client.get("/items/none", headers={"X-Request-ID": request_id}) as reply:
        assert reply.headers["X-Request-ID"] == (await read_problem(reply))["request_id"] == request_id


@pytest.mark.parametrize("request_id", ["", " ", "x" * 129, "a b", "\xe4", "a\tb"])
async def test_unsafe_request_id_is_replaced(client: aiohttp.ClientSession, request_id: str) -> None:
    async with client.get("/livez", headers={"X-Request-ID": request_id}) as first, client.get("/livez") as second:
        ids = {first.headers["X-Request-ID"], second.headers["X-Request-ID"]}
    assert len(ids - {request_id.strip()}) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "\xe4", "a\tb"])
async def test_invalid_idempotency_key_is_rejected(client: aiohttp.ClientSession, key: str) -> None:
    async with client.post("/items", json=LAMP, headers={"Idempotency-Key": key}) as reply:
        assert reply.status == 400
    async with client.get("/items") as reply:
        assert (await reply.json())["items"] == []


async def test_link_of_a_page_leads_to_the_next(client: aiohttp.ClientSession) -> None:
    for number in range(5):
        await create(client, sku=None, name=f"lamp {number} & co", price=number)
    url: str | URL = "/items?limit=2&sort=price&q=lamp+%26+co&tag=home"
    seen = []
    while url:
        async with client.get(url) as reply:
            page = await reply.json()
            seen += [item["price"] for item in page["items"]]
            assert ("next" in reply.links) == (page["next"] is not None)
            url = reply.links["next"]["url"] if reply.links else ""
    assert seen == [0, 1, 2, 3, 4]


async def test_items_must_match_every_filter(client: aiohttp.ClientSession) -> None:
    for number in range(10):
        tags = [name for name, step in (("even", 2), ("third", 3)) if number % step == 0]
        await create(client, sku=f"s{number}", name=f"Lamp {number}", price=number, tags=tags)
    query = "tag=even&tag=third&min_price=1&max_price=9&q=LAMP&count=exact"
    async with client.get(f"/items?{query}") as reply:
        page = await reply.json()
    assert ([item["sku"] for item in page["items"]], page["total"]) == (["s6"], 1)
    async with client.get("/items?sku=s3&sort=name") as reply:
        assert [item["name"] for item in (await reply.json())["items"]] == ["Lamp 3"]


async def test_every_invalid_parameter_is_reported(client: aiohttp.ClientSession) -> None:
    async with client.get("/items?limit=0&sort=x&colour=red&cursor=zzz&q=a&q=b") as reply:
        problem = await read_problem(reply)
    assert reply.status == 422
    assert [error["parameter"] for error in problem["errors"]] == ["limit", "sort", "colour", "q"]


async def test_scope_of_the_token_decides_what_is_allowed(start_service: StartService) -> None:
    made = {scope: create_token(f"{scope}er", scope) for scope in ("read", "write")}  # type: ignore[arg-type]
    tokens = Tokens(
        [Token(f"{scope}er", scope, bytes.fromhex(line.split()[2])) for scope, (_, line) in made.items()]  # type: ignore[arg-type]
    )
    client = (await start_service(tokens_file=tokens)).client
    calls = [("GET", "/items", "read"), ("GET", "/items/x", "read"), ("GET", "/items/export", "read")]
    calls += [("POST", "/items", "write"), ("POST", "/items/batch", "write"), ("POST", "/items/import", "write")]
    calls += [(method, "/items/x", "write") for method in ("PUT", "PATCH", "DELETE")]
    for method, path, scope in calls:
        for header in (None, "Bearer wrong", "Basic eDp5", made["read"][0]):
            headers = {} if header is None else {"Authorization": header}
            async with client.request(method, path, headers=headers) as reply:
                assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, 'Bearer realm="items"')
                await read_problem(reply)
        for holder, (token, _) in made.items():
            async with client.request(method, path, headers={"Authorization": f"Bearer {token}"}) as reply:
                assert (reply.status == 403) == (holder == "read" and scope == "write")
    for path in ("/health", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json"):
        async with client.get(path) as reply:
            assert reply.status == 200
    async with client.options("/items") as reply:
        assert reply.status == 204


async def test_idempotency_key_is_separate_for_each_token(start_service: StartService) -> None:
    made = [create_token(name, "write") for name in ("a", "b")]
    tokens = Tokens([Token(line.split()[0], "write", bytes.fromhex(line.split()[2])) for _, line in made])
    client = (await start_service(tokens_file=tokens)).client
    ids = set()
    for token, _ in made * 2:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "same"}
        async with client.post("/items", json={"name": "a", "price": 1}, headers=headers) as reply:
            ids.add((await reply.json())["id"])
    assert len(ids) == 2


async def test_shed_request_gets_retry_after_and_probes_are_never_shed(start_service: StartService) -> None:
    running = await start_service(max_in_flight=1, faults=True)
    async with running.client.put("/faults", json={"latency_ms": 400, "route": "/items"}) as reply:
        assert reply.status == 200

    async def ask(path: str) -> tuple[int, str | None]:
        async with running.client.get(path) as reply:
            return reply.status, reply.headers.get("Retry-After")

    replies = await asyncio.gather(*(ask("/items") for _ in range(5)), ask("/health"), ask("/metrics"), ask("/docs"))
    assert sorted(replies[:5]) == [(200, None), *[(503, "1")] * 4]
    assert replies[5:] == [(200, None)] * 3
    assert await ask("/items") == (200, None)
