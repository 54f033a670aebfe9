"""The document is a contract that a machine can check: schemathesis sends requests that it allows and forbids."""

import json
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT, create_subprocess_exec
from pathlib import Path

import pytest
from conftest import Running, StartService

from devops_api.settings.tokens import Token, Tokens, create_token

HERE = Path(__file__).parent


async def run_schemathesis(running: Running, directory: Path, *, max_examples: int, token: str) -> str:
    """Run every check in every phase, with the same cases each time. Assert that it succeeds and return its output."""
    process = await create_subprocess_exec(
        sys.executable,
        *("-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run"),
        *(
            "--checks",
            "all",
            "--generation-deterministic",
            "--no-color",
            "--max-examples",
            str(max_examples),
            f"{running.url}/openapi.json",
        ),
        cwd=directory,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "openapi_hooks", "PYTHONPATH": str(HERE), "TOKEN": token},
        stdout=PIPE,
        stderr=STDOUT,
    )
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    assert f"Tested: {await count_operations(running)}" in output
    return output


async def count_operations(running: Running) -> int:
    """Count the operations that schemathesis tests: every one but the GET of the document, which it sends anyway."""
    async with running.client.get("/openapi.json") as response:
        paths = (await response.json())["paths"]
    described = {(path, method) for path, methods in paths.items() for method in methods}
    return len(described - {("/openapi.json", "get")})


def find_failures(running: Running) -> list[str]:
    """Find the failures in the service's own log."""
    running.service.logs.close(timeout_s=1)
    return [line for line in running.read_log() if json.loads(line)["event"] == "request_failed"]


@pytest.mark.slow
async def test_service_responds_to_every_request_as_the_document_says(running: Running, tmp_path: Path) -> None:
    output = await run_schemathesis(running, tmp_path, max_examples=80, token="")
    found = re.search(r"(\d+) generated, (\d+) passed", output)
    assert found is not None
    assert int(found[1]) == int(found[2]) > 1000
    assert find_failures(running) == []


@pytest.mark.slow
async def test_no_operation_on_items_works_without_a_known_token(start_service: StartService, tmp_path: Path) -> None:
    token, line = create_token("writer", "write")
    running = await start_service(tokens_file=Tokens([Token("writer", "write", bytes.fromhex(line.split()[2]))]))
    await run_schemathesis(running, tmp_path, max_examples=10, token=token)
    assert find_failures(running) == []
