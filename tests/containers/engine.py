"""Use the engine as a user does: through the `docker` command line and over HTTP."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

BUILD_TIMEOUT_S = 600
TIMEOUT_S = 120
_T = TypeVar("_T")


class Reply(NamedTuple):
    """An HTTP reply; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the decoded JSON body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Engine:
    """Runs Docker commands in `folder`, with `environment` added to that of this process."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *words: str, timeout_s: float = TIMEOUT_S) -> subprocess.CompletedProcess[str]:
        """Run a docker command; standard error goes to standard output, as on a terminal."""
        return self._run(["docker", *words], timeout_s)

    def bash(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run one line in a shell. A pipeline fails if any of its commands fails."""
        return self._run(["bash", "-o", "pipefail", "-c", line], BUILD_TIMEOUT_S)

    def open(self, line: str, output: Path) -> subprocess.Popen[bytes]:
        """Start a line in a new process group and leave it running; `output` receives what it prints."""
        with output.open("wb") as file:
            return self._open(line, file.fileno(), start_new_session=True)

    def open_on(self, line: str, terminal: int) -> subprocess.Popen[bytes]:
        """Start a line on a terminal."""
        return self._open(line, terminal, stdin=terminal)

    def docker(self, *words: str, timeout_s: float = TIMEOUT_S) -> str:
        """Return the output of a docker command. Raises AssertionError with the output if it fails."""
        done = self.run(*words, timeout_s=timeout_s)
        assert done.returncode == 0, f"docker {' '.join(words)} exits with {done.returncode}:\n{done.stdout}"
        return done.stdout.strip()

    def inspect(self, kind: str, name: str) -> Any:
        """Return the result of `docker KIND inspect NAME`, or None if it does not exist."""
        done = self.run(kind, "inspect", name)
        return json.loads(done.stdout)[0] if done.returncode == 0 else None

    def build(self, image: str, *options: str) -> None:
        """Build the project's image from `folder`."""
        words = ("--progress", "plain", "-f", "docker/Dockerfile", "-t", image, *options, ".")
        self.docker("build", *words, timeout_s=BUILD_TIMEOUT_S)

    def measure_layers(self, image: str) -> int:
        """Return the unpacked size of all layers of an image in bytes, the sum of `docker history`."""
        sizes = self.docker("history", "--human=false", "--format", "{{.Size}}", image)
        return sum(int(size) for size in sizes.split())

    def restore_tag(self, name: str, before: Any) -> None:
        """Point `name` to the image that it named `before`, and remove the image that it names now."""
        now = self.inspect("image", name)
        if before:
            self.docker("tag", before["Id"], name)
        elif now:
            self.docker("image", "rm", "--force", name)
        if before and now and now["Id"] != before["Id"]:
            self.run("image", "rm", now["Id"])

    def _run(self, words: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            cwd=self.folder,
            env={**os.environ, **self.environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        )

    def _open(self, line: str, output: int, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdout=output,
            stderr=output,
            **{"stdin": subprocess.DEVNULL, **options},
        )


@dataclass(frozen=True)
class Container:
    """A running container of the service, published on a free loopback port."""

    engine: Engine
    name: str
    port: int

    @property
    def url(self) -> str:
        """Return the base URL of the service."""
        return f"http://127.0.0.1:{self.port}"

    def exec(self, *words: str) -> str:
        """Return the output of a command inside the container."""
        return self.engine.docker("exec", self.name, *words)

    def state(self) -> Any:
        """Return `.State` of `docker inspect`."""
        return self.engine.inspect("container", self.name)["State"]

    def log_lines(self) -> list[Any]:
        """Return the decoded log lines so far."""
        return [json.loads(line) for line in self.engine.docker("logs", self.name).splitlines()]


def call(method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None) -> Reply:
    """Send a request with a JSON body and return the reply of any status. Raises OSError if there is no reply."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - addresses come from the tests
        url, data, {"Content-Type": "application/json", **(headers or {})}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return Reply(response.status, _lower(response.headers), response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, _lower(error.headers), error.read())


def wait_for(what: str, ask: Callable[[], _T], timeout_s: float = 60, pause_s: float = 0.25) -> _T:
    """Return the first true result of `ask`. Raises AssertionError with the last result or error after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer: object
        try:
            answer = result = ask()
            if result:
                return result
        except (OSError, LookupError, ValueError) as error:
            answer = repr(error)
        assert time.monotonic() < deadline, f"timed out after {timeout_s:g} s waiting for {what}; last result: {answer}"
        time.sleep(pause_s)


def wait_until_serving(url: str, timeout_s: float = 30) -> None:
    """Wait until /health of `url` returns 200."""
    wait_for(f"{url}/health", lambda: call("GET", f"{url}/health").status == 200, timeout_s, pause_s=0.01)


def find_free_port() -> int:
    """Return a free loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def is_in_use(port: int) -> bool:
    """Return whether a process listens on the loopback `port`."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def explain_absence() -> str | None:
    """Return why no engine can be used, or None if one can."""
    if shutil.which("docker") is None:
        return "no docker command is installed"
    for words in (["info"], ["compose", "version"]):
        done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"docker {' '.join(words)} fails: {done.stderr.strip()}"
    return None


def copy_tracked_files(source: Path, target: Path) -> None:
    """Copy the tracked files with their uncommitted changes."""
    for name in iterate_tracked(source):
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, destination)


def iterate_tracked(folder: Path) -> Iterator[str]:
    """Yield the files under `folder` that git tracks."""
    listing: Sequence[str] = subprocess.run(
        ["git", "ls-files", "-z"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return (name for name in listing if name and (folder / name).is_file())


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
