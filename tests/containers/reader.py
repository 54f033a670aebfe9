"""A reader of the documentation, who types its commands and presses Ctrl-C on foreground commands."""

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
    """A foreground command and the file that receives its output."""

    line: str
    process: subprocess.Popen[bytes]
    output: Path


@dataclass
class Reader:
    """A person with two terminals: one for foreground commands, one for all others.

    `shows` maps a command to the regular expression that its output must match. `account` replaces YOUR_USERNAME. The
    sets hold what `leave` removes.
    """

    engine: Engine
    shows: Mapping[str, str]
    account: str
    foreground: Running | None = None
    containers: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    images: set[str] = field(default_factory=set)

    def type(self, line: str) -> None:
        """Run one documented line. Raises AssertionError if it fails or its output does not match."""
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
        """Run a command that ends by itself. Remember images that a build or a tag renames."""
        if "build" in line:
            self.images |= {image["Id"] for name in IMAGES if (image := self.engine.inspect("image", name))}
        self.images |= {word for word in line.split() if word.startswith(f"{self.account}/")}
        done = self.engine.bash(line)
        self.check(line, done.returncode, done.stdout)

    def start(self, line: str) -> None:
        """Run a command that starts the service, after stopping what uses port 8000."""
        self.make_way(is_composition="compose" in line or line == "make up")
        if line == "make run" or (line.startswith("docker run") and " -d " not in line):
            self.foreground = self.open(line)
            wait_for(f"{line} to serve", self.is_serving, timeout_s=TIMEOUT_S)
        else:
            self.run(line)
            wait_until_serving(API)
        self.remember()

    def is_serving(self) -> bool:
        """Return whether the foreground service responds. Raises AssertionError if it has ended."""
        running = self.foreground
        assert running is not None
        assert running.process.poll() is None, f"{running.line} ends at once:\n{running.output.read_text()}"
        return call("GET", f"{API}/health").status == 200

    def follow(self, line: str) -> None:
        """Run a command that prints until it is interrupted."""
        running = self.open(line)
        try:
            wait_for(f"{line} to print", lambda: re.search(self.shows[line], running.output.read_text()), timeout_s=30)
        finally:
            end(running)

    def interrupt(self) -> None:
        """Press Ctrl-C if a command runs in the foreground."""
        if self.foreground is not None:
            running, self.foreground = self.foreground, None
            self.check(running.line, 0, end(running))

    def check(self, line: str, exit_code: int, output: str) -> None:
        """Check the exit code and the output of a command."""
        assert exit_code == 0, f"{line}\nexits with {exit_code}:\n{output}"
        assert re.search(self.shows.get(line, ""), output, re.MULTILINE), f"{line}\nprints:\n{output}"

    def open(self, line: str) -> Running:
        """Start a command in a new process group, as a shell does."""
        output = self.engine.folder / f"output-{uuid4().hex}.txt"
        return Running(line, self.engine.open(line, output), output)

    def make_way(self, *, is_composition: bool) -> None:
        """Stop what this reader started earlier, as a person does on `port is already allocated`."""
        self.interrupt()
        if not is_composition:
            self.engine.docker("compose", "down")
        for name in ("devops-api", "api-test"):
            self.engine.run("rm", "--force", "--volumes", name)

    def remember(self) -> None:
        """Remember the container behind port 8000 and its volumes: they have no name after `docker rm`."""
        for container in self.engine.docker("ps", "-q", "--filter", "publish=8000").split():
            self.containers.add(container)
            mounts = self.engine.inspect("container", container)["Mounts"]
            self.volumes |= {mount["Name"] for mount in mounts if mount["Type"] == "volume"}

    def leave(self) -> None:
        """Remove everything that the commands created, except images."""
        running, self.foreground = self.foreground, None
        self.engine.run("compose", "down", "--volumes")
        self.engine.run("rm", "--force", "--volumes", *self.containers, *CONTAINERS)
        self.engine.run("volume", "rm", "--force", *self.volumes, VOLUME)
        if running is not None:
            end(running)


def end(running: Running) -> str:
    """Interrupt a command as Ctrl-C does and return its output. Raises TimeoutExpired after 30 s."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.process.pid, signal.SIGINT)
    try:
        running.process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(running.process.pid, signal.SIGKILL)
        raise
    return running.output.read_text()


def type_into(engine: Engine, line: str, keys: bytes) -> str:
    """Return the output of a command on a terminal when `keys` are typed."""
    master, terminal = pty.openpty()
    with engine.open_on(line, terminal) as process:
        os.close(terminal)
        os.write(master, keys)
        assert process.wait(timeout=30) == 0
        shown = os.read(master, 65536)
    os.close(master)
    return shown.decode()
