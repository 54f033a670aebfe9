"""Dashboards and rules query metrics that exist, as what they are, and every metric is queried somewhere."""

import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import promql_parser
import pytest
from walk import (
    Query,
    find_names,
    find_selectors,
    for_each,
    interpolate,
    load_dashboards,
    load_recorded,
    load_rules,
    walk_dashboards,
)

from observability.queries import instruments, slo
from observability.queries import metrics as m

OBSERVABILITY = Path(__file__).parents[2] / "observability"
MODULES = [
    *sorted((OBSERVABILITY / "dashboards").glob("*.py")),
    OBSERVABILITY / "alerts.py",
    OBSERVABILITY / "rules.py",
]
FUNCTIONS = "rate|increase|sum|min|max|avg|count|vector|absent|label_replace|clamp_max|clamp_min|histogram_quantile"
PROMQL = re.compile(
    rf"\b({FUNCTIONS}|\w+_over_time)\s*(by\s*)?\("  # a call or an aggregation
    rf"|\b({'|'.join(metric.prometheus_name for metric in m.CATALOGUE)})(?![a-z])"
    r"|\b(up|ALERTS|target_info)\{|\bscrape_\w+|\bprometheus_\w+|\bjob:\w+:"  # other series
    r"|=~|!~|!=|\[\d+[smhd]\]|\s[<>]\s|\s(unless|on \(\))\s"  # matchers, ranges, operators
)
FROM_DASHBOARDS = [query for query in walk_dashboards(load_dashboards()) if query.kind != "variable"]
FROM_RULES = [Query(rule.get("record", rule.get("alert", "")), "record", rule["expr"]) for rule in load_rules()]
QUERIES = [*FROM_DASHBOARDS, *FROM_RULES]
RECORDED = load_recorded()
INCREASES = {"rate", "increase", "irate"}
# Series that Prometheus adds to every target, and its own.
PROMETHEUS_OWN = {"up", "ALERTS", "target_info", "scrape_duration_seconds", "scrape_samples_scraped"}
# Metrics on no dashboard and in no rule, with the reason.
UNSHOWN: Mapping[str, str] = {}


def series_of(metric: m.Metric) -> dict[str, str]:
    """Return the series that Prometheus has of a metric, and the kind of each."""
    name = metric.prometheus_name
    if metric.kind == "histogram":
        return {f"{name}_bucket": "bucket", f"{name}_count": "counter", f"{name}_sum": "counter"}
    return {name: "counter" if metric.kind == "counter" else "gauge"}


SERIES = {name: kind for metric in m.CATALOGUE for name, kind in series_of(metric).items()}


def find_texts(source: str) -> list[str]:
    """Return the string literals of a module, parts of f-strings included, docstrings left out."""
    tree = ast.parse(source)
    documented = [node for node in ast.walk(tree) if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    docstrings = {id(node.body[0].value) for node in documented if ast.get_docstring(node) is not None}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    return [node.value for node in constants if isinstance(node.value, str)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(OBSERVABILITY).as_posix())
def test_dashboards_alerts_and_rules_contain_no_promql(path: Path) -> None:
    found = [text for text in find_texts(path.read_text(encoding="utf-8")) if PROMQL.search(text)]
    assert not found, "move these expressions to observability/queries/"


@pytest.mark.parametrize(
    "source",
    [
        'Query("sum(up)", "")',
        'Query(f"{name} > {bound}", "")',
        'expr = f"items_ready{{{scope}}}"',
        'expr = "items_created_total"',
        "expr = 'job=~\"$job\"'",
        'expr = "job:item_requests:rate5m"',
        'rules = "prometheus_tsdb_head_series"',
    ],
)
def test_promql_in_a_literal_is_found(source: str) -> None:
    assert any(PROMQL.search(text) for text in find_texts(source))


@for_each(QUERIES)
def test_every_series_is_in_the_catalogue_and_queried_as_what_it_is(query: Query) -> None:
    for selector, around in find_selectors(interpolate(query.expr)):
        name = str(selector.name)
        calls = {node.func.name for node in around if isinstance(node, promql_parser.Call)}
        if name in PROMETHEUS_OWN or name in RECORDED or name.startswith("prometheus_"):
            continue
        assert name in SERIES, name
        if SERIES[name] == "gauge":
            assert not calls & {*INCREASES, "histogram_quantile"}, f"{name} is a gauge"
        else:
            assert calls & {*INCREASES, "absent"}, f"{name} only grows"
        if SERIES[name] == "counter":
            assert "histogram_quantile" not in calls, f"{name} is no histogram"


def test_every_metric_is_queried_or_states_why_not() -> None:
    used = find_names(query.expr for query in QUERIES)
    unused = {metric.name for metric in m.CATALOGUE if not used & set(series_of(metric))}
    assert unused == set(UNSHOWN)
    assert all(UNSHOWN.values())


def test_series_of_recorded_ones_are_found_through_their_rules() -> None:
    found = slo.find_series(["job:item_requests_slow:ratio_rate1h > 1", "min(items_ready) == 0", 'up{job="x"}'])
    name = m.REQUEST_DURATION.prometheus_name
    assert set(found) == {f"{name}_count", f"{name}_bucket", "items_ready"}


@pytest.mark.parametrize(
    "build",
    [
        lambda: instruments.counter_rate(m.REQUEST_DURATION),
        lambda: instruments.level(m.REQUEST_DURATION),
        lambda: instruments.observation_rate(next(metric for metric in m.CATALOGUE if metric.kind == "counter")),
        lambda: instruments.quantile(0.5, next(metric for metric in m.CATALOGUE if metric.kind == "gauge")),
    ],
)
def test_a_metric_of_another_kind_is_rejected(build: Callable[[], str]) -> None:
    with pytest.raises(ValueError, match="is a"):
        build()
