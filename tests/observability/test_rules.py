"""Alerts and dashboards read recorded ratios: these must be right in the cases that usually break them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from promtool import OTHER_INSTANCE, bucket, count, run_promtool, run_tool, write_rules
from walk import GENERATED, load_recorded, load_rules

from observability.objectives import OBJECTIVES, WINDOWS, format_duration
from observability.queries.slo import recorded_rate, recorded_ratio

BILLION = 1_000_000_000  # promtool compares floats exactly, so ratios are rounded to billionths.


def expect(name: str, value: float, at: str) -> dict[str, Any]:
    sample = {"labels": '{job="devops-api"}', "value": round(value * BILLION)}
    return {"expr": f"round({name} * {BILLION:d})", "eval_time": at, "exp_samples": [sample]}


def expect_ratio(
    bad: str, value: float, *, at: str = "2h", windows: tuple[str, ...] = ("5m", "1h", "1d", "30d")
) -> list[Any]:
    return [expect(f"job:{bad}:ratio_rate{window}", value, at) for window in windows]


def count_slow(name: str) -> dict[str, str]:
    """Return the series of a route all of whose requests are slow."""
    return count("0+60x120", route=f"/items/{name}") | bucket("0x120", route=f"/items/{name}")


CASES: Mapping[str, tuple[Mapping[str, str], list[Any]]] = {
    "there is no traffic": (
        count("0x120") | count("0x120", status="500"),
        [expect("job:item_requests:rate5m", 0, "2h"), *expect_ratio("item_requests_failed", 0)],
    ),
    "there is no series of errors": (
        count("0+60x120"),
        [expect("job:item_requests:rate5m", 1, "2h"), *expect_ratio("item_requests_failed", 0)],
    ),
    "all requests fail": (
        count("0+60x120", status="503"),
        expect_ratio("item_requests_failed", 1),
    ),
    "a quiet hour of failures is followed by a busy hour": (
        # In the first hour 1 request a minute fails, in the second 99 succeed: an average of ratios would be 0.5.
        count("1000+1x60 1060x60", status="500") | count("1000x60 1000+99x60"),
        expect_ratio("item_requests_failed", 0.01, windows=("2h",)),
    ),
    "counters restart from 0": (
        count("0+54x60 0+54x59") | count("0+6x60 0+6x59", status="500"),
        expect_ratio("item_requests_failed", 0.1),
    ),
    "an instance replaces another": (
        count("0+54x60 _x60")
        | count("0+6x60 _x60", status="500")
        | count("_x60 0+54x60", labels=OTHER_INSTANCE)
        | count("_x60 0+6x60", status="500", labels=OTHER_INSTANCE),
        expect_ratio("item_requests_failed", 0.1),
    ),
    "one of two instances fails": (
        count("0+108x120") | count("0+12x120", status="500", labels=OTHER_INSTANCE),
        [expect("job:item_requests:rate5m", 2, "2h"), *expect_ratio("item_requests_failed", 0.1)],
    ),
    "there are probes and scrapes, which do not count": (
        count("0+60x120") | count("0+600x120", route="/health") | count("0+600x120", route="/metrics", status="500"),
        [expect("job:item_requests:rate5m", 1, "2h"), *expect_ratio("item_requests_failed", 0)],
    ),
    "shed requests and timeouts count as failures and client errors do not": (
        count("0+80x120")
        | count("0+5x120", status="503")
        | count("0+5x120", status="504")
        | count("0+5x120", status="404")
        | count("0+5x120", status="499"),
        expect_ratio("item_requests_failed", 0.1),
    ),
    "a tenth of requests is slow": (
        count("0+60x120") | bucket("0+54x120") | bucket("0+60x120", le="+Inf"),
        expect_ratio("item_requests_slow", 0.1),
    ),
    "no request is slow": (
        count("0+60x120") | bucket("0+60x120"),
        expect_ratio("item_requests_slow", 0),
    ),
    "imports, exports and batches are slow, which do not count": (
        count("0+60x120") | bucket("0+60x120") | count_slow("import") | count_slow("export") | count_slow("batch"),
        [expect("job:item_requests_timed:rate5m", 1, "2h"), *expect_ratio("item_requests_slow", 0)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_recorded_ratios_are_right_when(case: str, tmp_path: Path) -> None:
    series, expected = CASES[case]
    run_promtool(tmp_path, series, promql_expr_test=expected)


def test_promtool_fails_on_a_wrong_expectation(tmp_path: Path) -> None:
    series, _ = CASES["all requests fail"]
    with pytest.raises(AssertionError, match="FAILED"):
        run_promtool(tmp_path, series, promql_expr_test=expect_ratio("item_requests_failed", 0.5))


def test_every_objective_is_recorded_at_every_window() -> None:
    recorded = load_recorded()
    for objective in OBJECTIVES:
        for window in WINDOWS:
            assert recorded_ratio(objective, window) in recorded
            assert recorded_rate(objective.counted, window) in recorded
            assert recorded_rate(objective.bad, window) in recorded


def test_committed_rules_pass_promtool_without_warnings() -> None:
    run_tool("promtool", "check", "rules", "--lint=all", "--lint-fatal", *map(str, GENERATED.glob("*.yml")))


def test_a_drill_runs_the_same_rules_faster(tmp_path: Path) -> None:
    write_rules(tmp_path)
    (tmp_path / "fast").mkdir()
    write_rules(tmp_path / "fast", speed=60)
    slow, fast = load_rules(tmp_path), load_rules(tmp_path / "fast")
    assert [rule.get("record", rule.get("alert")) for rule in slow] == [
        rule.get("record", rule.get("alert")) for rule in fast
    ]
    assert any("[1h]" in rule["expr"] for rule in slow)
    assert not any("[1h]" in rule["expr"] for rule in fast)
    assert any("[1m]" in rule["expr"] for rule in fast)


@pytest.mark.parametrize(
    ("length_s", "speed", "text"),
    [(300, 1, "5m"), (300, 60, "5s"), (300, 240, "1250ms"), (5400, 1, "90m"), (86400, 1, "1d")],
)
def test_durations_are_formatted_in_prometheus_notation(length_s: int, speed: int, text: str) -> None:
    assert format_duration(length_s, speed) == text
