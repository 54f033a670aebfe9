"""People clone this project and replace the items: the README's service of notes must get all else from the chassis.

The code is taken from the README, so that what newcomers copy is what runs here.
"""

import ast
import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from processes import Process, run_process
from scrapes import scrape

import devops_api

README = Path(__file__).parents[1] / "README.md"
SOURCE = Path(devops_api.__file__).parent
CHASSIS = ("settings", "logs", "telemetry", "http", "apidocs", "serve")
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NOTE = {"text": "Water the plants"}


def read_code() -> str:
    """Return the README's service."""
    match = re.search(r"<!-- notes -->\n+```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert match, "the README has no section `notes`"
    return match[1]


@pytest_asyncio.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    """The service of notes, which admits one request at a time and can inject faults."""
    path = tmp_path / "notes.py"
    path.write_text(read_code(), "utf-8")
    async with run_process(tmp_path, (str(path),), "NOTES_", drain_delay_s=0, max_in_flight=1, faults=True) as process:
        yield process


@pytest_asyncio.fixture
async def client(process: Process) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(process.url) as client:
        yield client


def find_texts(path: Path) -> Iterator[str]:
    """Yield the string constants of a module, without docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


@pytest.mark.parametrize("package", CHASSIS)
def test_the_chassis_does_not_name_the_domain(package: str) -> None:
    texts = [text for path in (SOURCE / package).rglob("*.py") for text in find_texts(path)]
    assert texts
    # `items` alone is a keyword of JSON Schema.
    assert [text for text in texts if text != "items" and re.search(r"\bitems?\b|\bsku\b|item_", text)] == []


async def create_note(client: aiohttp.ClientSession) -> str:
    """Create a note; return its path."""
    async with client.post("/notes", json=NOTE, headers={"traceparent": TRACEPARENT}) as response:
        assert (response.status, await response.json()) == (201, NOTE)
        return response.headers["Location"]


async def test_a_note_that_was_created_can_be_read(client: aiohttp.ClientSession) -> None:
    path = await create_note(client)
    async with client.get(path) as response:
        assert (response.status, await response.json()) == (200, NOTE)
        assert response.headers["X-Request-ID"]


async def test_errors_are_problems(client: aiohttp.ClientSession) -> None:
    async with client.post("/notes", json={"text": 7}) as response:
        problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["title"]) == (422, "Invalid content")
        assert problem["errors"][0]["pointer"] == "/text"
        assert problem["request_id"] == response.headers["X-Request-ID"]
    for path, status in (("/notes/7", 404), ("/elsewhere", 404)):
        async with client.get(path) as response:
            assert (response.status, response.content_type) == (status, "application/problem+json")
    async with client.delete("/notes") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST, OPTIONS")


async def test_probes_tell_health_and_version(client: aiohttp.ClientSession) -> None:
    async with client.get("/health") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok", "version": "0.1.0", "checks": {}})
    for path in ("/livez", "/readyz"):
        async with client.get(path) as response:
            assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_the_documents_describe_the_notes_and_no_item(client: aiohttp.ClientSession) -> None:
    async with client.get("/openapi.json") as response:
        document = await response.json()
    assert set(document["paths"]["/notes/{id}"]["get"]["responses"]) >= {"200", "404", "503"}
    assert document["info"]["title"] == "notes"
    async with client.get("/docs") as response:
        page = await response.text()
    assert "Create a note" in page
    assert not re.search(r"\bitems?\b", page, re.IGNORECASE)
    assert not re.search(r'"[^"]*\bitems?\b(?!":)', str(document).replace("'", '"'), re.IGNORECASE)


async def test_metrics_count_notes_and_requests_with_exemplars(client: aiohttp.ClientSession) -> None:
    await create_note(client)
    metrics = await scrape(client)
    assert metrics.sum("notes_created_total") == 1
    assert metrics.sum("notes_ready") == 1
    assert metrics.count_requests(http_route="/notes", http_response_status_code="201") == 1
    assert list(metrics.find("http_server_request_duration_seconds_count", http_route="/notes/{id}"))
    exemplars = [
        sample.exemplar.labels["trace_id"]
        for sample in metrics.find("http_server_request_duration_seconds_bucket", http_route="/notes")
        if sample.exemplar
    ]
    assert exemplars == [TRACEPARENT.split("-")[1]]


async def test_a_request_above_the_limit_is_shed(client: aiohttp.ClientSession) -> None:
    path = await create_note(client)
    async with client.put("/faults", json={"latency_ms": 500}) as response:
        assert response.status == 200
    slow = asyncio.create_task(client.get(path))
    await asyncio.sleep(0.2)
    async with client.get(path) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert (await slow).status == 200


async def test_a_stop_finishes_the_request_in_flight_and_logs_json(
    process: Process, client: aiohttp.ClientSession
) -> None:
    path = await create_note(client)
    async with client.put("/faults", json={"latency_ms": 500}):
        pass
    slow = asyncio.create_task(client.get(path))
    await asyncio.sleep(0.2)
    code, duration_s = await process.stop()
    assert (await slow).status == 200
    assert code == 0
    assert duration_s < 5
    (created,) = process.find("note_created")
    assert (created["level"], created["note_id"], created["trace_id"]) == ("info", "1", TRACEPARENT.split("-")[1])
    assert [process.find(event)[0]["level"] for event in ("started", "draining", "stopped")] == ["info"] * 3
    assert process.find("stopped")[0]["is_complete"] is True
