"""The ratios that alerts and boards stand on must be right in the cases that usually break them."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from servers import find_tool, run_promtool, write_rules
from walk import GENERATED, load_rules

from devops_api.telemetry.catalogue import REQUEST_DURATION
from observability.objectives import OBJECTIVES, WINDOWS, format_duration
from observability.queries import recorded_rate, recorded_ratio

BILLION = 1_000_000_000  # Ratios are compared in whole billionths: promtool compares to the last bit.


def count(values: str, *, status: str = "200", route: str = "/items/{id}", instance: str = "a:8000") -> dict[str, str]:
    labels = f'job="devops-api",instance="{instance}",http_route="{route}",http_response_status_code="{status}"'
    return {"series": f"{REQUEST_DURATION.prometheus_name}_count{{{labels}}}", "values": values}


def bucket(values: str, *, le: str = "0.1", route: str = "/items/{id}") -> dict[str, str]:
    labels = f'job="devops-api",instance="a:8000",http_route="{route}",http_response_status_code="200",le="{le}"'
    return {"series": f"{REQUEST_DURATION.prometheus_name}_bucket{{{labels}}}", "values": values}


def expect(name: str, value: float, at: str) -> dict[str, Any]:
    sample = {"labels": '{job="devops-api"}', "value": round(value * BILLION)}
    return {"expr": f"round({name} * {BILLION:d})", "eval_time": at, "exp_samples": [sample]}


def expect_ratio(
    bad: str, value: float, *, at: str = "2h", windows: tuple[str, ...] = ("5m", "1h", "1d", "30d")
) -> list[Any]:
    return [expect(f"job:{bad}:ratio_rate{window}", value, at) for window in windows]


CASES: Mapping[str, tuple[list[dict[str, str]], list[Any]]] = {
    "zero traffic is no failure": (
        [count("0x120"), count("0x120", status="500")],
        [expect("job:item_requests:rate5m", 0, "2h"), *expect_ratio("item_requests_failed", 0)],
    ),
    "without a single error series the ratio is 0, not absent": (
        [count("0+60x120")],
        [expect("job:item_requests:rate5m", 1, "2h"), *expect_ratio("item_requests_failed", 0)],
    ),
    "all requests fail": (
        [count("0+60x120", status="503")],
        expect_ratio("item_requests_failed", 1),
    ),
    "a quiet hour of failures weighs as little as its requests": (
        # 1 a minute fails in the first hour, 99 a minute succeed in the second: an average of ratios would say a half.
        [count("1000+1x60 1060x60", status="500"), count("1000x60 1000+99x60")],
        expect_ratio("item_requests_failed", 0.01, windows=("2h",)),
    ),
    "a counter that starts again from 0 is not a burst and not a fall": (
        [count("0+54x60 0+54x59"), count("0+6x60 0+6x59", status="500")],
        expect_ratio("item_requests_failed", 0.1),
    ),
    "an instance that ends and another that takes over": (
        [
            count("0+54x60 _x60", instance="a:8000"),
            count("0+6x60 _x60", status="500", instance="a:8000"),
            count("_x60 0+54x60", instance="b:8000"),
            count("_x60 0+6x60", status="500", instance="b:8000"),
        ],
        expect_ratio("item_requests_failed", 0.1),
    ),
    "two instances are summed before they are divided": (
        [count("0+108x120", instance="a:8000"), count("0+12x120", status="500", instance="b:8000")],
        [expect("job:item_requests:rate5m", 2, "2h"), *expect_ratio("item_requests_failed", 0.1)],
    ),
    "probes and scrapes are no item requests": (
        [count("0+60x120"), count("0+600x120", route="/health"), count("0+600x120", route="/metrics", status="500")],
        [expect("job:item_requests:rate5m", 1, "2h"), *expect_ratio("item_requests_failed", 0)],
    ),
    "shed requests and time-outs count as failures, clients' faults do not": (
        [
            count("0+80x120"),
            count("0+5x120", status="503"),
            count("0+5x120", status="504"),
            count("0+5x120", status="404"),
            count("0+5x120", status="499"),
        ],
        expect_ratio("item_requests_failed", 0.1),
    ),
    "a tenth of requests is slow": (
        [count("0+60x120"), bucket("0+54x120"), bucket("0+60x120", le="+Inf")],
        expect_ratio("item_requests_slow", 0.1),
    ),
    "no request is slow, and none is below 0": (
        [count("0+60x120"), bucket("0+60x120")],
        expect_ratio("item_requests_slow", 0),
    ),
    "imports, exports and batches may take their time": (
        [
            count("0+60x120"),
            bucket("0+60x120"),
            *(count("0+60x120", route=f"/items/{name}") for name in ("import", "export", "batch")),
            *(bucket("0x120", route=f"/items/{name}") for name in ("import", "export", "batch")),
        ],
        [expect("job:item_requests_timed:rate5m", 1, "2h"), *expect_ratio("item_requests_slow", 0)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_recorded_ratios_are_right_when(case: str, tmp_path: Path) -> None:
    series, expected = CASES[case]
    run_promtool(tmp_path, [{"input_series": series, "promql_expr_test": expected}])


def test_a_wrong_expectation_is_found_out(tmp_path: Path) -> None:
    series, _ = CASES["all requests fail"]
    with pytest.raises(AssertionError, match="FAILED"):
        run_promtool(
            tmp_path, [{"input_series": series, "promql_expr_test": expect_ratio("item_requests_failed", 0.5)}]
        )


def test_every_objective_is_recorded_at_every_window() -> None:
    recorded = {rule["record"] for rule in load_rules() if "record" in rule}
    for objective in OBJECTIVES:
        for window in WINDOWS:
            assert recorded_ratio(objective, window) in recorded
            assert recorded_rate(objective.counted, window) in recorded
            assert recorded_rate(objective.bad, window) in recorded


def test_what_is_committed_passes_promtool_with_every_warning_an_error() -> None:
    files = [str(path) for path in GENERATED.glob("*.yml")]
    command = [find_tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *files]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_drill_lives_through_the_same_rules_faster(tmp_path: Path) -> None:
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
def test_durations_are_written_as_prometheus_reads_them(length_s: int, speed: int, text: str) -> None:
    assert format_duration(length_s, speed) == text
