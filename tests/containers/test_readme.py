"""What the README tells people to type works as they type it: its commands are taken from the file and run."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from containers.conftest import BASE, ROOT, refuse_to_disturb
from containers.engine import BUILD_TIMEOUT_S, Engine, copy_tracked_files, find_free_port, is_in_use, wait_for
from containers.reader import CONTAINERS, CTRL_C, IMAGES, VOLUME, Reader

DEFAULT_BASE: Final = "python:3.13-slim"
_ITSELF: Final = "it is the suite that this test belongs to"
_TRACING: Final = "its images are not used elsewhere; tests/test_configuration.py checks what they are given"
_JSON: Final = '"Content-Type: application/json"'
_ITEM: Final = '{"name": "Test", "price": 9.99}'
_CHAIR: Final = '{"name": "Oak chair", "price": 129, "sku": "C-1"}'
_STOPPED: Final = r'"event":\s*"stopped"'

# Commands of the README that are not run here, and why.
NOT_RUN: Final = {
    "docker login": "it asks for a password",
    "dive devops-api:1.0.0": "it is a program of its own, for a person at a terminal",
    "docker compose --env-file otel/tracing.env up -d --wait": _TRACING,
    "docker compose --env-file otel/tracing.env down": _TRACING,
    "make drill": "it takes some eight minutes; tests/observability/test_drill.py holds it in a faster time",
    "make test": _ITSELF,
    "make check": _ITSELF,
    "make smoke": _ITSELF,
}

# Commands that talk to a registry: run where the program of one is installed, with an account of its own.
REGISTRY: Final = "docker-registry"
PUBLISHING: Final = {
    "docker push YOUR_USERNAME/devops-api:1.0.0",
    "docker push YOUR_USERNAME/devops-api:latest",
    "docker pull YOUR_USERNAME/devops-api:1.0.0",
}

# Commands that people look for in the README, and what they have to print, as a regular expression.
SHOWS: Final = {
    "docker build -f docker/Dockerfile -t devops-api:1.0.0 .": "",
    "docker build -f docker/Dockerfile --no-cache -t devops-api:1.0.0 .": "",
    "docker history devops-api:1.0.0": r"/opt/venv",
    "make run": _STOPPED,
    "docker run -p 127.0.0.1:8000:8000 devops-api:1.0.0": _STOPPED,
    "docker run -d -p 127.0.0.1:8000:8000 --name devops-api devops-api:1.0.0": r"^[0-9a-f]{64}$",
    "docker logs -f devops-api": r'"event":\s*"started"',
    "docker exec -it devops-api /bin/bash": r"appuser",
    "curl http://localhost:8000/health": r'"status":\s*"ok"',
    "curl http://localhost:8000/metrics": r"http_server_request_duration_seconds_bucket",
    f"curl -X POST http://localhost:8000/items -H {_JSON} -d '{_ITEM}'": r'"price":\s*9\.99\b',
    'docker logs api-test | grep "item_created"': r'"item_created"',
    "docker ps": r"api-test",
    "docker inspect api-test | grep Health": r'"Health"',
    "docker stop api-test": r"api-test",
    "docker rm api-test": r"api-test",
    "docker compose up -d --wait": "",
    "docker compose logs -f api": r'"event":\s*"started"',
    "docker compose up -d --build": "",
    "docker compose down": "",
    "docker compose --profile load up -d --wait": "",
    "docker compose logs load": r"calls/s",
    "devops-api import items.csv --upsert": r"\b1 updated\b",
    "docker logs api": r'"event":\s*"started"',
    "docker inspect --format='{{json .State.Health}}' api": r'"Status":"healthy"',
    "docker network inspect devops-network": r'"Name": "devops-network"',
    "docker exec api devops-api ping prometheus:9090": r"prometheus:9090",
}

# What has to be there before the commands under a heading make sense: commands as the README could have them.
_CREATE: Final = f"curl http://localhost:8000/items -H {_JSON} -d '{_CHAIR}'"
_BUILD: Final = "docker build -f docker/Dockerfile -t devops-api:1.0.0 ."
BEFORE: Final = {
    "The API in a minute": ["make run"],
    "Run the image": [_BUILD],
    "Practise": [_BUILD],
    "Publish the image": [_BUILD],
    "Backup and restore": ["rm -rf data", "make run", _CREATE, CTRL_C],
    "Troubleshooting": ["docker compose up -d --wait"],
}


def read_commands(text: str) -> dict[str, list[str]]:
    """The lines of the bash blocks under each heading that has any, in their order."""
    commands: dict[str, list[str]] = {}
    heading = fence = ""
    for line in text.splitlines():
        if line.startswith("```"):
            fence = "" if fence else line
        elif fence == "```bash":
            commands.setdefault(heading, []).append(line)
        elif line.startswith("#") and not fence:
            heading = line.lstrip("# ")
    return commands


COMMANDS: Final = read_commands((ROOT / "README.md").read_text())


def test_the_readme_has_every_command_that_people_look_for() -> None:
    assert (SHOWS.keys() | NOT_RUN.keys() | PUBLISHING) - {
        line for lines in COMMANDS.values() for line in lines
    } == set()
    assert BEFORE.keys() - COMMANDS.keys() == set()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """An account of a registry on this machine, or None where the program of one is not installed."""
    if not (program := shutil.which(REGISTRY)):
        yield None
        return
    folder, port = tmp_path_factory.mktemp("registry"), find_free_port()
    storage = {"filesystem": {"rootdirectory": str(folder / "images")}}
    settings = {"version": 0.1, "storage": storage, "http": {"addr": f"127.0.0.1:{port}"}}
    (folder / "registry.yml").write_text(json.dumps(settings))
    with subprocess.Popen([program, "serve", str(folder / "registry.yml")], stderr=subprocess.DEVNULL) as running:
        wait_for("the registry", lambda: is_in_use(port), timeout_s=10)
        yield f"localhost:{port}/someone"
        running.terminate()


@pytest.fixture(scope="module")
def stranger(engine: Engine, registry: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader in a clean clone; images that bear the README's names get them back afterwards."""
    refuse_to_disturb(engine, CONTAINERS, (VOLUME,))
    folder = tmp_path_factory.mktemp("clone")
    copy_tracked_files(ROOT, folder)
    (folder / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    before = {name: engine.inspect("image", name) for name in IMAGES}
    has_default_base = engine.inspect("image", DEFAULT_BASE) is not None
    if BASE != DEFAULT_BASE and not has_default_base:  # The README builds on the default; it stands in for that.
        engine.docker("tag", BASE, DEFAULT_BASE)
    reader = Reader(Engine(folder, create_environment(folder)), SHOWS, registry or "someone")
    yield reader
    if BASE != DEFAULT_BASE and not has_default_base:
        engine.docker("image", "rm", DEFAULT_BASE)
    for name, image in before.items():
        engine.restore_tag(name, image)
    for image_id in reader.images - {image["Id"] for image in before.values() if image}:
        engine.run("image", "rm", image_id)


def create_environment(folder: Path) -> dict[str, str]:
    """A terminal without a user's settings, with this environment's `devops-api` on its PATH."""
    return {
        **{name: "" for name in os.environ if name.startswith(("DEVOPS_API_", "OTEL_"))},
        "BIND_ADDRESS": "",
        "COMPOSE_PROFILES": "",
        "COMPOSE_PROJECT_NAME": f"devops-api-test-{uuid4().hex[:8]}",
        "CURL_HOME": str(folder),
        "PATH": os.pathsep.join([str(folder / ".venv/bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "UV": os.environ.get("UV") or shutil.which("uv") or ".tools/bin/uv",
        "UV_PROJECT_ENVIRONMENT": str(folder / ".venv"),
    }


@pytest.fixture
def reader(stranger: Reader) -> Iterator[Reader]:
    """A reader at the first line under a heading."""
    yield stranger
    stranger.leave()


@pytest.mark.containers
@pytest.mark.timeout(BUILD_TIMEOUT_S)
@pytest.mark.parametrize("heading", [heading for heading, lines in COMMANDS.items() if set(lines) - NOT_RUN.keys()])
def test_the_commands_of_the_readme_work(reader: Reader, registry: str | None, heading: str) -> None:
    left_out = NOT_RUN.keys() if registry else NOT_RUN.keys() | PUBLISHING
    for line in (*BEFORE.get(heading, ()), *COMMANDS[heading]):
        if line not in left_out:
            reader.type(line)
    reader.interrupt()
