"""A document that is wrong costs every reader an hour: each route is described, and each example is sent as written."""

import csv
import io
import json
import re
import shutil
from asyncio.subprocess import PIPE, create_subprocess_exec
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import aiohttp
import jsonschema
import orjson
import pytest
from conftest import StartService
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from devops_api.apidocs.openapi import create_openapi
from devops_api.apidocs.page import create_command, draw_page, list_explanations, quote_command
from devops_api.apidocs.schema import FIELD_RULES
from devops_api.errors import InvalidError, ProblemError
from devops_api.http.problems import type_of
from devops_api.items.decoding import FIELDS, decode_item
from devops_api.items.examples import EXAMPLE_ID, SEED, Example
from devops_api.items.operations import Operation, list_calls
from devops_api.items.settings import Settings
from devops_api.settings.tokens import Token, Tokens, create_token

ALL_CALLS = list_calls(has_metrics=True, has_faults=True)
EXAMPLES = [(call, example) for call in ALL_CALLS for example in call.examples]
VARYING = {"created_at", "updated_at", "request_id", "duration_ms"}
OPENAPI = orjson.loads(orjson.dumps(create_openapi(ALL_CALLS, needs_token=False)))
METHODS = {"get", "head", "put", "post", "patch", "delete"}


def name_of(value: object) -> str:
    return value.name if isinstance(value, Operation | Example) else str(value)


def iterate_operations(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from ((method, operation) for method, operation in OPENAPI["paths"][path].items() if method in METHODS)


def collect_examples(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """An operation's examples by name, from the document alone: values by place, the body, the reply."""
    examples: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for parameter in operation["parameters"]:
        for name, example in parameter.get("examples", {}).items():
            examples[name].setdefault(parameter["in"], {})[parameter["name"]] = example["value"]
    for media_type, content in operation.get("requestBody", {"content": {}})["content"].items():
        for name, example in content.get("examples", {}).items():
            examples[name]["body"] = (media_type, example["value"])
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {}).items():
            for name, example in content.get("examples", {}).items():
                examples[name]["reply"] = (int(status), media_type, example["value"])
    return examples


def iterate_described() -> Iterator[Any]:
    """Every example of every operation."""
    for path in OPENAPI["paths"]:
        for method, operation in iterate_operations(path):
            for name, parts in collect_examples(operation).items():
                yield pytest.param(method.upper(), path, parts, id=f"{operation['operationId']}-{name}")


async def seed(client: aiohttp.ClientSession) -> str:
    """Store the item that the examples find; its id, since the service makes it."""
    async with client.post("/items", json=SEED) as reply:
        item_id: str = (await reply.json())["id"]
        return item_id


def mask(value: Any) -> Any:
    """A document without what differs from one service to the next: ids, times, request ids."""
    if isinstance(value, list):
        return [mask(element) for element in value]
    if isinstance(value, dict):
        return {name: "" if name in VARYING else mask(element) for name, element in value.items()}
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", value) if isinstance(value, str) else value


def read(text: str, media_type: str) -> Any:
    if media_type == "text/csv":
        return mask(list(csv.DictReader(io.StringIO(text, newline=""))))
    return mask([orjson.loads(line) for line in text.splitlines()] if "ndjson" in media_type else orjson.loads(text))


@pytest.mark.parametrize("options", [{}, {"faults": True, "metrics_port": 0}])
async def test_every_route_is_described_and_nothing_else(
    start_service: StartService,
    options: dict[str, Any],
) -> None:
    running = await start_service(**options)
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in running.service.app.router.routes()
        if route.method != "*" and route.resource is not None
    }
    async with running.client.get("/openapi.json") as reply:
        document = await reply.json()
    described = {(method, path) for path, item in document["paths"].items() for method in item}
    assert described == routes


def test_the_document_is_openapi_by_a_public_validator() -> None:
    validate(OPENAPI)


def test_every_reply_is_described_with_its_problems_and_headers() -> None:
    for path in OPENAPI["paths"]:
        for _, operation in iterate_operations(path):
            for status, response in operation["responses"].items():
                described = response
                if "$ref" in response:
                    described = OPENAPI["components"]["responses"][response["$ref"].rpartition("/")[2]]
                assert "X-Request-ID" in described["headers"]
                if int(status) >= 400 and "content" in described and path not in {"/health", "/readyz"}:
                    assert list(described["content"]) == ["application/problem+json"]
    create = OPENAPI["paths"]["/items"]["post"]
    assert {"201", "400", "401", "403", "408", "409", "413", "415", "422", "500", "503", "504"} == set(
        create["responses"]
    )
    assert {"Location", "ETag"} <= set(create["responses"]["201"]["headers"])
    assert "Retry-After" in OPENAPI["components"]["responses"]["Unavailable"]["headers"]


async def test_tokens_are_asked_for_where_they_are_configured(start_service: StartService) -> None:
    _, line = create_token("reader", "read")
    tokens = Tokens([Token("reader", "read", bytes.fromhex(line.split()[2]))])
    running = await start_service(tokens_file=tokens)
    async with running.client.get("/openapi.json") as reply:
        paths = (await reply.json())["paths"]
    assert paths["/items"]["get"]["security"] == [{"bearer": ["read"]}]
    assert paths["/items"]["post"]["security"] == [{"bearer": ["write"]}]
    assert "security" not in paths["/health"]["get"]
    async with running.client.get("/docs") as reply:
        assert "Authorization: Bearer" in await reply.text()


@pytest.mark.parametrize(("method", "path", "parts"), list(iterate_described()))
async def test_each_example_of_the_document_is_answered_as_it_says(
    start_service: StartService, method: str, path: str, parts: dict[str, Any]
) -> None:
    client = (await start_service(faults=True)).client
    item_id = await seed(client)
    given_id = parts.get("path", {}).get("id")
    url = path.replace("{id}", item_id if given_id == EXAMPLE_ID else str(given_id))
    headers = dict(parts.get("header", {}))
    data = None
    if "body" in parts:
        headers["Content-Type"], body = parts["body"]
        data = body if isinstance(body, str) else orjson.dumps(body)
    query = [
        (name, str(value))
        for name, values in parts.get("query", {}).items()
        for value in (values if isinstance(values, list) else [values])
    ]
    async with client.request(method, url, params=query, headers=headers, data=data) as reply:
        if "reply" not in parts:
            assert reply.status < 400
            return
        status, media_type, expected = parts["reply"]
        assert (reply.status, reply.content_type) == (status, media_type)
        text = await reply.text()
        assert read(text, media_type) == (read(expected, media_type) if isinstance(expected, str) else mask(expected))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is what the page's commands are for")
@pytest.mark.parametrize(("call", "example"), EXAMPLES, ids=name_of)
async def test_each_command_of_the_page_gets_the_status_beside_it(
    start_service: StartService, call: Operation, example: Example
) -> None:
    running = await start_service(faults=True)
    item_id = await seed(running.client)
    command = quote_command(create_command(call, example, running.url)).replace(EXAMPLE_ID, item_id)
    process = await create_subprocess_exec("sh", "-c", command, stdout=PIPE, stderr=PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert int(output.split(b" ")[1]) == example.status


class Links(HTMLParser):
    """The ids of a page, where it leads, and what it would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.loaded: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        attributes = {name: value or "" for name, value in attrs}
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.anchors += [attributes["href"]] if tag == "a" else []
        self.loaded += [attributes.get("href", attributes.get("src", ""))] if tag in {"link", "script", "img"} else []


async def test_the_page_is_whole_without_a_network(client: aiohttp.ClientSession) -> None:
    async with client.get("/docs") as reply:
        html = await reply.text()
        policy = reply.headers["Content-Security-Policy"]
    links = Links(html)
    assert len(set(links.ids)) == len(links.ids)
    assert {anchor[1:] for anchor in links.anchors if anchor.startswith("#")} <= set(links.ids)
    assert {anchor for anchor in links.anchors if not anchor.startswith("#")} == {"/openapi.json"}
    assert all(url.startswith("data:") for url in links.loaded)
    style = re.search("<style>(.*)</style>", html, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy
    assert " style=" not in html


async def test_the_page_says_how_to_mend_every_kind_of_problem(client: aiohttp.ClientSession) -> None:
    async with client.get("/docs") as reply:
        ids = Links(await reply.text()).ids
    kinds = [ProblemError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    titles = {kind.title for kind in kinds[1:]} | {"Internal error"}
    assert titles == {title for title, _, _ in list_explanations()}
    assert {type_of(title).removeprefix("/docs#") for title in titles} <= set(ids)


async def test_the_page_lists_every_call_and_parameter_and_the_limits_in_force(start_service: StartService) -> None:
    running = await start_service(max_body_bytes=2048, max_in_flight=77, faults=True)
    async with running.client.get("/docs") as reply:
        html = await reply.text()
    for call in ALL_CALLS:
        assert f'id="{call.name}"' in html
        assert all(f"<code>{name}</code>" in html for name in call.parameters)
    assert "<td>2 KiB</td>" in html
    assert "<td>77</td>" in html


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_a_reader_who_has_it_is_not_sent_it_again(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as reply:
        etag = reply.headers["ETag"]
    async with client.get(path, headers={"If-None-Match": etag}) as reply:
        assert (reply.status, await reply.read()) == (304, b"")


def test_what_an_example_says_cannot_become_markup() -> None:
    call = ALL_CALLS[0]._replace(
        summary="<script>1</script>", examples=(Example("x", "<b>", 200, body="'</code><img src=x>", reply="<i>"),)
    )
    openapi = create_openapi([call], needs_token=False)
    html = draw_page([call], openapi, Settings()).html
    assert not re.search("<script|<img|<b>|<i>", html)


_TEXTS = st.text(alphabet="aé~ \t\n\x00\x1c\x85\u3000", max_size=6) | st.sampled_from(["x" * 200, "x" * 201, "x" * 65])
_TAGS = st.lists(st.text(alphabet="a0_-A é", max_size=3), max_size=22) | st.lists(
    st.from_regex(r"[a-z0-9]{1,2}", fullmatch=True), min_size=19, max_size=21
)
_PRICES = st.decimals(-1, 10**10, places=3).map(str) | st.integers(-1, 10**10).map(lambda value: f"{value}e-2")
_OTHERS = st.sampled_from(["null", "true", "[]", "{}", "7", '"7"'])
_VALUES = {
    "name": _TEXTS.map(json.dumps) | _OTHERS,
    "price": _PRICES | _OTHERS,
    "sku": _TEXTS.map(json.dumps) | _OTHERS,
    "description": _TEXTS.map(json.dumps) | _OTHERS,
    "tags": _TAGS.map(json.dumps) | _OTHERS,
    "colour": _OTHERS,
}
_checker = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
    "number", lambda _, value: isinstance(value, int | Decimal) and not isinstance(value, bool)
)
_Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=_checker)


def exact_schema() -> dict[str, Any]:
    """The schema of a new item with decimal numbers, in which a hundredth is one."""
    schema: dict[str, Any] = json.loads(json.dumps(OPENAPI["components"]["schemas"]["NewItem"]), parse_float=Decimal)
    return schema


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.fixed_dictionaries({}, optional=_VALUES))
def test_the_schema_and_the_decoder_agree(texts: dict[str, str]) -> None:
    body = "{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}"
    is_valid = _Validator(exact_schema()).is_valid(json.loads(body, parse_float=Decimal))
    try:
        decode_item(body.encode())
        is_accepted = True
    except InvalidError:
        is_accepted = False
    assert is_valid == is_accepted


def test_the_schema_has_a_rule_for_each_field_that_is_decoded() -> None:
    assert tuple(FIELD_RULES) == FIELDS
    assert tuple(OPENAPI["components"]["schemas"]["NewItem"]["properties"]) == FIELDS


async def test_an_item_is_answered_with_the_fields_that_are_described(client: aiohttp.ClientSession) -> None:
    async with client.post("/items", json=SEED) as reply:
        item = await reply.json()
    schema = OPENAPI["components"]["schemas"]["Item"]
    assert list(item) == list(schema["properties"]) == schema["required"]
    jsonschema.Draft202012Validator(schema).validate(item | {"price": 0})
