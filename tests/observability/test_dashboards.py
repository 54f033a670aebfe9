"""Boards are read by tired people at night: every rule that keeps them honest and legible is held here."""

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from servers import run_promtool
from walk import GENERATED, Asked, find_selectors, interpolate, load_boards, load_rules, walk_boards, walk_panels

from devops_api.telemetry.catalogue import CATALOGUE
from observability.__main__ import compare, generate, main, write
from observability.boards import Row, create_board
from observability.panels import Query, timeseries
from observability.queries import new_versions

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

BOARDS = load_boards()
ASKED = list(walk_boards(BOARDS))
PANELS = [
    pytest.param(panel, id=f"{file}-{panel['title']}") for file, board in BOARDS.items() for panel in walk_panels(board)
]
EACH_BOARD = pytest.mark.parametrize("board", [pytest.param(board, id=file) for file, board in BOARDS.items()])
EACH_PANEL = pytest.mark.parametrize("panel", PANELS)
EACH_QUERY = pytest.mark.parametrize("asked", [pytest.param(asked, id=asked.where) for asked in ASKED])
EACH_TARGET = pytest.mark.parametrize(
    "asked", [pytest.param(asked, id=asked.where) for asked in ASKED if asked.kind == "panel"]
)
VALUES = {"job": ".+", "instance": ".+", "route": ".+", "__rate_interval": "1m", "__range": "1h", "__interval": "15s"}
RECORDED = {rule["record"] for rule in load_rules() if "record" in rule}
UNITS = {"binBps", "reqps", "percentunit", "s", "short", "bytes", "ops", "none", "dtdurations", "cps", "string"}

# The conventions call the number of open files `count`.
GAUGES = {metric.prometheus_name for metric in CATALOGUE if metric.kind in {"gauge", "updowncounter"}}


def parse(expr: str) -> promql_parser.Expr:
    return promql_parser.parse(interpolate(unwrap(expr), VALUES))


def unwrap(expr: str) -> str:
    """The selector of a variable's label_values(selector, label)."""
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", expr)
    return found[1] if found else expr


def find_matchers(selector: promql_parser.VectorSelector) -> set[str]:
    return {str(matcher) for matcher in selector.matchers.matchers}


def is_recorded(name: str | None) -> bool:
    """Recorded series are of the whole service: they keep `job` and have no `instance`."""
    return name in RECORDED


def is_outside_the_service(selector: promql_parser.VectorSelector) -> bool:
    """`ALERTS` has the labels of the alert, and Prometheus' own metrics those of Prometheus."""
    return (
        selector.name == "ALERTS"
        or str(selector.name).startswith("prometheus_")
        or 'job="prometheus"' in find_matchers(selector)
    )


def test_what_is_committed_is_what_the_code_makes() -> None:
    assert compare(GENERATED, generate()) == ""


def test_the_check_names_a_changed_and_a_left_over_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = dict(generate())
    write(tmp_path, files)
    assert main(["--check", "--folder", str(tmp_path)]) == 0
    (tmp_path / "dashboards/service.json").write_text(files["dashboards/service.json"].replace("p95", "p96"))
    (tmp_path / "dashboards/old.json").write_text("{}\n")
    assert main(["--check", "--folder", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert '-      "title": "p96"' in shown
    assert "-{}" in shown
    assert "Run `python -m observability`" in shown


def test_the_check_names_a_missing_file_and_writing_mends_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, generate())
    (tmp_path / "dashboards/service.json").unlink()
    (tmp_path / "old.yml").write_text("groups: []\n")
    assert main(["--check", "--folder", str(tmp_path)]) == 1
    assert "+++ generated/dashboards/service.json" in capsys.readouterr().out
    assert main(["--folder", str(tmp_path)]) == 0
    assert main(["--check", "--folder", str(tmp_path)]) == 0


def test_a_line_of_panels_that_is_not_as_wide_as_the_grid_is_refused() -> None:
    panel = timeseries("t", "d", [Query("up", "up")], unit="short", width=13)
    for panels in ([panel], [panel, panel]):
        with pytest.raises(ValueError, match="wide, not 24"):
            create_board("u", "t", "d", [Row("r", panels)], variables=[], annotations=[], links=[])


def test_boards_have_uids_and_titles_of_their_own() -> None:
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)
    assert len({board["title"] for board in BOARDS.values()}) == len(BOARDS)
    assert all(0 < len(board["uid"]) <= 40 for board in BOARDS.values())


@EACH_BOARD
def test_a_board_survives_the_sdk_s_own_reading(board: Mapping[str, Any]) -> None:
    again = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    assert again["panels"] == board["panels"]
    assert again["templating"] == board["templating"]


@EACH_BOARD
def test_a_board_is_read_only_in_utc_with_a_shared_crosshair(board: Mapping[str, Any]) -> None:
    assert board["editable"] is False
    assert board["timezone"] == "utc"
    assert board["graphTooltip"] == 1
    assert "__inputs" not in board
    assert board["description"]


@EACH_BOARD
def test_panel_ids_are_distinct_and_lines_fill_the_grid(board: Mapping[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert sorted(ids) == list(range(1, len(ids) + 1))
    cells: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, f"{panel['title']} lies on another panel"
        cells |= own
    assert {x for x, _ in cells} == set(range(24))
    assert len(cells) == 24 * (1 + max(y for _, y in cells)), "there is a hole in the grid"


@EACH_BOARD
def test_a_board_has_about_twenty_panels_at_most(board: Mapping[str, Any]) -> None:
    assert len(list(walk_panels(board))) <= 22


@EACH_BOARD
def test_links_and_annotations_are_not_hidden_in_a_menu(board: Mapping[str, Any]) -> None:
    for shown in (*board["links"], *board["annotations"]["list"]):
        assert "placement" not in shown


@EACH_BOARD
def test_links_lead_to_boards_that_exist_and_keep_time_and_variables(board: Mapping[str, Any]) -> None:
    uids = {other["uid"] for other in BOARDS.values()}
    urls = re.findall(r'"url": "(/d/[^"]*)"', json.dumps(board))
    assert {url.split("/")[2].split("?")[0] for url in urls} <= uids
    assert all(link["keepTime"] and link["includeVars"] for link in board["links"])
    assert {link["url"].removeprefix("/d/") for link in board["links"]} == uids - {board["uid"]}
    for url in urls:
        if "?" in url:
            assert "${__url_time_range}" in url
            assert {"${datasource:queryparam}", "${job:queryparam}", "${instance:queryparam}"} <= set(
                url.split("?")[1].split("&")
            )


@EACH_BOARD
def test_variables_are_the_ones_that_the_linter_wants(board: Mapping[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    source = variables.pop("datasource")
    assert (source["type"], source["query"], source["label"]) == ("datasource", "prometheus", "Data source")
    assert source["current"]["value"] == "prometheus"
    assert {"job", "instance"} <= set(variables)
    for name, variable in variables.items():
        assert variable["label"] == name.capitalize()
        assert variable["multi"]
        assert variable["includeAll"]
        assert variable["allValue"] == ".+"
        assert variable["refresh"] == 2, "values must follow the time range"
        assert variable["datasource"]["uid"] == "${datasource}"
        assert variable["description"]


@EACH_PANEL
def test_a_panel_says_what_it_shows_in_which_unit_from_which_least_value(panel: Mapping[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["title"]
    assert len(panel["description"]) > 20
    assert panel["description"].endswith(".")
    assert defaults["unit"] in UNITS
    assert "min" in defaults
    assert panel["targets"]


@EACH_PANEL
def test_a_panel_asks_the_data_source_that_is_chosen(panel: Mapping[str, Any]) -> None:
    for asker in (panel, *panel["targets"]):
        assert asker["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    refs = [target["refId"] for target in panel["targets"]]
    assert len(set(refs)) == len(refs)


@EACH_PANEL
def test_thresholds_mean_something(panel: Mapping[str, Any]) -> None:
    thresholds = panel["fieldConfig"]["defaults"]["thresholds"]
    assert thresholds["steps"][0]["value"] is None
    assert 80 not in [step["value"] for step in thresholds["steps"]], "Grafana's default is not a decision"
    values = [step["value"] for step in thresholds["steps"][1:]]
    assert values == sorted(values)
    if panel["type"] == "timeseries" and values:
        assert panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] == "dashed"


@EACH_PANEL
def test_a_graph_has_a_legend_and_a_stat_a_reduction(panel: Mapping[str, Any]) -> None:
    if panel["type"] == "timeseries":
        assert panel["options"]["legend"]["showLegend"]
        assert panel["options"]["tooltip"]["mode"] == "multi"
        assert all(target["legendFormat"] for target in panel["targets"])
    if panel["type"] == "stat":
        assert panel["options"]["reduceOptions"]["calcs"] == ["lastNotNull"]


def expect_marks(minute: int, versions: Sequence[str]) -> Mapping[str, Any]:
    labels = [f'{{job="devops-api", service_version="{version}"}}' for version in versions]
    return {
        "expr": interpolate(new_versions(), VALUES),
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": label, "value": 1} for label in labels],
    }


def test_deploys_and_roll_backs_leave_marks_and_a_restart_of_the_same_version_does_not(tmp_path: Path) -> None:
    def live(version: str, values: str) -> dict[str, str]:
        labels = f'job="devops-api",instance="a:8000",service_version="{version}"'
        return {"series": f"target_info{{{labels}}}", "values": values}

    # Version 1 starts, restarts with two minutes between, makes way for 2 with a minute between, and comes back.
    series = [live("1", "1x19 stale _x1 1x17 stale _x20 1x20"), live("2", "_x40 1x19 stale")]
    expected = {
        0: ["1"], 4: ["1"], 5: [], 19: [], 22: [], 25: [], 26: [], 27: [], 39: [],
        40: ["2"], 43: ["2"], 45: [], 50: [], 61: ["1"], 64: ["1"], 66: [],
    }  # fmt: skip
    marks = [expect_marks(minute, versions) for minute, versions in expected.items()]
    run_promtool(tmp_path, [{"input_series": series, "promql_expr_test": marks}])


@EACH_QUERY
def test_every_expression_is_promql(asked: Asked) -> None:
    assert parse(asked.expr)


@EACH_TARGET
def test_every_window_is_the_one_that_grafana_fits_to_the_screen(asked: Asked) -> None:
    assert set(re.findall(r"\[(.*?)\]", asked.expr)) <= {"$__rate_interval", "$__range"}


@EACH_TARGET
def test_every_selector_keeps_to_the_chosen_job_and_instance(asked: Asked) -> None:
    wanted = {'job=~"$job"', 'instance=~"$instance"'}
    literal = {name: f"value_of_{name}" for name in ("job", "instance", "route")}
    expr = interpolate(asked.expr, {**VALUES, **literal})
    for selector, _ in find_selectors(expr):
        if is_outside_the_service(selector):
            continue
        expected = {
            text.replace(f"${name}", value)
            for text in wanted
            for name, value in literal.items()
            if name in text and f"${name}" in text
        }
        if is_recorded(selector.name):
            expected = {text for text in expected if text.startswith("job")}
        assert expected <= find_matchers(selector), selector.name


@EACH_TARGET
def test_every_counter_is_asked_for_its_rate(asked: Asked) -> None:
    for selector, around in find_selectors(interpolate(asked.expr, VALUES)):
        if str(selector.name).endswith(("_total", "_count", "_sum", "_bucket")) and str(selector.name) not in GAUGES:
            calls = {node.func.name for node in around if isinstance(node, promql_parser.Call)}
            assert calls & {"rate", "increase", "irate"}, selector.name


@EACH_TARGET
def test_legends_name_only_labels_that_the_expression_keeps(asked: Asked) -> None:
    kept = find_kept_labels(parse(asked.expr))
    if kept is not None:
        assert set(re.findall(r"{{\s*(\w+)\s*}}", asked.legend)) <= kept


def find_kept_labels(expr: promql_parser.Expr) -> set[str] | None:
    """The labels of the outermost aggregation; None where there is none and any may come."""
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
