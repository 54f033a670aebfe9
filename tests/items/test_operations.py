"""An example that is wrong costs every reader an hour: each is sent to a real service, from both documents."""

import csv
import html
import io
import re
import shutil
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections import defaultdict
from typing import Any

import aiohttp
import orjson
import pytest
from conftest import StartService

from devops_api.apidocs import documents
from devops_api.http import operations as http_operations
from devops_api.http.operations import Example, Operation
from devops_api.items import operations
from devops_api.items.bulk import operations as bulk_operations
from devops_api.items.examples import EXAMPLE_ID, SEED

MODULES = (operations, bulk_operations, http_operations, documents)
OPERATIONS = [each for module in MODULES for each in vars(module).values() if isinstance(each, Operation)]
EXAMPLES = [
    pytest.param(operation, example, id=f"{operation.id}-{example.name}")
    for operation in OPERATIONS
    for example in operation.examples
]
VARYING = {"created_at", "updated_at", "request_id", "duration_ms"}


async def find_operation(client: aiohttp.ClientSession, operation_id: str) -> tuple[str, str, dict[str, Any]]:
    """Find an operation in the service's document: its method, its path and its description."""
    async with client.get("/openapi.json") as response:
        paths = (await response.json())["paths"]
    ((method, path, described),) = (
        (method, path, described)
        for path, methods in paths.items()
        for method, described in methods.items()
        if described["operationId"] == operation_id
    )
    return method, path, described


def collect_examples(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Collect an operation's examples by name, from the document alone: parameters by location, body, response."""
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
                examples[name]["response"] = (int(status), media_type, example["value"])
    return examples


async def seed(client: aiohttp.ClientSession) -> str:
    """Store the item that the examples are about; return its id, which the service generates."""
    async with client.post("/items", json=SEED) as response:
        item_id: str = (await response.json())["id"]
        return item_id


def mask(value: Any) -> Any:
    """Remove what differs between services: ids, times, request ids."""
    if isinstance(value, list):
        return [mask(element) for element in value]
    if isinstance(value, dict):
        return {name: "" if name in VARYING else mask(element) for name, element in value.items()}
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", value) if isinstance(value, str) else value


def read(text: str, media_type: str) -> Any:
    if media_type == "text/csv":
        return mask(list(csv.DictReader(io.StringIO(text, newline=""))))
    return mask([orjson.loads(line) for line in text.splitlines()] if "ndjson" in media_type else orjson.loads(text))


async def test_every_operation_of_the_service_has_an_example(start_service: StartService) -> None:
    client = (await start_service(faults=True)).client
    async with client.get("/openapi.json") as response:
        paths = (await response.json())["paths"]
    described = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert {name for name in described if not name.endswith("Headers")} == {each.id for each in OPERATIONS}
    assert all(operation.examples for operation in OPERATIONS)


@pytest.mark.parametrize(("operation", "example"), EXAMPLES)
async def test_each_example_of_the_document_gets_its_response(
    start_service: StartService, operation: Operation, example: Example
) -> None:
    client = (await start_service(faults=True)).client
    item_id = await seed(client)
    method, path, described = await find_operation(client, operation.id)
    parts = collect_examples(described)[example.name]
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
    async with client.request(method, url, params=query, headers=headers, data=data) as response:
        if "response" not in parts:
            assert response.status == example.status < 400
            return
        status, media_type, expected = parts["response"]
        assert (response.status, response.content_type) == (status, media_type)
        text = await response.text()
        assert read(text, media_type) == (read(expected, media_type) if isinstance(expected, str) else mask(expected))


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page shows curl commands")
@pytest.mark.parametrize(("operation", "example"), EXAMPLES)
async def test_each_command_of_the_page_gets_the_status_beside_it(
    start_service: StartService, operation: Operation, example: Example
) -> None:
    running = await start_service(faults=True)
    item_id = await seed(running.client)
    async with running.client.get("/docs") as response:
        article = re.search(f'<article id="{operation.id}">.*?</article>', await response.text(), re.DOTALL)
    assert article is not None
    figures = re.findall(r"<figure.*?</figure>", article[0], re.DOTALL)
    figure = figures[operation.examples.index(example)]
    shown = re.search(
        r'<span class="status \w+">(\d+) .*?<pre class="command".*?><code>(.*?)</code>', figure, re.DOTALL
    )
    assert shown is not None
    command = html.unescape(shown[2]).replace("http://localhost:8000", running.url).replace(EXAMPLE_ID, item_id)
    process = await create_subprocess_exec("sh", "-c", command, stdout=PIPE, stderr=PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert int(output.split(b" ")[1]) == int(shown[1]) == example.status
