"""What the README tells people to type works as they type it: its commands are taken from the file and run."""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from containers.conftest import BASE, ROOT, refuse_to_disturb
from containers.engine import BUILD_TIMEOUT_S, TIMEOUT_S, Engine, copy_tracked_files, wait_for, wait_until_serving

API: Final = "http://localhost:8000"
IMAGES: Final = ("devops-api:1.0.0", "devops-api:test", "someone/devops-api:1.0.0", "someone/devops-api:latest")
CONTAINERS: Final = ("devops-api", "api-test", "api")
VOLUME: Final = "items"
DEFAULT_BASE: Final = "python:3.13-slim"
CTRL_C: Final = "^C"
_REGISTRY: Final = "it needs an account of a registry"
_ITSELF: Final = "it is the suite that this test belongs to"
_JSON: Final = '"Content-Type: application/json"'
_ITEM: Final = '{"name": "Test", "price": 9.99}'
_STOPPED: Final = r'"event":\s*"stopped"'

# Commands of the README that are not run here, and why.
NOT_RUN: Final = {
    "docker login": _REGISTRY,
    "docker push YOUR_USERNAME/devops-api:1.0.0": _REGISTRY,
    "docker push YOUR_USERNAME/devops-api:latest": _REGISTRY,
    "docker pull YOUR_USERNAME/devops-api:1.0.0": _REGISTRY,
    "dive devops-api:1.0.0": "it is a program of its own, for a person at a terminal",
    "make test": _ITSELF,
    "make check": _ITSELF,
    "make smoke": _ITSELF,
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
    "docker logs api": r'"event":\s*"started"',
    "docker inspect --format='{{json .State.Health}}' api": r'"Status":"healthy"',
    "docker network inspect devops-network": r'"Name": "devops-network"',
    "docker exec api devops-api ping prometheus:9090": r"prometheus:9090",
}

# What has to be there before the commands under a heading make sense: commands as the README could have them.
BEFORE: Final = {
    "The API in a minute": ["make run"],
    "Backup and restore": ["make run", CTRL_C],
    "Troubleshooting": ["docker compose up -d --wait"],
}


def read_commands(text: str) -> dict[str, list[str]]:
    """The lines of the bash blocks under each heading that has any, in their order."""
    commands: dict[str, list[str]] = {}
    for section in re.split(r"^#+ (?=.*\n)", text, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        lines = [
            line
            for block in re.findall(r"^```bash\n(.*?)^```", body, re.MULTILINE | re.DOTALL)
            for line in block.splitlines()
        ]
        if lines:
            commands[heading] = lines
    return commands


COMMANDS: Final = read_commands((ROOT / "README.md").read_text())


def test_the_readme_has_every_command_that_people_look_for() -> None:
    assert (SHOWS.keys() | NOT_RUN.keys()) - {line for lines in COMMANDS.values() for line in lines} == set()
    assert BEFORE.keys() - COMMANDS.keys() == set()


@dataclass
class Running:
    """A command that stays in the foreground, and the file that collects what it prints."""

    line: str
    process: subprocess.Popen[bytes]
    output: Path


@dataclass
class Reader:
    """A person with two terminals: one for what stays in the foreground, one for everything else."""

    engine: Engine
    foreground: Running | None = None
    containers: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)

    def type(self, line: str) -> None:
        """Run one line of the README as it stands. AssertionError where it fails or does not print what it should."""
        line = line.replace("YOUR_USERNAME", "someone")
        if line == CTRL_C:
            self.interrupt()
        elif re.match(r"docker run|docker compose up|make (run|up)", line):
            self.start(line)
        elif " logs -f " in line:
            self.follow(line)
        elif " exec -it " in line:
            check(line, 0, type_into(self.engine, line, b"whoami\nexit\n"))
        else:
            self.run(line)

    def run(self, line: str) -> None:
        """A command that ends by itself."""
        done = self.engine.bash(line)
        check(line, done.returncode, done.stdout)

    def start(self, line: str) -> None:
        """A command that leaves the service running; what stood in its way on port 8000 goes first."""
        self.make_way(is_composition="compose" in line or line == "make up")
        if line == "make run" or (line.startswith("docker run") and " -d " not in line):
            self.foreground = self.open(line)
            wait_for(f"{line} to serve", self.is_serving, timeout_s=TIMEOUT_S)
        else:
            self.run(line)
            wait_until_serving(API)
        self.remember()

    def is_serving(self) -> bool:
        """Whether what was started in the foreground answers. AssertionError where it has ended instead."""
        running = self.foreground
        assert running is not None
        assert running.process.poll() is None, f"{running.line} ends at once:\n{running.output.read_text()}"
        wait_until_serving(API, timeout_s=1)
        return True

    def follow(self, line: str) -> None:
        """A command that goes on printing until it is interrupted."""
        running = self.open(line)
        wait_for(f"{line} to print", lambda: re.search(SHOWS[line], running.output.read_text()), timeout_s=30)
        end(running)

    def interrupt(self) -> None:
        """Type Ctrl-C where something stays in the foreground."""
        if self.foreground is not None:
            running, self.foreground = self.foreground, None
            check(running.line, 0, end(running))

    def open(self, line: str) -> Running:
        """Start a command in a process group of its own, as a shell does."""
        output = self.engine.folder / f"output-{uuid4().hex}.txt"
        return Running(line, self.engine.open(line, output), output)

    def make_way(self, *, is_composition: bool) -> None:
        """Stop what this reader has left running, as a person would who meets `port is already allocated`."""
        self.interrupt()
        if not is_composition:
            self.engine.docker("compose", "down")
        for name in ("devops-api", "api-test"):
            self.engine.run("rm", "--force", "--volumes", name)

    def remember(self) -> None:
        """Note the container behind port 8000 and its volumes: a later `docker rm` loses sight of them."""
        for container in self.engine.docker("ps", "-q", "--filter", "publish=8000").split():
            self.containers.add(container)
            mounts = self.engine.inspect("container", container)["Mounts"]
            self.volumes |= {mount["Name"] for mount in mounts if mount["Type"] == "volume"}

    def leave(self) -> None:
        """Remove everything that the commands have made, images apart."""
        if self.foreground is not None:
            end(self.foreground)
        self.engine.docker("compose", "down", "--volumes", timeout_s=TIMEOUT_S)
        self.engine.run("rm", "--force", "--volumes", *self.containers, *CONTAINERS)
        self.engine.run("volume", "rm", "--force", *self.volumes, VOLUME)


def end(running: Running) -> str:
    """Interrupt a command as Ctrl-C does, wait for it, and give back what it has printed."""
    os.killpg(running.process.pid, signal.SIGINT)
    running.process.wait(timeout=30)
    return running.output.read_text()


def check(line: str, exit_code: int, output: str) -> None:
    """Hold a command to its exit code and to what it should print."""
    assert exit_code == 0, f"{line}\nexits with {exit_code}:\n{output}"
    assert re.search(SHOWS.get(line, ""), output, re.MULTILINE), f"{line}\nprints:\n{output}"


def type_into(engine: Engine, line: str, keys: bytes) -> str:
    """What a command prints on a terminal when `keys` are typed there."""
    master, terminal = pty.openpty()
    with engine.open_on(line, terminal) as process:
        os.close(terminal)
        os.write(master, keys)
        assert process.wait(timeout=30) == 0
        shown = os.read(master, 65536)
    os.close(master)
    return shown.decode()


@pytest.fixture(scope="module")
def clone(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A clean clone to type in; images that bear the README's names get them back afterwards."""
    refuse_to_disturb(engine, CONTAINERS, (VOLUME,))
    folder = tmp_path_factory.mktemp("clone")
    copy_tracked_files(ROOT, folder)
    (folder / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    before = {name: engine.inspect("image", name) for name in IMAGES}
    has_default_base = engine.inspect("image", DEFAULT_BASE) is not None
    if BASE != DEFAULT_BASE and not has_default_base:  # The README builds on the default; it stands in for that.
        engine.docker("tag", BASE, DEFAULT_BASE)
    yield Engine(folder, create_environment(folder))
    if BASE != DEFAULT_BASE and not has_default_base:
        engine.docker("image", "rm", DEFAULT_BASE)
    for name, image in before.items():
        engine.restore_tag(name, image)


def create_environment(folder: Path) -> dict[str, str]:
    """A terminal without a user's settings, with this environment's `devops-api` on its PATH."""
    return {
        **{name: "" for name in os.environ if name.startswith(("DEVOPS_API_", "OTEL_"))},
        "BIND_ADDRESS": "",
        "COMPOSE_PROFILES": "",
        "COMPOSE_PROJECT_NAME": f"devops-api-test-{uuid4().hex[:8]}",
        "CURL_HOME": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "UV": os.environ.get("UV") or shutil.which("uv") or ".tools/bin/uv",
        "UV_PROJECT_ENVIRONMENT": str(folder / ".venv"),
    }


@pytest.fixture
def reader(clone: Engine) -> Iterator[Reader]:
    """A reader at the first line under a heading."""
    reader = Reader(clone)
    yield reader
    reader.leave()


@pytest.mark.containers
@pytest.mark.timeout(BUILD_TIMEOUT_S)
@pytest.mark.parametrize("heading", [heading for heading, lines in COMMANDS.items() if set(lines) - NOT_RUN.keys()])
def test_the_commands_of_the_readme_work(reader: Reader, heading: str) -> None:
    for line in (*BEFORE.get(heading, ()), *COMMANDS[heading]):
        if line not in NOT_RUN:
            reader.type(line)
    reader.interrupt()
