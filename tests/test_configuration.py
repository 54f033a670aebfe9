"""Test the files that other programs read: compose, Prometheus, Grafana, the Collector, GitHub, and our links."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from devops_api.items.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PROMETHEUS_CONFIG = "observability/prometheus/prometheus.yml"
DATASOURCES = "observability/grafana/provisioning/datasources"
TRACING = {"collector", "jaeger", "loki"}


def run_tool(*words: str, environment: dict[str, str] | None = None) -> str:
    """Return the output of a tool of this environment or of the machine. Fails with its output if it fails."""
    tool = shutil.which(words[0], path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if tool is None and os.environ.get("CI") != "true":
        pytest.skip(f"{words[0]} is not installed")
    assert tool is not None, f"{words[0]} is not installed"
    done = subprocess.run([tool, *words[1:]], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read_yaml(name: str) -> Any:
    """Return a decoded YAML file of the project."""
    return yaml.safe_load((ROOT / name).read_text())


def read_settings(name: str) -> dict[str, str]:
    """Return a file of NAME=value lines as a dictionary."""
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def read_data_sources() -> dict[str, Any]:
    """Return the data sources provisioned for Grafana, by uid."""
    files = sorted((ROOT / DATASOURCES).glob("*.yml"))
    sources = [source for file in files for source in yaml.safe_load(file.read_text())["datasources"]]
    assert len({source["uid"] for source in sources}) == len(sources)
    return {source["uid"]: source for source in sources}


def resolve_composition(*options: str) -> Any:
    """Return the services of compose.yml as compose resolves them, without a user's settings."""
    ours = ("COMPOSE_", "OTEL_", "DEVOPS_API_", "BIND_ADDRESS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    words = ["docker", "compose", "--env-file", os.devnull, *options, "config", "--format", "json"]
    return json.loads(run_tool(*words, environment=environment))["services"]


def find_listeners() -> set[str]:
    """Return `service:port` for every port on which a service of compose.yml listens."""
    services = read_yaml("compose.yml")["services"]
    published = {f"{name}:{port.split(':')[-1]}" for name in services for port in services[name].get("ports", ())}
    collector, jaeger = read_yaml("otel/collector.yaml"), read_yaml("otel/jaeger.yaml")
    endpoints = {
        "collector": [collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"]],
        "jaeger": [
            jaeger["receivers"]["otlp"]["protocols"]["http"]["endpoint"],
            jaeger["extensions"]["jaeger_query"]["http"]["endpoint"],
        ],
        "loki": [f"0.0.0.0:{read_yaml('otel/loki.yaml')['server']['http_listen_port']}"],
    }
    found = [(name, *endpoint.split(":")) for name in endpoints for endpoint in endpoints[name]]
    own = {f"{name}:{port}" for name, address, port in found if address == "0.0.0.0"}  # noqa: S104
    assert {each for each in published if each.split(":")[0] in TRACING} <= own
    return published | own


def iterate_values(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield every name and value of a document at any depth."""
    pairs = document.items() if isinstance(document, dict) else [("", each) for each in document]
    for name, value in pairs:
        yield name, value
        if isinstance(value, dict | list):
            yield from iterate_values(value)


def find_anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_promtool_accepts_the_configuration_with_every_rule_file() -> None:
    run_tool("promtool", "check", "config", "--lint=all", "--lint-fatal", PROMETHEUS_CONFIG)


def test_every_file_names_the_same_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'version="{version}"' in (ROOT / "docker/Dockerfile").read_text()
    assert read_yaml("compose.yml")["services"]["api"]["image"] == f"devops-api:{version}"


def test_continuous_integration_uses_the_images_of_the_composition_and_pinned_actions() -> None:
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert "run: make tools" in workflow
    assert [
        line for line in re.findall(r"uses: (.+)", workflow) if not re.fullmatch(r"\S+@[0-9a-f]{40} # v.+", line)
    ] == []


def test_every_file_that_builds_the_image_names_one_default_base() -> None:
    arguments = read_yaml("compose.yml")["services"]["api"]["build"]["args"]
    default = re.fullmatch(r"\$\{PYTHON_IMAGE:-(.+)\}", arguments["PYTHON_IMAGE"])
    assert default
    assert (ROOT / "docker/Dockerfile").read_text().startswith(f"ARG PYTHON_IMAGE={default[1]}\n")


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *sorted(p.name for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_to_files_and_headings_that_exist(page: str) -> None:
    path = next(folder / page for folder in (ROOT, ROOT / "docs") if (folder / page).exists())
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text()):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        assert not anchor or anchor in find_anchors(target), link


def test_every_path_that_compose_mounts_exists() -> None:
    """The engine creates a folder, owned by root, for a path that does not exist."""
    for name, service in read_yaml("compose.yml")["services"].items():
        for source in (volume.split(":")[0] for volume in service.get("volumes", [])):
            assert not source.startswith(".") or (ROOT / source).exists(), f"{name} mounts {source}"


def test_the_default_data_source_is_prometheus_with_the_scrape_interval() -> None:
    source = read_data_sources()["prometheus"]
    interval = read_yaml(PROMETHEUS_CONFIG)["global"]["scrape_interval"]
    assert source["isDefault"]
    assert source["jsonData"]["timeInterval"] == interval


def test_data_sources_link_to_each_other_and_to_services_that_listen() -> None:
    sources, listeners = read_data_sources(), find_listeners()
    for uid, source in sources.items():
        assert urlsplit(source["url"]).netloc in listeners, uid
        assert source["editable"] is False, uid
    links = {uid: {v for k, v in iterate_values(sources[uid]) if k == "datasourceUid"} for uid in sources}
    assert links == {"prometheus": {"jaeger"}, "jaeger": {"loki"}, "loki": {"jaeger"}}
    (exemplars,) = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert exemplars["name"] == "trace_id"


def test_data_sources_have_no_variable_that_grafana_would_expand() -> None:
    """Grafana replaces `$name` by a variable of its environment, or by nothing."""
    values = [value for source in read_data_sources().values() for _, value in iterate_values(source)]
    assert [value for value in values if isinstance(value, str) and "$" in value.replace("$$", "")] == []


@pytest.mark.parametrize("name", ["otel/collector.yaml", "otel/jaeger.yaml"])
def test_every_part_of_a_pipeline_is_defined_and_every_defined_part_is_used(name: str) -> None:
    config = read_yaml(name)
    pipelines = config["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        used = {part for pipeline in pipelines for part in pipeline.get(kind, ())}
        assert used == config.get(kind, {}).keys(), kind
    assert set(config["service"].get("extensions", ())) == config.get("extensions", {}).keys()


def test_jaeger_shows_the_traces_that_it_stores_and_bounds_their_number() -> None:
    config = read_yaml("otel/jaeger.yaml")
    ((name, backend),) = config["extensions"]["jaeger_storage"]["backends"].items()
    assert config["extensions"]["jaeger_query"]["storage"]["traces"] == name
    assert config["exporters"]["jaeger_storage_exporter"]["trace_storage"] == name
    assert backend["memory"]["max_traces"] > 0


def test_spans_and_log_lines_reach_their_stores_through_the_collector() -> None:
    listeners, config = find_listeners(), read_yaml("otel/collector.yaml")
    assert urlsplit(read_settings("otel/tracing.env")["OTEL_EXPORTER_OTLP_ENDPOINT"]).netloc in listeners
    for exporter in config["exporters"].values():
        assert urlsplit(exporter["endpoint"]).netloc in listeners
    stores = {signal: pipeline["exporters"] for signal, pipeline in config["service"]["pipelines"].items()}
    assert stores == {"traces": ["otlp_http/jaeger"], "logs": ["otlp_http/loki"]}
    # Metrics have no pipeline, so the Collector would reject them with 404.
    assert read_settings("otel/sdk.env")["OTEL_METRICS_EXPORTER"] == "none"


def test_loki_stores_everything_on_its_volume_with_a_retention_period() -> None:
    config = read_yaml("otel/loki.yaml")
    assert "loki:/loki" in read_yaml("compose.yml")["services"]["loki"]["volumes"]
    directories = config["common"]["storage"]["filesystem"].values()
    assert all(path.startswith("/loki") for path in (config["common"]["path_prefix"], *directories))
    assert config["compactor"]["retention_enabled"]
    assert config["limits_config"]["retention_period"]


def test_tracing_env_starts_the_tracing_services_and_makes_the_api_send_to_them() -> None:
    services = resolve_composition("--env-file", "otel/tracing.env")
    assert services.keys() >= TRACING
    assert services["api"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"]
    assert services["api"]["environment"]["OTEL_METRICS_EXPORTER"] == "none"


def test_the_api_sends_no_telemetry_by_default() -> None:
    services = resolve_composition()
    assert services.keys() & TRACING == set()
    assert services["api"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == ""


def test_tracing_services_are_locked_down() -> None:
    for name, service in resolve_composition("--profile", "tracing").items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"mem_limit", "cpus", "pids_limit", "logging"} <= service.keys(), name
        assert {port["host_ip"] for port in service.get("ports", ())} <= {"127.0.0.1"}, name


def test_every_image_has_a_pinned_version_that_a_variable_can_change() -> None:
    services = read_yaml("compose.yml")["services"]
    others = {name: service["image"] for name, service in services.items() if "devops-api:" not in service["image"]}
    pinned = r"\$\{%s_IMAGE:-[a-z/-]+:v?\d+\.\d+\.\d+\}"
    assert {n: image for n, image in others.items() if not re.fullmatch(pinned % n.upper(), image)} == {}
    assert others.keys() >= TRACING


def test_the_stop_grace_period_exceeds_the_stop_timeout() -> None:
    grace = read_yaml("compose.yml")["services"]["api"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > Settings().stop_timeout_s
