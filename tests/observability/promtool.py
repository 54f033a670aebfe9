"""Runs promtool, and builds the series that it evaluates rules against."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from observability.__main__ import write_yaml
from observability.queries.requests import BUCKETS, COUNT
from observability.rules import create_rule_files

SERVICE = 'job="devops-api",instance="a:8000"'
OTHER_INSTANCE = 'job="devops-api",instance="b:8000"'
PROMETHEUS = 'job="prometheus",instance="p:9090"'


def find_tool(name: str) -> str:
    """Return a program's path. Without the program the test is skipped; with CI=true it fails."""
    path = shutil.which(name)
    if path is not None:
        return path
    reason = f"{name} is not on PATH: install Prometheus and Alertmanager to run this test"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def run_tool(name: str, *arguments: str) -> None:
    """Run a program; fail the test with its output if it fails."""
    ran = subprocess.run([find_tool(name), *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def write_rules(folder: Path, speed: int = 1) -> list[str]:
    """Write the rule files with all durations divided by `speed`; return their names."""
    files = create_rule_files(speed)
    for name, document in files.items():
        (folder / name).write_text(write_yaml(document))
    return sorted(files)


def run_promtool(folder: Path, series: Mapping[str, str], **tests: list[Any]) -> None:
    """Run promtool's tests of rules (`alert_rule_test`, `promql_expr_test`) on series with a sample per minute."""
    path = folder / "test.yml"
    given = [{"series": name, "values": values} for name, values in series.items()]
    document = {
        "rule_files": write_rules(folder),
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": given, **tests}],
    }
    path.write_text(write_yaml(document))
    run_tool("promtool", "test", "rules", str(path))


def count(values: str, *, status: str = "200", route: str = "/items/{id}", labels: str = SERVICE) -> dict[str, str]:
    """Return a series that counts requests."""
    return {f'{COUNT}{{{labels},http_route="{route}",http_response_status_code="{status}"}}': values}


def bucket(values: str, *, le: str = "0.1", route: str = "/items/{id}") -> dict[str, str]:
    """Return a series that counts requests up to a duration."""
    return {f'{BUCKETS}{{{SERVICE},http_route="{route}",http_response_status_code="200",le="{le}"}}': values}
