"""Running the real `devops-api` command in a process of its own."""

import contextlib
import os
import pty
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from devops_api.items.settings import IDENTITY

PREFIX: Final = IDENTITY.settings_prefix
# One item per line, as `import` reads them.
LINES: Final = [
    '{"name": "Oak chair", "price": 129, "sku": "C-1", "tags": ["new", "home"]}',
    '{"name": "Lamp", "price": 9.99, "sku": "L-1", "description": "two\\nlines, \\"quoted\\""}',
]
COMMAND: Final = (sys.executable, "-m", "devops_api")
TIMEOUT_S: Final = 60


def create_rows(count: int, **fields: str) -> str:
    """Return NDJSON of items that differ in name and sku."""
    more = "".join(f', "{name}": "{value}"' for name, value in fields.items())
    return "".join(f'{{"name": "row {number}", "price": 1, "sku": "s{number}"{more}}}\n' for number in range(count))


class Commands:
    """Commands in one folder, where they also find the database. No setting of the test run reaches them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(
        self, *arguments: str, text: str | None = None, environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command until it exits; `text` is its standard input."""
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=_clean_environment() | dict(environment or {}),
            input=text,
            text=True,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def start(self, *arguments: str, stdin: int | None = None) -> "subprocess.Popen[str]":
        """Start a command whose output can be read."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=_clean_environment(),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run_on_terminal(self, *arguments: str, environment: Mapping[str, str]) -> str:
        """Run a command that succeeds; return what it writes to standard error, which is a terminal."""
        master, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 100))
        shown = bytearray()

        def read() -> None:
            with contextlib.suppress(OSError):  # The end of a terminal is an error.
                while part := os.read(master, 65_536):
                    shown.extend(part)

        reader = threading.Thread(target=read)
        reader.start()
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=_clean_environment() | dict(environment),
            stdout=subprocess.DEVNULL,
            stderr=terminal,
            timeout=TIMEOUT_S,
            check=False,
        )
        os.close(terminal)
        reader.join()
        os.close(master)
        text = shown.decode()
        assert done.returncode == 0, text
        return text


def find_progress(unit: str) -> str:
    """Return a pattern for a finished progress bar: how much, how long, how fast."""
    return rf"100%\|█+\| *([\d.]+[kM]?)/\1 \[\d\d:\d\d<\d\d:\d\d, *[\d.]+{unit}/s\]"


def _clean_environment() -> dict[str, Any]:
    return {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "OTEL_"))}
