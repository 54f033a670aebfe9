"""An alert that never fires, or always does, is worse than none: each is tried at its edge."""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from servers import find_tool, run_promtool
from walk import find_selectors, load_boards, load_rules

from devops_api.telemetry import catalogue as m
from devops_api.telemetry.catalogue import REQUEST_DURATION
from observability.alerts import WATCHED
from observability.objectives import AVAILABILITY, BURNS, LATENCY, OBJECTIVES, Burn, Objective
from observability.queries import THROWN_AWAY

FOLDER = Path(__file__).parents[2] / "observability"
RUNBOOK = FOLDER / "runbook.md"
ALERTMANAGER = FOLDER / "alertmanager" / "alertmanager.yml"
ALERTS = [rule for rule in load_rules() if "alert" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTS})
SERVICE = 'job="devops-api",instance="a:8000"'
PROMETHEUS = 'job="prometheus",instance="p:9090"'
NEVER_MINUTES = 10_000
STORE_OPERATIONS = f"{m.STORE_DURATION.prometheus_name}_count"


class Case(NamedTuple):
    """When an alert fires. It must be silent a minute before `fires_at`, and again at `resolved_at` (in minutes).

    `labels` are those of the series it fires for, `value` is how `$value` is written; `which` tells rules of one name
    apart by a label.
    """

    alert: str
    series: Mapping[str, str]
    fires_at: int
    resolved_at: int
    labels: Mapping[str, str]
    value: str
    which: Mapping[str, str] = {}


def requests(status: str, values: str) -> dict[str, str]:
    labels = f'{SERVICE},http_route="/items",http_response_status_code="{status}"'
    return {f"{REQUEST_DURATION.prometheus_name}_count{{{labels}}}": values}


def fast_requests(values: str) -> dict[str, str]:
    labels = f'{SERVICE},http_route="/items",http_response_status_code="200",le="0.1"'
    return {f"{REQUEST_DURATION.prometheus_name}_bucket{{{labels}}}": values}


def burn_series(objective: Objective, bad: int, good: int, until: int) -> dict[str, str]:
    """Requests a minute that are bad, until a time, and good ones for ever; the other objective is kept."""
    ended = f"{bad * until}x{NEVER_MINUTES}"
    if objective is AVAILABILITY:
        every = requests("200", f"0+{good}x{NEVER_MINUTES}") | requests("500", f"0+{bad}x{until} {ended}")
        return every | fast_requests(f"0+{good + bad}x{NEVER_MINUTES}")
    total = good + bad
    return requests("200", f"0+{total}x{NEVER_MINUTES}") | fast_requests(
        f"0+{good}x{until} {good * until + total}+{total}x{NEVER_MINUTES}"
    )


# Bad ratios between two factors, so that one rule alone fires; where the bad requests end, and when the short window
# is clean enough to end the alert.
BURN_TIMES = {14.4: (20, 5, 12), 6.0: (10, 20, 52), 3.0: (4, 65, 110), 1.0: (2, 200, 600)}


def burn_case(objective: Objective, burn: Burn) -> Case:
    times_allowed, until, resolved_at = BURN_TIMES[burn.factor]
    ratio = times_allowed * objective.budget
    bad = round(10_000 * ratio)
    return Case(
        alert=f"{objective.name.capitalize()}BudgetBurn",
        which={"long": burn.long.name},
        series=burn_series(objective, bad, 10_000 - bad, until),
        fires_at=1 + burn.for_s // 60,  # The first rate needs two samples.
        resolved_at=resolved_at,
        labels={"job": "devops-api"},
        value=f"{ratio * 100:.4g}%",
    )


CASES = [
    *(burn_case(objective, burn) for objective in OBJECTIVES for burn in BURNS),
    Case(
        "ServiceDown",
        {f"up{{{SERVICE}}}": "1x4 0x6 1x9", 'up{job="devops-api",instance="b:8000"}': "1x3 0x7 1x9"},
        fires_at=7,
        resolved_at=12,
        labels={"job": "devops-api"},
        value="0",
    ),
    Case(
        "TargetDown",
        {f"up{{{SERVICE}}}": "1x4 0x6 1x9", 'up{job="devops-api",instance="b:8000"}': "1x20"},
        fires_at=7,
        resolved_at=12,
        labels={"job": "devops-api", "instance": "a:8000"},
        value="0",
    ),
    Case(
        "ReadinessFailing",
        {f"{m.READY.prometheus_name}{{{SERVICE}}}": "1x4 0x10 1x9"},
        fires_at=7,
        resolved_at=16,
        labels={"job": "devops-api", "instance": "a:8000"},
        value="0",
    ),
    Case(
        "OverloadShedding",
        {f"{m.SHED.prometheus_name}{{{SERVICE}}}": "0x4 0+60x20 1200x40"},
        fires_at=11,
        resolved_at=31,
        labels={"job": "devops-api"},
        value="1",
    ),
    Case(
        "EventLoopStalled",
        {
            f'{m.LOOP_DELAY.prometheus_name}_bucket{{{SERVICE},le="{bound}"}}': values
            for bound, values in (
                ("0.1", f"0+98x20 1960+100x{NEVER_MINUTES}"),
                ("0.25", f"0+100x{NEVER_MINUTES}"),
                ("+Inf", f"0+100x{NEVER_MINUTES}"),
            )
        },
        fires_at=6,
        resolved_at=27,
        labels={"job": "devops-api", "instance": "a:8000"},
        value="175ms",  # in the middle of the bucket that half of the last 2 % fall into
    ),
    Case(
        "StoreErrors",
        {
            f"{STORE_OPERATIONS}{{{SERVICE}}}": f"0+96x{NEVER_MINUTES}",
            f'{STORE_OPERATIONS}{{{SERVICE},error_type="NotFoundError"}}': f"0+2x{NEVER_MINUTES}",
            f'{STORE_OPERATIONS}{{{SERVICE},error_type="StoreUnavailableError"}}': f"0+2x20 40x{NEVER_MINUTES}",
        },
        fires_at=6,
        resolved_at=27,
        labels={"job": "devops-api"},
        value="2%",
    ),
    Case(
        "WriterQueueGrowing",
        {f"{m.WRITER_QUEUE.prometheus_name}{{{SERVICE}}}": "512x4 513x20 512x20"},
        fires_at=14,
        resolved_at=26,
        labels={"job": "devops-api", "instance": "a:8000"},
        value="513",
    ),
    Case(
        "DatabaseDiskFilling",
        {
            f"{m.DISK_FREE.prometheus_name}{{{SERVICE}}}": "50x4 5x20 50x20",
            f"{m.DISK_SIZE.prometheus_name}{{{SERVICE}}}": f"100x{NEVER_MINUTES}",
        },
        fires_at=15,
        resolved_at=26,
        labels={"job": "devops-api", "instance": "a:8000"},
        value="5%",
    ),
    Case(
        "TelemetryDropped",
        {
            f"{m.LOG_DROPPED.prometheus_name}{{{SERVICE}}}": "0x4 0+60x20 1200x40",
            f'{m.LOG_RECORDS_DROPPED.prometheus_name}{{{SERVICE},reason="queue_full"}}': f"0x{NEVER_MINUTES}",
            f'{m.SPANS_DROPPED.prometheus_name}{{{SERVICE},reason="queue_full"}}': f"0x{NEVER_MINUTES}",
            f'{m.EXPORT_FAILURES.prometheus_name}{{{SERVICE},signal="traces"}}': f"0x{NEVER_MINUTES}",
        },
        fires_at=16,
        resolved_at=31,
        labels={"job": "devops-api", "instance": "a:8000"},
        value="1",
    ),
    Case(
        "PrometheusRuleFailing",
        {f'prometheus_rule_evaluation_failures_total{{{PROMETHEUS},rule_group="g"}}': "0x4 0+1x20 20x40"},
        fires_at=16,
        resolved_at=31,
        labels={"job": "prometheus", "instance": "p:9090"},
        value="5",
    ),
    Case(
        "PrometheusScrapeFailing",
        {
            **{f"{name}{{{PROMETHEUS}}}": f"0x{NEVER_MINUTES}" for name in THROWN_AWAY},
            f"{THROWN_AWAY[-1]}{{{PROMETHEUS}}}": "0x4 0+1x20 20x40",
        },
        fires_at=16,
        resolved_at=31,
        labels={"job": "prometheus", "instance": "p:9090"},
        value="5",
    ),
    Case(
        "PrometheusNotifyFailing",
        {f"prometheus_notifications_dropped_total{{{PROMETHEUS}}}": "0x4 0+2x20 40x40"},
        fires_at=16,
        resolved_at=31,
        labels={"job": "prometheus", "instance": "p:9090"},
        value="10",
    ),
]


def name_case(case: Case) -> str:
    return "-".join([case.alert, *case.which.values()])


def find_rule(case: Case) -> Mapping[str, Any]:
    (rule,) = (rule for rule in ALERTS if rule["alert"] == case.alert and case.which.items() <= rule["labels"].items())
    return rule


def fill(template: str, case: Case) -> str:
    """What Prometheus makes of an annotation."""
    labels = {**case.labels, **find_rule(case)["labels"]}

    def write(match: re.Match[str]) -> str:
        label = re.fullmatch(r"\$labels\.(\w+)", match[1])
        return labels[label[1]] if label else case.value

    return re.sub(r"{{ (.*?) }}", write, template)


def expect(case: Case) -> Iterator[Mapping[str, Any]]:
    rule = find_rule(case)
    fired = {
        "exp_labels": {**case.labels, **rule["labels"]},
        "exp_annotations": {name: fill(text, case) for name, text in rule["annotations"].items()},
    }
    for minute, alerts in ((case.fires_at - 1, []), (case.fires_at, [fired]), (case.resolved_at, [])):
        yield {"alertname": case.alert, "eval_time": f"{minute}m", "exp_alerts": alerts}


@pytest.mark.parametrize("case", [pytest.param(case, id=name_case(case)) for case in CASES])
def test_an_alert_is_silent_then_fires_and_resolves(case: Case, tmp_path: Path) -> None:
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    run_promtool(tmp_path, [{"input_series": series, "alert_rule_test": list(expect(case))}])


def test_every_alert_has_a_case() -> None:
    tried = {name_case(case) for case in CASES} | {"MetricAbsent"}  # which has a case for each metric, below
    assert {"-".join([rule["alert"], *filter(None, [rule["labels"].get("long")])]) for rule in ALERTS} == tried


ALWAYS = (20, 120, 400)
QUIET: Mapping[str, tuple[Mapping[str, str], Sequence[str], Sequence[int]]] = {
    "a burn just below the slowest factor": (
        burn_series(AVAILABILITY, 9, 9_991, NEVER_MINUTES),
        ["AvailabilityBudgetBurn"],
        ALWAYS,
    ),
    "as many slow requests as the objective allows": (
        burn_series(LATENCY, 99, 9_901, NEVER_MINUTES),
        ["LatencyBudgetBurn"],
        ALWAYS,
    ),
    "an old burst that is over": (
        # All of the first ten minutes failed: the long windows still burn, the short ones are clean.
        requests("500", f"0+100x10 1000x{NEVER_MINUTES}") | requests("200", f"0+100x{NEVER_MINUTES}"),
        ["AvailabilityBudgetBurn"],
        (45,),
    ),
    "one of two instances is down": (
        {f"up{{{SERVICE}}}": f"0x{NEVER_MINUTES}", 'up{job="devops-api",instance="b:8000"}': f"1x{NEVER_MINUTES}"},
        ["ServiceDown"],
        ALWAYS,
    ),
    "another job is down": (
        {'up{job="other",instance="c:1"}': f"0x{NEVER_MINUTES}", f"up{{{SERVICE}}}": f"1x{NEVER_MINUTES}"},
        ["ServiceDown", "TargetDown"],
        ALWAYS,
    ),
}


@pytest.mark.parametrize("case", QUIET)
def test_alerts_stay_silent_at(case: str, tmp_path: Path) -> None:
    series, names, minutes = QUIET[case]
    run_promtool(
        tmp_path,
        [
            {
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": [
                    {"alertname": name, "eval_time": f"{minute}m", "exp_alerts": []}
                    for name in names
                    for minute in minutes
                ],
            }
        ],
    )


def test_a_job_that_prometheus_is_not_told_of_is_a_service_that_is_down(tmp_path: Path) -> None:
    case = Case("ServiceDown", {}, 2, NEVER_MINUTES, {"job": "devops-api"}, "1")
    silent, fired, _ = expect(case)
    run_promtool(tmp_path, [{"input_series": [], "alert_rule_test": [silent, fired]}])


@pytest.mark.parametrize("metric", WATCHED)
def test_a_metric_that_alerts_stand_on_is_missed_and_greeted(metric: str, tmp_path: Path) -> None:
    others = [{"series": f"{name}{{{SERVICE}}}", "values": "1x30"} for name in WATCHED if name != metric]
    lost = {"series": f"{metric}{{{SERVICE}}}", "values": "1x4 stale _x11 1x10"}
    case = Case("MetricAbsent", {}, 10, 17, {"job": "devops-api", "metric": metric}, "1")
    run_promtool(tmp_path, [{"input_series": [*others, lost], "alert_rule_test": list(expect(case))}])


def test_every_metric_that_an_alert_stands_on_is_watched_for_absence() -> None:
    exprs = [rule["expr"] for rule in load_rules() if rule.get("alert") != "MetricAbsent"]
    names = {str(selector.name) for expr in exprs for selector, _ in find_selectors(expr)}
    own = {name for name in names if not name.startswith(("job:", "prometheus_")) and name != "up"}
    assert own == set(WATCHED)


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in ALERTS])
def test_an_alert_says_how_bad_it_is_what_users_feel_and_where_to_look(rule: Mapping[str, Any]) -> None:
    annotations = rule["annotations"]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert annotations["summary"]
    assert "$value" in annotations["description"] or rule["alert"] == "ServiceDown"
    assert re.search(r"\b[Uu]sers\b", annotations["description"])
    assert annotations["description"].endswith(".")
    board = annotations["dashboard_url"].rsplit("/d/")[1]
    assert board in {document["uid"] for document in load_boards().values()}


def read_headings() -> dict[str, str]:
    """The runbook's text by heading."""
    parts = re.split(r"^## (\w+)$", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_runbook_has_a_heading_for_each_alert_and_for_nothing_else() -> None:
    assert set(read_headings()) == set(NAMES)
    for rule in ALERTS:
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page.endswith("/observability/runbook.md")
        assert anchor == rule["alert"].lower()


@pytest.mark.parametrize("name", NAMES)
def test_a_heading_says_what_it_means_where_to_look_why_and_what_to_do(name: str) -> None:
    text = read_headings()[name]
    for part in ("**What it means.**", "**First look.**", "**Likely causes.**", "**What to do.**"):
        assert text.count(part) == 1, part
    titles = {panel["title"] for board in load_boards().values() for panel in board["panels"]}
    for title in re.findall(r"board \*[^*]+\*: \*([^*]+)\*", text.replace("\n", " ")):
        assert title in titles, f"no panel is called {title!r}"


def test_links_inside_the_runbook_lead_to_its_headings() -> None:
    anchors = {name.lower() for name in read_headings()}
    assert set(re.findall(r"\]\(#(\w+)\)", RUNBOOK.read_text(encoding="utf-8"))) <= anchors


def test_the_alertmanager_takes_its_configuration() -> None:
    command = [find_tool("amtool"), "check-config", str(ALERTMANAGER)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_what_the_alertmanager_holds_back_is_named_as_the_rules_name_it() -> None:
    config = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))
    matchers = [
        matcher for rule in config["inhibit_rules"] for matcher in (*rule["source_matchers"], *rule["target_matchers"])
    ]
    for label, _, value in (re.fullmatch(r'(\w+) (=|!=) "(.*)"', matcher).groups() for matcher in matchers):
        if label == "alertname":
            assert value in NAMES
        if label == "severity":
            assert value in {rule["labels"]["severity"] for rule in ALERTS}
