"""No panel may be dead: a real Prometheus scrapes the real service, and every query that somebody sees is asked."""

import json
import re
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from servers import Prometheus, find_port, run_load, run_prometheus, run_service, send, wait_for
from walk import Asked, interpolate, load_boards, load_rules, walk_boards, walk_rules

SPEED = 60  # An hour passes in a minute, so that alerts fire while the test waits.
TRAFFIC_S = 15
STEP_S = 1
START_TIMEOUT_S = 60
VALUES = {"job": ".+", "instance": ".+", "route": ".+", "__rate_interval": "15s", "__range": "1m", "__interval": "1s"}
ASKED = [*walk_boards(load_boards()), *walk_rules(load_rules())]
TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


class Live(NamedTuple):
    """What runs: the service's address, and the Prometheus that scrapes it."""

    url: str
    prometheus: Prometheus


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service that has had a while of everything: reads, writes, errors, slow requests, traces, nonsense."""
    folder = tmp_path_factory.mktemp("live")
    port = find_port()
    with (
        run_service(folder, port, {"OTEL_TRACES_SAMPLER": "parentbased_always_on"}) as url,
        run_prometheus(folder, f"127.0.0.1:{port}", speed=SPEED, interval_s=STEP_S) as prometheus,
        run_load(url, 30, folder),
    ):
        live = Live(url, prometheus)
        send("PUT", f"{url}/faults", {"error_ratio": 0.1, "latency_ms": 20})
        deadline = time.monotonic() + TRAFFIC_S
        while time.monotonic() < deadline:
            call_everything(url)
        wait_for("an alert that fires", lambda: prometheus.query('ALERTS{alertstate="firing"}'), START_TIMEOUT_S)
        yield live


def call_everything(url: str) -> None:
    """What the steady mix lacks."""
    send("POST", f"{url}/items", {"name": "Traced", "price": 1}, TRACE)
    send("GET", f"{url}/items?limit=1", headers=TRACE)
    send("POST", f"{url}/items/batch", [{"name": "One", "price": 1}, {"name": "Two", "price": 2}])
    import_lines(url, b'{"name": "Line", "price": 1}\n{"name": "", "price": -1}\nnonsense\n')
    send("GET", f"{url}/items/export")
    send("GET", f"{url}/nowhere")
    send("DELETE", f"{url}/items")
    send("GET", f"{url}/health")
    time.sleep(0.1)


def import_lines(url: str, lines: bytes) -> None:
    headers = {"Content-Type": "application/x-ndjson"}
    request = urllib.request.Request(f"{url}/items/import", lines, headers)  # noqa: S310 - http, to this machine
    try:
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()


def ask(live: Live, asked: Asked) -> list[Mapping[str, str]]:
    """The labels of every series that the question finds a number for."""
    if asked.kind == "variable":
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", asked.expr).groups()
        values = live.prometheus.ask(f"label/{label}/values", **{"match[]": interpolate(selector, VALUES)})
        return [{label: value} for value in values]
    found = live.prometheus.query_range(interpolate(asked.expr, VALUES), 60, STEP_S)
    return [series.labels for series in found if any(value == value for value in series.values)]  # noqa: PLR0124 - NaN


@pytest.mark.parametrize("asked", [pytest.param(asked, id=asked.where) for asked in ASKED])
def test_every_question_has_an_answer(asked: Asked, live: Live) -> None:
    answers = ask(live, asked)
    assert answers, asked.expr
    for label in re.findall(r"{{\s*(\w+)\s*}}", asked.legend):
        assert all(label in answer for answer in answers), f"a series has no label {label}"


@pytest.mark.parametrize("asked", [pytest.param(asked, id=asked.where) for asked in ASKED if asked.has_exemplars])
def test_exemplars_lead_to_traces(asked: Asked, live: Live) -> None:
    exemplars = live.prometheus.query_exemplars(interpolate(asked.expr, VALUES), 120)
    assert exemplars
    for exemplar in exemplars:
        assert re.fullmatch("[0-9a-f]{32}", exemplar["labels"]["trace_id"])


def test_every_rule_is_evaluated_without_an_error(live: Live) -> None:
    rules = [rule for group in live.prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(load_rules())
    for rule in rules:
        assert (rule["health"], rule.get("lastError", "")) == ("ok", ""), rule["name"]


def test_the_numbers_are_those_that_the_service_was_asked_for(live: Live) -> None:
    """The boards' requests are the service's own count of them."""
    name = "http_server_request_duration_seconds_count"
    before = sum(series.values[0] for series in live.prometheus.query(f'{name}{{http_route="/docs"}}'))
    for _ in range(7):
        send("GET", f"{live.url}/docs")
    wait_for(
        "seven requests more",
        lambda: sum(s.values[0] for s in live.prometheus.query(f'{name}{{http_route="/docs"}}')) == before + 7,
        10,
    )


def test_prometheus_took_every_sample(live: Live) -> None:
    (target,) = (t for t in live.prometheus.ask("targets")["activeTargets"] if t["labels"]["job"] == "devops-api")
    assert (target["health"], target["lastError"]) == ("up", "")


def read_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310
        return json.load(reply)


def test_a_deploy_leaves_a_mark(tmp_path: Path) -> None:
    """The real service's version is what the annotation's query sees; `test_dashboards` has what is no deploy."""
    port = find_port()
    deploys = next(asked for asked in ASKED if "annotation 'Deploys'" in asked.where)
    expr = interpolate(deploys.expr, VALUES).replace("offset 5m", "offset 5s")

    def find_versions(prometheus: Prometheus) -> set[str]:
        return {series.labels["service_version"] for series in prometheus.query(expr)}

    target = f"127.0.0.1:{port}"
    with run_prometheus(tmp_path, target, speed=SPEED, interval_s=0.5) as prometheus:
        with run_service(tmp_path, port, {"OTEL_RESOURCE_ATTRIBUTES": "service.version=1.0.0"}):
            wait_for("the first version", lambda: find_versions(prometheus) == {"1.0.0"}, 20)
            wait_for("its mark to end", lambda: not find_versions(prometheus), 20)
        with run_service(tmp_path, port, {"OTEL_RESOURCE_ATTRIBUTES": "service.version=1.0.1"}):
            wait_for("the second version's mark", lambda: find_versions(prometheus) == {"1.0.1"}, 20)
