"""Every alert is tested at its edge: silent one minute before it must fire, firing then, and resolved at the end."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from alert_cases import CASES, END, QUIET, Case
from promtool import SERVICE, run_promtool
from walk import find_names, load_alerts, load_dashboards, load_rules

from observability.alerts import WATCHED

ALERTS = load_alerts()


def name_case(case: Case) -> str:
    return "-".join([case.alert, *case.which.values()])


def find_rule(case: Case) -> Mapping[str, Any]:
    (rule,) = (rule for rule in ALERTS if rule["alert"] == case.alert and case.which.items() <= rule["labels"].items())
    return rule


def render(template: str, case: Case) -> str:
    """Render an annotation as Prometheus does."""
    labels = {**case.labels, **find_rule(case)["labels"]}

    def write(match: re.Match[str]) -> str:
        label = re.fullmatch(r"\$labels\.(\w+)", match[1])
        return labels[label[1]] if label else case.value

    return re.sub(r"{{ (.*?) }}", write, template)


def expect(case: Case) -> Iterator[Mapping[str, Any]]:
    rule = find_rule(case)
    fired = {
        "exp_labels": {**case.labels, **rule["labels"]},
        "exp_annotations": {name: render(text, case) for name, text in rule["annotations"].items()},
    }
    for minute, alerts in ((case.fires_at - 1, []), (case.fires_at, [fired]), (case.resolved_at, [])):
        yield {"alertname": case.alert, "eval_time": f"{minute}m", "exp_alerts": alerts}


@pytest.mark.parametrize("case", [pytest.param(case, id=name_case(case)) for case in CASES])
def test_an_alert_is_silent_then_fires_and_resolves(case: Case, tmp_path: Path) -> None:
    run_promtool(tmp_path, case.series, alert_rule_test=list(expect(case)))


def test_every_alert_has_a_case() -> None:
    tested = {name_case(case) for case in CASES} | {"MetricAbsent"}  # Its cases, one per metric, are below.
    rules = {"-".join([rule["alert"], *filter(None, [rule["labels"].get("long")])]) for rule in ALERTS}
    assert rules == tested, "every alert needs a Case in alert_cases.py, and every Case an alert"


@pytest.mark.parametrize("case", QUIET)
def test_alerts_stay_silent_during(case: str, tmp_path: Path) -> None:
    series, names, minutes = QUIET[case]
    expected = [
        {"alertname": name, "eval_time": f"{minute}m", "exp_alerts": []} for name in names for minute in minutes
    ]
    run_promtool(tmp_path, series, alert_rule_test=expected)


def test_a_job_without_targets_is_a_service_that_is_down(tmp_path: Path) -> None:
    silent, fired, _ = expect(Case("ServiceDown", {}, 2, END, {"job": "devops-api"}, "1"))
    run_promtool(tmp_path, {}, alert_rule_test=[silent, fired])


@pytest.mark.parametrize("metric", WATCHED)
def test_the_absence_of_a_metric_that_alerts_read_fires_and_resolves(metric: str, tmp_path: Path) -> None:
    series = {f"{name}{{{SERVICE}}}": "1x30" for name in WATCHED}
    series[f"{metric}{{{SERVICE}}}"] = "1x4 stale _x11 1x10"
    case = Case("MetricAbsent", series, 10, 17, {"job": "devops-api", "metric": metric}, "1")
    run_promtool(tmp_path, series, alert_rule_test=list(expect(case)))


def test_every_metric_that_alerts_read_is_watched_for_absence() -> None:
    names = find_names(rule["expr"] for rule in load_rules() if rule.get("alert") != "MetricAbsent")
    own = {name for name in names if not name.startswith(("job:", "prometheus_")) and name != "up"}
    assert own == set(WATCHED)


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in ALERTS])
def test_an_alert_states_severity_value_effect_on_users_and_dashboard(rule: Mapping[str, Any]) -> None:
    annotations = rule["annotations"]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert annotations["summary"]
    assert "$value" in annotations["description"] or rule["alert"] == "ServiceDown"
    assert re.search(r"\b[Uu]sers\b", annotations["description"])
    assert annotations["description"].endswith(".")
    dashboard = annotations["dashboard_url"].rsplit("/d/")[1]
    assert dashboard in {document["uid"] for document in load_dashboards().values()}
