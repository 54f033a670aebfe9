"""Dashboards are read at night under pressure: these rules keep them legible and their documents valid."""

import json
import re
import warnings
from collections.abc import Mapping
from typing import Any

import pytest
from walk import load_dashboards, walk_panels

from observability.dashboards.layout import GRID_WIDTH, PANELS_MAX, Row, create_dashboard
from observability.dashboards.panels import Panel, Query, stat, timeseries

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

DASHBOARDS = load_dashboards()
PANELS = [
    pytest.param(panel, id=f"{file}-{panel['title']}")
    for file, dashboard in DASHBOARDS.items()
    for panel in walk_panels(dashboard)
]
EACH_DASHBOARD = pytest.mark.parametrize(
    "dashboard", [pytest.param(dashboard, id=file) for file, dashboard in DASHBOARDS.items()]
)
EACH_PANEL = pytest.mark.parametrize("panel", PANELS)
UNITS = {"binBps", "reqps", "percentunit", "s", "short", "bytes", "ops", "none", "dtdurations", "cps", "string"}


GRAPH = timeseries("t", "d", [Query("up", "up")], unit="short", width=13)
STAT = stat("t", "d", Query("up", "up"), unit="short", width=11)


@pytest.mark.parametrize(
    ("panels", "message"),
    [([GRAPH], "13 wide, not 24"), ([GRAPH, GRAPH], "26 wide, not 24"), ([GRAPH, STAT], "different heights")],
)
def test_a_line_of_panels_that_does_not_fill_the_grid_is_rejected(panels: list[Panel], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_dashboard("u", "t", "d", [Row("r", panels)], variables=[], annotations=[], links=[])


def test_uids_and_titles_of_dashboards_are_unique() -> None:
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)
    assert all(0 < len(dashboard["uid"]) <= 40 for dashboard in DASHBOARDS.values())


@EACH_DASHBOARD
def test_the_sdk_reads_a_dashboard_back_unchanged(dashboard: Mapping[str, Any]) -> None:
    again = json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))
    assert again["panels"] == dashboard["panels"]
    assert again["templating"] == dashboard["templating"]


@EACH_DASHBOARD
def test_a_dashboard_is_read_only_in_utc_with_a_shared_crosshair(dashboard: Mapping[str, Any]) -> None:
    assert dashboard["editable"] is False
    assert dashboard["timezone"] == "utc"
    assert dashboard["graphTooltip"] == 1
    assert "__inputs" not in dashboard
    assert dashboard["description"]


@EACH_DASHBOARD
def test_panel_ids_are_unique_and_lines_fill_the_grid(dashboard: Mapping[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert sorted(ids) == list(range(1, len(ids) + 1))
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, f"{panel['title']} lies on another panel"
        cells |= own
    assert {x for x, _ in cells} == set(range(GRID_WIDTH))
    assert len(cells) == GRID_WIDTH * (1 + max(y for _, y in cells)), "there is a hole in the grid"


@EACH_DASHBOARD
def test_a_dashboard_has_few_panels(dashboard: Mapping[str, Any]) -> None:
    assert len(list(walk_panels(dashboard))) <= PANELS_MAX


@EACH_DASHBOARD
def test_links_and_annotations_are_not_hidden_in_a_menu(dashboard: Mapping[str, Any]) -> None:
    for shown in (*dashboard["links"], *dashboard["annotations"]["list"]):
        assert "placement" not in shown


@EACH_DASHBOARD
def test_links_lead_to_existing_dashboards_and_keep_time_and_variables(dashboard: Mapping[str, Any]) -> None:
    uids = {other["uid"] for other in DASHBOARDS.values()}
    urls = re.findall(r'"url": "(/d/[^"]*)"', json.dumps(dashboard))
    assert {url.split("/")[2].split("?")[0] for url in urls} <= uids
    assert all(link["keepTime"] and link["includeVars"] for link in dashboard["links"])
    assert {link["url"].removeprefix("/d/") for link in dashboard["links"]} == uids - {dashboard["uid"]}
    for url in urls:
        if "?" in url:
            assert "${__url_time_range}" in url
            assert {"${datasource:queryparam}", "${job:queryparam}", "${instance:queryparam}"} <= set(
                url.split("?")[1].split("&")
            )


@EACH_DASHBOARD
def test_variables_are_those_that_grafana_s_dashboard_linter_requires(dashboard: Mapping[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
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
def test_a_panel_has_title_description_unit_minimum_and_queries(panel: Mapping[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["title"]
    assert len(panel["description"]) > 20
    assert panel["description"].endswith(".")
    assert defaults["unit"] in UNITS
    assert "min" in defaults
    assert panel["targets"]


@EACH_PANEL
def test_a_panel_queries_the_chosen_data_source(panel: Mapping[str, Any]) -> None:
    for owner in (panel, *panel["targets"]):
        assert owner["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    refs = [target["refId"] for target in panel["targets"]]
    assert len(set(refs)) == len(refs)


@EACH_PANEL
def test_thresholds_are_deliberate(panel: Mapping[str, Any]) -> None:
    thresholds = panel["fieldConfig"]["defaults"]["thresholds"]
    assert thresholds["steps"][0]["value"] is None
    assert 80 not in [step["value"] for step in thresholds["steps"]], "80 is Grafana's default"
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
