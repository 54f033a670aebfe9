"""Every query must have a result: a real Prometheus scrapes the real service and evaluates all of them."""

import re
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import walk
from servers import Prometheus, find_port, run_load, run_prometheus, run_service, send, wait_for
from walk import Query, for_each, interpolate, load_dashboards, load_rules, unwrap, walk_dashboards, walk_rules

from observability.queries.requests import COUNT

SPEED = 60  # An hour of the rules takes a minute, so that alerts fire during the test.
TRAFFIC_S = 15
STEP_S = 1
START_TIMEOUT_S = 60
VALUES = walk.VALUES | {"__rate_interval": "15s", "__range": "1m", "__interval": "1s"}
QUERIES = [*walk_dashboards(load_dashboards()), *walk_rules(load_rules())]
TRACE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


class Live(NamedTuple):
    """The service's address, and the Prometheus that scrapes it."""

    url: str
    prometheus: Prometheus


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Run a service with all kinds of requests: reads, writes, errors, slow, traced and invalid ones."""
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
        wait_for("a firing alert", lambda: prometheus.query('ALERTS{alertstate="firing"}'), START_TIMEOUT_S)
        yield live


def call_everything(url: str) -> None:
    """Send the kinds of requests that the steady mix lacks."""
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


def evaluate(live: Live, query: Query) -> list[Mapping[str, str]]:
    """Return the labels of every series in the result that has a number."""
    if query.kind == "variable":
        selector, label = unwrap(query.expr)
        values = live.prometheus.get(f"label/{label}/values", **{"match[]": interpolate(selector, VALUES)})
        return [{label: value} for value in values]
    found = live.prometheus.query_range(interpolate(query.expr, VALUES), 60, STEP_S)
    return [series.labels for series in found if any(value == value for value in series.values)]  # noqa: PLR0124 - NaN


@for_each(QUERIES)
def test_every_query_has_a_result(query: Query, live: Live) -> None:
    results = evaluate(live, query)
    assert results, query.expr
    for label in re.findall(r"{{\s*(\w+)\s*}}", query.legend):
        assert all(label in labels for labels in results), f"a series has no label {label}"


@for_each(query for query in QUERIES if query.has_exemplars)
def test_exemplars_lead_to_traces(query: Query, live: Live) -> None:
    exemplars = live.prometheus.query_exemplars(interpolate(query.expr, VALUES), 120)
    assert exemplars
    for exemplar in exemplars:
        assert re.fullmatch("[0-9a-f]{32}", exemplar["labels"]["trace_id"])


def test_every_rule_is_evaluated_without_an_error(live: Live) -> None:
    rules = [rule for group in live.prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(load_rules())
    for rule in rules:
        assert (rule["health"], rule.get("lastError", "")) == ("ok", ""), rule["name"]


def test_counted_requests_are_those_that_were_sent(live: Live) -> None:
    before = sum(series.values[0] for series in live.prometheus.query(f'{COUNT}{{http_route="/docs"}}'))
    for _ in range(7):
        send("GET", f"{live.url}/docs")
    wait_for(
        "seven more requests",
        lambda: sum(s.values[0] for s in live.prometheus.query(f'{COUNT}{{http_route="/docs"}}')) == before + 7,
        10,
    )


def test_prometheus_accepts_every_sample(live: Live) -> None:
    (target,) = (t for t in live.prometheus.get("targets")["activeTargets"] if t["labels"]["job"] == "devops-api")
    assert (target["health"], target["lastError"]) == ("up", "")


def test_a_deploy_leaves_a_mark(tmp_path: Path) -> None:
    """The query sees the version of a real service; `test_dashboard_queries` has the cases that are no deploy."""
    port = find_port()
    deploys = next(query for query in QUERIES if "annotation 'Deploys'" in query.where)
    expr = interpolate(deploys.expr, VALUES).replace("offset 5m", "offset 5s")

    def find_versions(prometheus: Prometheus) -> set[str]:
        return {series.labels["service_version"] for series in prometheus.query(expr)}

    target = f"127.0.0.1:{port}"
    with run_prometheus(tmp_path, target, speed=SPEED, interval_s=0.5) as prometheus:
        with run_service(tmp_path, port, {"OTEL_RESOURCE_ATTRIBUTES": "service.version=1.0.0"}):
            wait_for("the first version", lambda: find_versions(prometheus) == {"1.0.0"}, 20)
            wait_for("the end of its mark", lambda: not find_versions(prometheus), 20)
        with run_service(tmp_path, port, {"OTEL_RESOURCE_ATTRIBUTES": "service.version=1.0.1"}):
            wait_for("the second version's mark", lambda: find_versions(prometheus) == {"1.0.1"}, 20)
