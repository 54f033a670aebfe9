"""Test that one command starts the API, Prometheus and Grafana, and that they work together."""

import base64
import json
import os
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from containers.conftest import ROOT, refuse_to_disturb
from containers.engine import BUILD_TIMEOUT_S, Engine, call, wait_for, wait_until_serving

API, PROMETHEUS, GRAFANA = (f"http://127.0.0.1:{port}" for port in (8000, 9090, 3000))
IMAGE = "devops-api:1.0.0"
CONFIG = "/etc/observability/prometheus/prometheus.yml"
SCRAPE_TIMEOUT_S = 45  # three scrapes
GENERATED = ROOT / "observability/generated"
DASHBOARDS = sorted((GENERATED / "dashboards").glob("*.json"))

pytestmark = [pytest.mark.containers, pytest.mark.timeout(BUILD_TIMEOUT_S), pytest.mark.usefixtures("compose")]


@pytest.fixture(scope="module")
def compose(engine: Engine, tree: Path) -> Iterator[Engine]:
    """Start all of compose.yml under a unique project name and without a user's settings."""
    project = f"devops-api-test-{uuid4().hex[:8]}"
    stack = Engine(tree, {"COMPOSE_PROJECT_NAME": project, "BIND_ADDRESS": "", "COMPOSE_PROFILES": ""})
    refuse_to_disturb(stack)
    before = engine.inspect("image", IMAGE)
    try:
        stack.docker("compose", "up", "-d", "--build", "--wait", timeout_s=BUILD_TIMEOUT_S)
        yield stack
    finally:
        stack.docker("compose", "down", "--volumes")
        engine.restore_tag(IMAGE, before)


def query(expression: str) -> list[Any]:
    """Return the series of an instant query to Prometheus."""
    reply = call("GET", f"{PROMETHEUS}/api/v1/query?{urllib.parse.urlencode({'query': expression})}").json()
    assert reply["status"] == "success", reply
    return list(reply["data"]["result"])


def read_number(expression: str) -> float:
    """Return the value of the only series of a query. Raises LookupError if there is none yet."""
    return float(query(expression)[0]["value"][1])


def create_item(name: str = "Test") -> str:
    """Create an item and return its path."""
    reply = call("POST", f"{API}/items", {"name": name, "price": 9.99})
    assert reply.status == 201, reply
    return reply.headers["location"]


def test_every_service_is_healthy_and_holds_no_more_rights_than_it_needs(compose: Engine) -> None:
    names = compose.docker("compose", "ps", "--format", "{{.Service}} {{.Name}} {{.Health}}").splitlines()
    assert sorted(line.split()[0] for line in names) == ["api", "grafana", "prometheus"]
    for service, name, health in (line.split() for line in names):
        host = compose.inspect("container", name)["HostConfig"]
        assert health == "healthy", service
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert host["Memory"] > 0, service
        assert host["NanoCpus"] > 0, service
        assert host["PidsLimit"] > 0, service
        assert host["LogConfig"]["Config"].keys() >= {"max-size", "max-file"}, service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
        ports = [binding["HostIp"] for bindings in host["PortBindings"].values() for binding in bindings]
        assert ports == ["127.0.0.1"], service


def test_variables_choose_addresses_images_and_the_first_login(compose: Engine) -> None:
    chosen = {
        "BIND_ADDRESS": "192.0.2.1",
        "PYTHON_IMAGE": "python:3.11-slim",
        "PROMETHEUS_IMAGE": "example.org/prometheus:1",
        "GRAFANA_IMAGE": "example.org/grafana:1",
        "COLLECTOR_IMAGE": "example.org/collector:1",
        "JAEGER_IMAGE": "example.org/jaeger:1",
        "LOKI_IMAGE": "example.org/loki:1",
        "COMPOSE_PROFILES": "tracing",
        "GRAFANA_ADMIN_USER": "somebody",
        "GRAFANA_ADMIN_PASSWORD": "a long one",
    }
    stack = Engine(compose.folder, {**compose.environment, **chosen})
    services = json.loads(stack.docker("compose", "config", "--format", "json"))["services"]
    assert {port["host_ip"] for service in services.values() for port in service.get("ports", ())} == {"192.0.2.1"}
    assert services["api"]["build"]["args"]["PYTHON_IMAGE"] == "python:3.11-slim"
    for name in ("prometheus", "grafana", "collector", "jaeger", "loki"):
        assert services[name]["image"] == f"example.org/{name}:1"
    login = services["grafana"]["environment"]
    assert (login["GF_SECURITY_ADMIN_USER"], login["GF_SECURITY_ADMIN_PASSWORD"]) == ("somebody", "a long one")


def test_the_names_that_people_type_exist(compose: Engine) -> None:
    assert compose.inspect("container", "api")["Config"]["Image"] == IMAGE
    network = compose.inspect("network", "devops-network")
    assert len(network["Containers"]) == 3


def test_prometheus_scrapes_the_api_and_counts_what_a_client_creates() -> None:
    wait_for("the first scrape", lambda: read_number('up{job="devops-api"}') == 1, SCRAPE_TIMEOUT_S)
    settled = read_exposed_total()
    for _ in range(7):
        create_item()
    assert read_exposed_total() == settled + 7
    counted = "sum(items_created_total)"
    wait_for("the seven to be counted", lambda: read_number(counted) == settled + 7, SCRAPE_TIMEOUT_S)


def read_exposed_total() -> float:
    """Return the current `items_created_total` of /metrics."""
    text = call("GET", f"{API}/metrics").body.decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("items_created_total"))


def test_prometheus_keeps_35_days_and_exemplars(compose: Engine) -> None:
    compose.docker("compose", "exec", "-T", "prometheus", "promtool", "check", "config", "--lint=all", CONFIG)
    flags = call("GET", f"{PROMETHEUS}/api/v1/status/flags").json()["data"]
    assert flags["storage.tsdb.retention.time"] in {"5w", "35d"}
    assert "exemplar-storage" in flags["enable-feature"]
    assert flags["web.enable-lifecycle"] == "false"
    targets = call("GET", f"{PROMETHEUS}/api/v1/targets").json()["data"]["activeTargets"]
    assert {target["labels"]["job"] for target in targets} == {"devops-api", "prometheus"}
    assert {target["scrapeInterval"] for target in targets} == {"15s"}


def test_prometheus_loads_every_committed_rule() -> None:
    committed = {path.name for path in GENERATED.glob("*.yml")}
    assert committed
    groups = call("GET", f"{PROMETHEUS}/api/v1/rules").json()["data"]["groups"]
    assert {Path(group["file"]).name for group in groups} == committed
    assert [rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")] == []


def test_grafana_provisions_every_dashboard() -> None:
    assert call("GET", f"{GRAFANA}/api/health").json()["database"] == "ok"
    user, password = (os.environ.get(f"GRAFANA_ADMIN_{name}") or "admin" for name in ("USER", "PASSWORD"))
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    committed = {json.loads(path.read_text())["uid"] for path in DASHBOARDS}

    def is_complete() -> bool:
        found = call("GET", f"{GRAFANA}/api/search?type=dash-db", headers={"Authorization": f"Basic {login}"}).json()
        return {board["uid"] for board in found} == committed

    assert committed
    wait_for("Grafana to read its dashboards", is_complete, timeout_s=30)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_query_of_a_dashboard_returns_data(path: Path) -> None:
    waiting = list(iterate_expressions(path))
    assert waiting

    def is_answered() -> bool:
        create_item()
        waiting[:] = [expression for expression in waiting if not query(expression)]
        if waiting:
            raise LookupError(f"{len(waiting)} without data, the first of them {waiting[0]}")
        return True

    wait_for(f"data for {path.name}", is_answered, timeout_s=120, pause_s=2)


def test_creations_move_the_numbers_of_the_service_dashboard() -> None:
    expressions = list(iterate_expressions(GENERATED / "dashboards/service.json"))

    def find_moved() -> list[Any]:
        create_item()
        found = [series for expression in expressions for series in query(expression)]
        return [each for each in found if each["metric"].get("http_route") == "/items" and float(each["value"][1]) > 0]

    wait_for("requests to /items on the dashboard", find_moved, timeout_s=120, pause_s=2)


def iterate_expressions(path: Path) -> Iterator[str]:
    """Yield the queries of every panel, with Grafana's variables set to their defaults."""
    board = json.loads(path.read_text())
    panels = [each for panel in board["panels"] for each in (panel, *panel.get("panels", []))]
    for target in (target for panel in panels for target in panel.get("targets", [])):
        expression = target["expr"].replace("$__rate_interval", "1m").replace("$__range", "5m")
        yield re.sub(r"\$\{?[a-z]\w*(:\w+)?\}?", ".+", expression.replace("$__interval", "15s"))


def test_items_survive_a_restart_and_a_new_container(compose: Engine) -> None:
    location = create_item("kept")
    compose.docker("compose", "restart", "api")
    wait_until_serving(API)
    assert call("GET", API + location).json()["name"] == "kept"
    first = compose.inspect("container", "api")["Id"]
    compose.docker("compose", "up", "-d", "--wait", "--force-recreate", "api")
    assert compose.inspect("container", "api")["Id"] != first
    assert call("GET", API + location).json()["name"] == "kept"


def test_one_container_reaches_another_by_name(compose: Engine) -> None:
    assert "prometheus:9090" in compose.docker("exec", "api", "devops-api", "ping", "prometheus:9090")
    assert compose.run("exec", "api", "devops-api", "ping", "prometheus:1").returncode == 1


def test_down_stops_cleanly_and_up_brings_everything_back(compose: Engine) -> None:
    location = create_item("kept")
    compose.docker("compose", "stop", "api")
    stopped = compose.inspect("container", "api")["State"]
    assert stopped["ExitCode"] == 0
    compose.docker("compose", "down")
    assert compose.inspect("container", "api") is None
    assert compose.inspect("network", "devops-network") is None
    compose.docker("compose", "up", "-d", "--wait")
    assert call("GET", API + location).json()["name"] == "kept"
