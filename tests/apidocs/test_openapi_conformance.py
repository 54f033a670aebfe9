"""The document is a promise that a machine can check: schemathesis asks whatever it allows, and what it forbids."""

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
OPERATIONS = 23


async def run_schemathesis(running: Running, directory: Path, *, max_examples: int, token: str) -> str:
    """Every check in every phase, the same cases each time; what it says, which is asserted on by exit code too."""
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
    return output


def find_failures(running: Running) -> list[str]:
    """What the service itself says that it failed of."""
    running.service.logs.close(timeout_s=1)
    return [line for line in running.read_log() if json.loads(line)["event"] == "request_failed"]


@pytest.mark.slow
async def test_the_service_answers_as_the_document_says_whatever_it_is_asked(running: Running, tmp_path: Path) -> None:
    output = await run_schemathesis(running, tmp_path, max_examples=80, token="")
    assert f"Tested: {OPERATIONS}" in output
    found = re.search(r"(\d+) generated, (\d+) passed", output)
    assert found is not None
    assert int(found[1]) == int(found[2]) > 1000
    assert find_failures(running) == []


@pytest.mark.slow
async def test_no_call_on_items_is_answered_without_a_token_that_is_known(
    start_service: StartService, tmp_path: Path
) -> None:
    token, line = create_token("writer", "write")
    running = await start_service(tokens_file=Tokens([Token("writer", "write", bytes.fromhex(line.split()[2]))]))
    output = await run_schemathesis(running, tmp_path, max_examples=10, token=token)
    assert f"Tested: {OPERATIONS}" in output
    assert find_failures(running) == []
