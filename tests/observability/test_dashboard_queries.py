"""Queries of dashboards must parse, follow the variables, and agree with their legends."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import promql_parser
from promtool import SERVICE, run_promtool
from walk import (
    VALUES,
    Query,
    find_selectors,
    for_each,
    interpolate,
    load_dashboards,
    load_recorded,
    unwrap,
    walk_dashboards,
)

from observability.queries import metrics as m
from observability.queries.telemetry import new_versions

QUERIES = list(walk_dashboards(load_dashboards()))
EACH_QUERY = for_each(QUERIES)
EACH_TARGET = for_each(query for query in QUERIES if query.kind == "panel")
RECORDED = load_recorded()
# The number of open files is a gauge whose name ends in `_count`.
GAUGES = {metric.prometheus_name for metric in m.CATALOGUE if metric.kind in {"gauge", "updowncounter"}}


def parse(expr: str) -> promql_parser.Expr:
    return promql_parser.parse(interpolate(unwrap(expr)[0]))


def find_matchers(selector: promql_parser.VectorSelector) -> set[str]:
    return {str(matcher) for matcher in selector.matchers.matchers}


def is_outside_the_service(selector: promql_parser.VectorSelector) -> bool:
    """Return whether the labels are not the service's: those of `ALERTS` and of Prometheus' own metrics are not."""
    return (
        selector.name == "ALERTS"
        or str(selector.name).startswith("prometheus_")
        or 'job="prometheus"' in find_matchers(selector)
    )


@EACH_QUERY
def test_every_expression_is_promql(query: Query) -> None:
    assert parse(query.expr)


@EACH_TARGET
def test_every_window_is_one_that_grafana_derives_from_the_time_range(query: Query) -> None:
    assert set(re.findall(r"\[(.*?)\]", query.expr)) <= {"$__rate_interval", "$__range"}


@EACH_TARGET
def test_every_selector_selects_the_chosen_job_and_instance(query: Query) -> None:
    chosen = {name: f"value_of_{name}" for name in ("job", "instance", "route")}
    for selector, _ in find_selectors(interpolate(query.expr, {**VALUES, **chosen})):
        if is_outside_the_service(selector):
            continue
        expected = {'job=~"value_of_job"', 'instance=~"value_of_instance"'}
        if selector.name in RECORDED:  # Recorded series cover the whole service and have no `instance`.
            expected = {'job=~"value_of_job"'}
        assert expected <= find_matchers(selector), selector.name


@EACH_TARGET
def test_every_counter_is_queried_as_a_rate(query: Query) -> None:
    for selector, around in find_selectors(interpolate(query.expr)):
        if str(selector.name).endswith(("_total", "_count", "_sum", "_bucket")) and str(selector.name) not in GAUGES:
            calls = {node.func.name for node in around if isinstance(node, promql_parser.Call)}
            assert calls & {"rate", "increase", "irate"}, selector.name


@EACH_TARGET
def test_legends_use_only_labels_that_the_expression_keeps(query: Query) -> None:
    kept = find_kept_labels(parse(query.expr))
    if kept is not None:
        assert set(re.findall(r"{{\s*(\w+)\s*}}", query.legend)) <= kept


def find_kept_labels(expr: promql_parser.Expr) -> set[str] | None:
    """Return the labels of the outermost aggregation; None if there is none, so that any label may be kept."""
    if isinstance(expr, promql_parser.AggregateExpr):
        modifier = expr.modifier
        if modifier is None:
            return set()
        return set(modifier.labels) if modifier.type == promql_parser.AggModifierType.By else None
    if isinstance(expr, promql_parser.BinaryExpr):
        return find_kept_labels(expr.lhs)
    if isinstance(expr, promql_parser.ParenExpr):
        return find_kept_labels(expr.expr)
    if isinstance(expr, promql_parser.Call) and expr.func.name == "histogram_quantile":
        kept = find_kept_labels(expr.args[1])
        return None if kept is None else kept - {"le"}
    return None


def expect_marks(minute: int, versions: Sequence[str]) -> Mapping[str, Any]:
    labels = [f'{{job="devops-api", service_version="{version}"}}' for version in versions]
    return {
        "expr": interpolate(new_versions()),
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": label, "value": 1} for label in labels],
    }


def test_deploys_and_rollbacks_leave_marks_and_restarts_of_the_same_version_do_not(tmp_path: Path) -> None:
    # Version 1 starts, restarts after two minutes, is replaced by 2 after one minute, and replaces 2.
    series = {
        f'target_info{{{SERVICE},service_version="1"}}': "1x19 stale _x1 1x17 stale _x20 1x20",
        f'target_info{{{SERVICE},service_version="2"}}': "_x40 1x19 stale",
    }
    expected = {
        0: ["1"], 4: ["1"], 5: [], 19: [], 22: [], 25: [], 26: [], 27: [], 39: [],
        40: ["2"], 43: ["2"], 45: [], 50: [], 61: ["1"], 64: ["1"], 66: [],
    }  # fmt: skip
    marks = [expect_marks(minute, versions) for minute, versions in expected.items()]
    run_promtool(tmp_path, series, promql_expr_test=marks)
