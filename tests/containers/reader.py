"""A reader of the README, who types its commands as they stand and interrupts what stays in the foreground."""

import contextlib
import os
import pty
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

from containers.engine import TIMEOUT_S, Engine, call, wait_for, wait_until_serving

API: Final = "http://localhost:8000"
IMAGES: Final = ("devops-api:1.0.0", "devops-api:test")
CONTAINERS: Final = ("devops-api", "api-test", "api")
VOLUME: Final = "items"
CTRL_C: Final = "^C"


@dataclass
class Running:
    """A command that stays in the foreground, and the file that collects what it prints."""

    line: str
    process: subprocess.Popen[bytes]
    output: Path


@dataclass
class Reader:
    """A person with two terminals: one for what stays in the foreground, one for everything else.

    `shows` maps a command to the regular expression that what it prints has to match, `account` is what stands for
    YOUR_USERNAME. The sets hold what to clean up.
    """

    engine: Engine
    shows: Mapping[str, str]
    account: str
    foreground: Running | None = None
    containers: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    images: set[str] = field(default_factory=set)

    def type(self, line: str) -> None:
        """Run one line of the README as it stands. AssertionError where it fails or does not print what it should."""
        line = line.replace("YOUR_USERNAME", self.account)
        if line == CTRL_C:
            self.interrupt()
        elif re.match(r"docker run|docker compose up|make (run|up)", line):
            self.start(line)
        elif " logs -f " in line:
            self.follow(line)
        elif " exec -it " in line:
            self.check(line, 0, type_into(self.engine, line, b"whoami\nexit\n"))
        else:
            self.run(line)

    def run(self, line: str) -> None:
        """A command that ends by itself. What a build takes the name away from and what is tagged is remembered."""
        if "build" in line:
            self.images |= {image["Id"] for name in IMAGES if (image := self.engine.inspect("image", name))}
        self.images |= {word for word in line.split() if word.startswith(f"{self.account}/")}
        done = self.engine.bash(line)
        self.check(line, done.returncode, done.stdout)

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
        return call("GET", f"{API}/health").status == 200

    def follow(self, line: str) -> None:
        """A command that goes on printing until it is interrupted."""
        running = self.open(line)
        try:
            wait_for(f"{line} to print", lambda: re.search(self.shows[line], running.output.read_text()), timeout_s=30)
        finally:
            end(running)

    def interrupt(self) -> None:
        """Type Ctrl-C where something stays in the foreground."""
        if self.foreground is not None:
            running, self.foreground = self.foreground, None
            self.check(running.line, 0, end(running))

    def check(self, line: str, exit_code: int, output: str) -> None:
        """Hold a command to its exit code and to what it should print."""
        assert exit_code == 0, f"{line}\nexits with {exit_code}:\n{output}"
        assert re.search(self.shows.get(line, ""), output, re.MULTILINE), f"{line}\nprints:\n{output}"

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
        running, self.foreground = self.foreground, None
        self.engine.run("compose", "down", "--volumes")
        self.engine.run("rm", "--force", "--volumes", *self.containers, *CONTAINERS)
        self.engine.run("volume", "rm", "--force", *self.volumes, VOLUME)
        if running is not None:
            end(running)


def end(running: Running) -> str:
    """Interrupt a command as Ctrl-C does, wait for it, and give back what it has printed. TimeoutExpired after 30 s."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.process.pid, signal.SIGINT)
    try:
        running.process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(running.process.pid, signal.SIGKILL)
        raise
    return running.output.read_text()


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
