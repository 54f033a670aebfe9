"""Boards, rules and the service speak of the same metrics: none is not measured, and none is measured for nobody."""

from collections.abc import Callable, Mapping

import promql_parser
import pytest
from walk import Asked, find_selectors, interpolate, load_boards, load_rules, walk_boards

from devops_api.telemetry.catalogue import CATALOGUE, REQUEST_DURATION, Metric
from observability import queries as q

VALUES = {"job": ".+", "instance": ".+", "route": ".+", "__rate_interval": "1m", "__range": "1h", "__interval": "15s"}
BOARD_QUESTIONS = [asked for asked in walk_boards(load_boards()) if asked.kind != "variable"]
RULE_QUESTIONS = [Asked(rule.get("record", rule.get("alert", "")), "record", rule["expr"]) for rule in load_rules()]
QUESTIONS = [*BOARD_QUESTIONS, *RULE_QUESTIONS]
RECORDED = {rule["record"] for rule in load_rules() if "record" in rule}
INCREASES = {"rate", "increase", "irate"}
# What Prometheus itself makes of every target, and what it says of itself.
PROMETHEUS_OWN = {"up", "ALERTS", "target_info", "scrape_duration_seconds", "scrape_samples_scraped"}
# Measured for whoever looks by hand, and why that is enough.
UNSHOWN: Mapping[str, str] = {}


def series_of(metric: Metric) -> dict[str, str]:
    """The series that Prometheus has of a metric, and what each is."""
    name = metric.prometheus_name
    if metric.kind == "histogram":
        return {f"{name}_bucket": "bucket", f"{name}_count": "counter", f"{name}_sum": "counter"}
    return {name: "counter" if metric.kind == "counter" else "gauge"}


SERIES = {name: kind for metric in CATALOGUE for name, kind in series_of(metric).items()}


def find_used() -> set[str]:
    exprs = [interpolate(asked.expr, VALUES) for asked in QUESTIONS]
    return {str(selector.name) for expr in exprs for selector, _ in find_selectors(expr)}


@pytest.mark.parametrize("asked", [pytest.param(asked, id=asked.where) for asked in QUESTIONS])
def test_every_name_is_in_the_catalogue_and_asked_as_what_it_is(asked: Asked) -> None:
    for selector, around in find_selectors(interpolate(asked.expr, VALUES)):
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


def test_every_metric_is_shown_or_says_why_not() -> None:
    used = find_used()
    unused = {metric.name for metric in CATALOGUE if not used & set(series_of(metric))}
    assert unused == set(UNSHOWN)
    assert all(UNSHOWN.values())


@pytest.mark.parametrize(
    "ask",
    [
        lambda: q.counter_rate(REQUEST_DURATION),
        lambda: q.level(REQUEST_DURATION),
        lambda: q.observation_rate(next(metric for metric in CATALOGUE if metric.kind == "counter")),
        lambda: q.observed_quantile(0.5, next(metric for metric in CATALOGUE if metric.kind == "gauge")),
    ],
)
def test_a_metric_is_not_asked_as_what_it_is_not(ask: Callable[[], str]) -> None:
    with pytest.raises(ValueError, match="is a"):
        ask()
