"""The files that other programs read are right before those programs meet them."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from devops_api.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PROMETHEUS_CONFIG = "observability/prometheus/prometheus.yml"


def run_tool(*words: str) -> None:
    """Run a tool of this environment, else of the machine; its complaints are the failure's text."""
    tool = shutil.which(words[0], path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if tool is None and os.environ.get("CI") != "true":
        pytest.skip(f"{words[0]} is not installed")
    assert tool is not None, f"{words[0]} is not installed"
    done = subprocess.run([tool, *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def read_yaml(name: str) -> Any:
    """A YAML file of the project."""
    return yaml.safe_load((ROOT / name).read_text())


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    run_tool("hadolint", "docker/Dockerfile")


def test_yamllint_finds_nothing() -> None:
    run_tool("yamllint", "--strict", ".")


def test_compose_yml_follows_the_compose_specification() -> None:
    run_tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yml")


@pytest.mark.parametrize("schema", ["github-workflows", "dependabot"])
def test_files_for_github_follow_their_schemas(schema: str) -> None:
    name = {"github-workflows": ".github/workflows/ci.yml", "dependabot": ".github/dependabot.yml"}[schema]
    run_tool("check-jsonschema", "--builtin-schema", f"vendor.{schema}", name)


def test_promtool_accepts_the_configuration_with_every_rule_file() -> None:
    run_tool("promtool", "check", "config", "--lint=all", "--lint-fatal", PROMETHEUS_CONFIG)


def test_one_version_is_written_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'version="{version}"' in (ROOT / "docker/Dockerfile").read_text()
    assert read_yaml("compose.yml")["services"]["api"]["image"] == f"devops-api:{version}"


def test_continuous_integration_uses_the_images_of_the_composition_and_actions_that_cannot_move() -> None:
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    image = re.fullmatch(r"\$\{PROMETHEUS_IMAGE:-(.+)\}", read_yaml("compose.yml")["services"]["prometheus"]["image"])
    assert image
    assert f"take {image[1]} prometheus promtool" in workflow
    assert [
        line for line in re.findall(r"uses: (.+)", workflow) if not re.fullmatch(r"\S+@[0-9a-f]{40} # v.+", line)
    ] == []


def test_what_compose_mounts_is_there() -> None:
    """The engine would make a folder, owned by root, of a path that is not."""
    for name, service in read_yaml("compose.yml")["services"].items():
        for source in (volume.split(":")[0] for volume in service.get("volumes", [])):
            assert not source.startswith(".") or (ROOT / source).exists(), f"{name} mounts {source}"


def test_dashboards_find_their_data_source() -> None:
    (source,) = read_yaml("observability/grafana/provisioning/datasources/prometheus.yml")["datasources"]
    interval = read_yaml(PROMETHEUS_CONFIG)["global"]["scrape_interval"]
    assert source["uid"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == interval


def test_the_engine_waits_longer_for_the_api_than_the_api_for_its_clients() -> None:
    grace = read_yaml("compose.yml")["services"]["api"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > Settings().stop_timeout_s
