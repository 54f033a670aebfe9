"""Run every command of the README and of `docs/` as a user types it."""

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

DEFAULT_BASE: Final = "python:3.14-slim"
_ITSELF: Final = "it runs the suite that this test belongs to"
_TRACING: Final = "no other test needs these images; tests/test_configuration.py checks their configuration"
_JSON: Final = '"Content-Type: application/json"'
_ITEM: Final = '{"name": "Test", "price": 9.99}'
_CHAIR: Final = '{"name": "Oak chair", "price": 129, "sku": "C-1"}'
_STOPPED: Final = r'"event":\s*"stopped"'

# Commands that this test does not run, and the reason.
NOT_RUN: Final = {
    "docker login": "it asks for a password",
    "dive devops-api:1.0.0": "it is an interactive program that is installed separately",
    "docker compose --env-file otel/tracing.env up -d --wait": _TRACING,
    "docker compose --env-file otel/tracing.env down": _TRACING,
    "make drill": "it takes about eight minutes; tests/observability/test_drill.py runs it faster",
    "make test": _ITSELF,
    "make check": _ITSELF,
    "make smoke": _ITSELF,
}

# Commands that need a registry. They run if a registry program is installed.
REGISTRY: Final = "docker-registry"
PUBLISHING: Final = {
    "docker push YOUR_USERNAME/devops-api:1.0.0",
    "docker push YOUR_USERNAME/devops-api:latest",
    "docker pull YOUR_USERNAME/devops-api:1.0.0",
}

# Commands that the documentation must contain, and the regular expression that their output must match.
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
    "docker compose logs load": r"requests/s",
    "devops-api import items.csv --upsert": r"\b1 updated\b",
    "docker logs api": r'"event":\s*"started"',
    "docker inspect --format='{{json .State.Health}}' api": r'"Status":"healthy"',
    "docker network inspect devops-network": r'"Name": "devops-network"',
    "docker exec api devops-api ping prometheus:9090": r"prometheus:9090",
    "docker logs api | grep request_id": r'"item_created"',
    "curl -s http://localhost:9090/api/v1/targets": r"api:8000",
    "docker compose run --rm api restore /data/backup.db": "",
}

# Commands to run before those under a heading.
_CREATE: Final = f"curl http://localhost:8000/items -H {_JSON} -d '{_CHAIR}'"
_BUILD: Final = "docker build -f docker/Dockerfile -t devops-api:1.0.0 ."
_UP: Final = "docker compose up -d --wait"
BEFORE: Final = {
    "README.md: The API in a minute": ["make run"],
    "README.md: Operate": [_UP],
    "README.md: Troubleshoot": [_UP],
    "backup.md: On one machine": ["rm -rf data", "make run", _CREATE, CTRL_C],
    "backup.md: In the composition": [_UP],
    "compose.md: Practise": [_BUILD],
    "image.md: Run the image": [_BUILD],
    "image.md: Publish the image": [_BUILD],
    "troubleshooting.md: The container does not start": [_UP],
    "troubleshooting.md: The container is unhealthy": [_UP],
    "troubleshooting.md: Containers do not reach each other": [_UP],
    "troubleshooting.md: A request fails": [_UP, _CREATE],
    "troubleshooting.md: The dashboards are empty": [_UP],
}


def read_commands(text: str) -> dict[str, list[str]]:
    """Return the lines of the bash blocks under each heading that has any, in order."""
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


PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
COMMANDS: Final = {
    f"{page.name}: {heading}": lines for page in PAGES for heading, lines in read_commands(page.read_text()).items()
}


def test_the_documentation_has_every_command_that_people_look_for() -> None:
    documented = {line for lines in COMMANDS.values() for line in lines}
    assert (SHOWS.keys() | NOT_RUN.keys() | PUBLISHING) - documented == set()
    assert BEFORE.keys() - COMMANDS.keys() == set()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """Start a registry on this machine. Yield an account, or None if no registry is installed."""
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
    """Yield a reader in a clean clone. Afterwards, images with the documented names get their names back."""
    refuse_to_disturb(engine, CONTAINERS, (VOLUME,))
    folder = tmp_path_factory.mktemp("clone")
    copy_tracked_files(ROOT, folder)
    (folder / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    before = {name: engine.inspect("image", name) for name in IMAGES}
    has_default_base = engine.inspect("image", DEFAULT_BASE) is not None
    if BASE != DEFAULT_BASE and not has_default_base:  # The documented commands build on the default.
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
    """Return an environment without a user's settings and with this `devops-api` on PATH."""
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


@pytest.fixture(scope="module")
def reader(stranger: Reader) -> Iterator[Reader]:
    """Yield a reader for one page and clean up after it. What runs already is kept from one heading to the next."""
    yield stranger
    stranger.leave()


@pytest.mark.containers
@pytest.mark.timeout(BUILD_TIMEOUT_S)
@pytest.mark.parametrize(
    ("reader", "heading"),
    [
        pytest.param(page, heading, id=heading)
        for page in PAGES
        for heading, lines in COMMANDS.items()
        if heading.startswith(f"{page.name}:") and set(lines) - NOT_RUN.keys()
    ],
    indirect=["reader"],
)
def test_documented_commands_work(reader: Reader, registry: str | None, heading: str) -> None:
    left_out = NOT_RUN.keys() if registry else NOT_RUN.keys() | PUBLISHING
    for line in (*BEFORE.get(heading, ()), *COMMANDS[heading]):
        if line not in left_out:
            reader.type(line)
    reader.interrupt()
