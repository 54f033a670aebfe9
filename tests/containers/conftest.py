"""Provide the engine, an image built from the tracked files, and containers that are removed after each test."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from containers.engine import (
    Container,
    Engine,
    copy_tracked_files,
    explain_absence,
    find_free_port,
    is_in_use,
    wait_until_serving,
)

ROOT = Path(__file__).resolve().parents[2]
BASE = os.environ.get("PYTHON_IMAGE", "python:3.14-slim")
BASES = list(dict.fromkeys([BASE, *(re.sub(r":3\.\d+", f":{version}", BASE) for version in ("3.13", "3.11"))]))
FIXED_PORTS = (8000, 9090, 3000)

StartContainer = Callable[..., Container]


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of a clean clone."""
    folder = tmp_path_factory.mktemp("tree")
    copy_tracked_files(ROOT, folder)
    return folder


@pytest.fixture(scope="session")
def engine(tree: Path) -> Engine:
    """Return an engine that runs commands in the clean tree."""
    if reason := explain_absence():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return Engine(tree, {})


@pytest.fixture(scope="session", params=BASES, ids=lambda base: base.rpartition("/")[2])
def base(request: pytest.FixtureRequest) -> str:
    """Return each supported base image in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def image(engine: Engine, base: str) -> Iterator[str]:
    """Build the image on `base` under a unique name, and remove it afterwards."""
    name = f"devops-api-test:{uuid4().hex[:8]}"
    engine.build(name, "--build-arg", f"PYTHON_IMAGE={base}")
    yield name
    engine.docker("image", "rm", "--force", name)


@pytest.fixture
def start(engine: Engine, image: str) -> Iterator[StartContainer]:
    """Return a function that starts a container with options and waits for its first 200."""
    names: list[str] = []

    def start_container(*options: str) -> Container:
        container = Container(engine, f"devops-api-test-{uuid4().hex[:8]}", find_free_port())
        names.append(container.name)
        publish = f"127.0.0.1:{container.port}:8000"
        engine.docker("run", "-d", "--name", container.name, "-p", publish, *options, image)
        wait_until_serving(container.url)
        return container

    yield start_container
    for name in names:
        engine.docker("rm", "--force", "--volumes", name)


def refuse_to_disturb(engine: Engine, containers: tuple[str, ...] = ("api",), volumes: tuple[str, ...] = ()) -> None:
    """Fail if a name or port of the project is in use: it may belong to a user's running service."""
    taken = [f"port {port}" for port in FIXED_PORTS if is_in_use(port)]
    wanted = {"container": containers, "volume": volumes, "network": ("devops-network",)}
    taken += [f"{kind} {name}" for kind, names in wanted.items() for name in names if engine.inspect(kind, name)]
    if taken:
        pytest.fail(
            f"already in use: {', '.join(taken)}. These tests use the project's own names and ports. Stop and remove "
            "what uses them (`docker compose down` for the composition), then try again"
        )
