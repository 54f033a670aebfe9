"""Prometheus, Alertmanager and promtool as the tests use them: the real ones, on free ports, ended with the test."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from observability.__main__ import write_yaml
from observability.rules import create_rule_files


def find_tool(name: str) -> str:
    """The program's path. Skips the test on a machine without it; fails where everything must run."""
    path = shutil.which(name)
    if path is not None:
        return path
    reason = f"{name} is not on PATH: install Prometheus and Alertmanager to run this test"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def write_rules(folder: Path, speed: int = 1) -> list[str]:
    """Write the rule files, all spans of time divided by `speed`; their names."""
    files = create_rule_files(speed)
    for name, document in files.items():
        (folder / name).write_text(write_yaml(document))
    return sorted(files)


def run_promtool(folder: Path, tests: Sequence[Mapping[str, Any]]) -> None:
    """Run unit tests of rules against the rule files in `folder`, evaluated every minute."""
    document = {
        "rule_files": write_rules(folder),
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", **test} for test in tests],
    }
    path = folder / "test.yml"
    path.write_text(write_yaml(document))
    ran = subprocess.run(
        [find_tool("promtool"), "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
