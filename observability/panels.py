"""The house's defaults for panels and boards, and the only module that knows grafana-foundation-sdk.

Every panel has a description, a unit, a least value, thresholds that mean something (or none) and a legend that shows.
Boards are classic (v1) JSON: it is what Grafana's file provisioning loads without surprises.
"""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # The SDK prefers v2 boards as soon as it is imported.
    from grafana_foundation_sdk.builders import common as common_builders
    from grafana_foundation_sdk.builders import dashboard as builders
    from grafana_foundation_sdk.builders import heatmap as heatmap_builders
    from grafana_foundation_sdk.builders import prometheus as prometheus_builders
    from grafana_foundation_sdk.builders import stat as stat_builders
    from grafana_foundation_sdk.builders import table as table_builders
    from grafana_foundation_sdk.builders import timeseries as timeseries_builders
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import common, dashboard, heatmap, prometheus

GRID_WIDTH: Final = 24
ROW_HEIGHT: Final = 1
STAT_HEIGHT: Final = 4
GRAPH_HEIGHT: Final = 8

GREEN: Final = "green"
YELLOW: Final = "yellow"
ORANGE: Final = "orange"
RED: Final = "red"
BLUE: Final = "blue"
PURPLE: Final = "purple"
NEUTRAL: Final = "text"
STATUS_CLASS_COLOURS: Final = {"2xx": GREEN, "3xx": BLUE, "4xx": YELLOW, "5xx": RED}
QUANTILE_COLOURS: Final = {"p50": GREEN, "p95": YELLOW, "p99": ORANGE}

DATASOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
GRAFANA: Final = common.DataSourceRef(type_val="grafana", uid="-- Grafana --")

_B = TypeVar("_B", stat_builders.Panel, timeseries_builders.Panel, table_builders.Panel, heatmap_builders.Panel)


class Step(NamedTuple):
    """From `value` on (None: from the lowest) the colour is `colour`."""

    value: float | None
    colour: str


class Query(NamedTuple):
    """What a panel asks, and what it calls the answer: a word, or `{{label}}`."""

    expr: str
    legend: str
    has_exemplars: bool = False


class Panel(NamedTuple):
    """A panel and the room it takes; a line of panels is 24 wide."""

    builder: Builder[dashboard.Panel]
    width: int
    height: int


class Row(NamedTuple):
    """A titled row of lines of panels."""

    title: str
    panels: Sequence[Panel]


class Column(NamedTuple):
    """A table's column; `link` is where its cells lead."""

    title: str
    expr: str
    unit: str
    steps: Sequence[Step] = ()


def stat(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str,
    steps: Sequence[Step] = (),
    width: int = 3,
    decimals: int | None = None,
    maximum: float | None = None,
    minimum: float | None = 0,
    mappings: Mapping[str, str] | None = None,
    link: tuple[str, str] | None = None,
) -> Panel:
    """One number, its recent course behind it; coloured only where `steps` say when it is bad."""
    panel = _describe(stat_builders.Panel(), title, description, unit, steps, minimum, maximum, width, STAT_HEIGHT)
    panel.with_target(_range(query, "A"))
    panel.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    panel.graph_mode(common.BigValueGraphMode.AREA).color_mode(common.BigValueColorMode.VALUE)
    panel.text_mode(common.BigValueTextMode.VALUE)
    if decimals is not None:
        panel.decimals(decimals)
    if mappings:
        panel.mappings(
            [
                dashboard.ValueMap(
                    options={
                        value: dashboard.ValueMappingResult(text=text, index=index)
                        for index, (value, text) in enumerate(mappings.items())
                    }
                )
            ]
        )
    if link:
        panel.links([_link(*link)])
    return Panel(panel, width, STAT_HEIGHT)


def timeseries(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    steps: Sequence[Step] = (),
    width: int = 12,
    colours: Mapping[str, str] | None = None,
    is_stacked: bool = False,
    maximum: float | None = None,
    minimum: float | None = 0,
    decimals: int | None = None,
    link: tuple[str, str] | None = None,
) -> Panel:
    """Lines over time; `colours` fixes a series' colour by its legend, `steps` are drawn as dashed lines."""
    panel = _describe(
        timeseries_builders.Panel(), title, description, unit, steps, minimum, maximum, width, GRAPH_HEIGHT
    )
    for index, query in enumerate(queries):
        panel.with_target(_range(query, chr(ord("A") + index)))
    panel.legend(
        common_builders.VizLegendOptions()
        .show_legend(True)
        .placement(common.LegendPlacement.BOTTOM)
        .display_mode(common.LegendDisplayMode.LIST)
        .calcs([])
    )
    panel.tooltip(
        common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    )
    panel.line_width(1).fill_opacity(30 if is_stacked else 8).show_points(common.VisibilityMode.NEVER)
    panel.line_interpolation(common.LineInterpolation.LINEAR).span_nulls(False)
    if is_stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if steps:
        panel.thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
    if decimals is not None:
        panel.decimals(decimals)
    if link:
        panel.data_links([_link(*link)])
    for legend, colour in (colours or {}).items():
        panel.override_by_name(legend, [_property("color", {"mode": "fixed", "fixedColor": colour})])
    return Panel(panel, width, GRAPH_HEIGHT)


def table(
    title: str,
    description: str,
    label: str,
    label_title: str,
    columns: Sequence[Column],
    *,
    link: tuple[str, str],
    width: int = GRID_WIDTH,
    height: int = GRAPH_HEIGHT,
) -> Panel:
    """A line for each value of `label`, a column for each query; the label's cells lead to `link`."""
    panel = _describe(table_builders.Panel(), title, description, columns[0].unit, (), 0, None, width, height)
    names = {}
    for index, column in enumerate(columns):
        ref = chr(ord("A") + index)
        names[f"Value #{ref}"] = column.title
        query = prometheus_builders.Dataquery().expr(column.expr).instant().legend_format(column.title)
        panel.with_target(query.format(prometheus.PromQueryFormat.TABLE).ref_id(ref).datasource(DATASOURCE))
        panel.override_by_name(column.title, _column_properties(column))
    panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        dashboard.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {name: place for place, name in enumerate((label, *names))},
                "renameByName": {label: label_title, **names},
            },
        )
    )
    panel.override_by_name(
        label_title,
        [
            _property("links", [{"title": link[0], "url": link[1]}]),
            _property("unit", "string"),
        ],
    )
    panel.sort_by([common_builders.TableSortByFieldState().display_name(columns[0].title).desc(True)])
    return Panel(panel, width, height)


def _column_properties(column: Column) -> list[dashboard.DynamicConfigValue]:
    properties = [_property("unit", column.unit)]
    if column.steps:
        properties += [
            _property(
                "thresholds",
                {"mode": "absolute", "steps": [{"value": step.value, "color": step.colour} for step in column.steps]},
            ),
            _property("custom.cellOptions", {"type": "color-text"}),
        ]
    return properties


def heatmap_of(title: str, description: str, expr: str, *, unit: str, width: int = 12) -> Panel:
    """The distribution over time of a classic histogram; `expr` keeps `le`. Exemplars are drawn on it."""
    panel = _describe(heatmap_builders.Panel(), title, description, unit, (), 0, None, width, GRAPH_HEIGHT)
    query = _range(Query(expr, "{{le}}", has_exemplars=True), "A").format(prometheus.PromQueryFormat.HEATMAP)
    panel.with_target(query)
    panel.calculate(False)
    panel.y_axis(heatmap_builders.YAxisConfig().unit(unit).axis_placement(common.AxisPlacement.LEFT))
    panel.color(
        heatmap_builders.HeatmapColorOptions()
        .mode(heatmap.HeatmapColorMode.SCHEME)
        .scheme("Blues")
        .steps(32)
        .fill("dark-blue")
        .exponent(0.5)
        .reverse(True)
    )
    panel.cell_gap(1).show_legend()
    panel.tooltip(heatmap_builders.HeatmapTooltip().mode(common.TooltipDisplayMode.SINGLE).y_histogram(True))
    panel.exemplars_color("orange")
    return Panel(panel, width, GRAPH_HEIGHT)


def _describe(  # noqa: PLR0917 - what every kind of panel passes on
    panel: _B,
    title: str,
    description: str,
    unit: str,
    steps: Sequence[Step],
    minimum: float | None,
    maximum: float | None,
    width: int,
    height: int,
) -> _B:
    panel.title(title).description(description).datasource(DATASOURCE).unit(unit).span(width).height(height)
    if minimum is not None:
        panel.min(minimum)
    if maximum is not None:
        panel.max(maximum)
    marks = steps or (Step(None, NEUTRAL if isinstance(panel, stat_builders.Panel) else GREEN),)
    panel.thresholds(
        builders.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value=step.value, color=step.colour) for step in marks])
    )
    if isinstance(panel, stat_builders.Panel):
        panel.color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    return panel


def _range(query: Query, ref: str) -> prometheus_builders.Dataquery:
    target = prometheus_builders.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(ref).range()
    return target.exemplar(query.has_exemplars).datasource(DATASOURCE)


def _link(title: str, url: str) -> builders.DashboardLink:
    return builders.DashboardLink(title).type(dashboard.DashboardLinkType.LINK).url(url)


def _property(name: str, value: object) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)


def query_variable(name: str, label: str, description: str, query: str) -> Builder[dashboard.VariableModel]:
    """A variable that offers what Prometheus knows in the time range shown, and all of it by default."""
    everything = dashboard.VariableOption(selected=True, text="All", value="$__all")
    return (
        builders.QueryVariable(name)
        .label(label)
        .description(description)
        .query(query)
        .definition(query)
        .datasource(DATASOURCE)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(everything)
    )


def datasource_variable() -> Builder[dashboard.VariableModel]:
    """The Prometheus that a board asks; the provisioned one until somebody chooses another."""
    provisioned = dashboard.VariableOption(selected=True, text="Prometheus", value="prometheus")
    return builders.DatasourceVariable("datasource").label("Data source").type("prometheus").current(provisioned)


def annotation(
    name: str, expr: str, colour: str, title: str, text: str, *, has_value_as_time: bool = False
) -> Builder[dashboard.AnnotationQuery]:
    """Marks on every graph where `expr` has a value; with `has_value_as_time` at the times (ms) that the values are."""
    query = (
        builders.AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .expr(expr)
        .enable(True)
        .icon_color(colour)
        .title_format(title)
        .text_format(text)
        .step("60s")
    )
    return query.use_value_for_time(True) if has_value_as_time else query


def create_board(
    uid: str,
    title: str,
    description: str,
    rows: Sequence[Row],
    *,
    variables: Sequence[Builder[dashboard.VariableModel]],
    annotations: Sequence[Builder[dashboard.AnnotationQuery]],
    links: Sequence[tuple[str, str]],
    tags: Sequence[str],
) -> dict[str, Any]:
    """The board's JSON document. ValueError where a line of panels is not 24 wide."""
    board = builders.Dashboard(title).uid(uid).description(description).tags(list(tags)).readonly().timezone("utc")
    board.tooltip(dashboard.DashboardCursorSync.CROSSHAIR).time("now-1h", "now").refresh("30s")
    board.variables([datasource_variable(), *variables]).annotations(list(annotations))
    board.links(
        [
            _link(name, url).keep_time(True).include_vars(True).tooltip(f"{name}, with the same time and variables")
            for name, url in links
        ]
    )
    model = board.build()
    model.panels = list(_place(rows))
    for hidden in (*(model.links or ()), *(model.annotations.list_val or ())):
        hidden.placement = None  # The SDK would hide both in a menu.
    document: dict[str, Any] = json.loads(json.dumps(model, cls=JSONEncoder))
    return document


def _place(rows: Sequence[Row]) -> Iterator[dashboard.RowPanel | dashboard.Panel]:
    """Give every panel its own id, from 1, and its place: rows from the top, lines from the left."""
    y, panel_id = 0, 1
    for row in rows:
        yield dashboard.RowPanel(
            title=row.title,
            id_val=panel_id,
            collapsed=False,
            panels=[],
            grid_pos=dashboard.GridPos(x=0, y=y, w=GRID_WIDTH, h=ROW_HEIGHT),
        )
        y, panel_id = y + ROW_HEIGHT, panel_id + 1
        x = 0
        for panel in row.panels:
            model = panel.builder.build()
            model.id_val, panel_id = panel_id, panel_id + 1
            model.grid_pos = dashboard.GridPos(x=x, y=y, w=panel.width, h=panel.height)
            yield model
            x += panel.width
            if x > GRID_WIDTH:
                raise ValueError(f"the line that ends with {model.title!r} is {x} wide, not {GRID_WIDTH}")
            if x == GRID_WIDTH:
                x, y = 0, y + panel.height
        if x:
            raise ValueError(f"row {row.title!r} ends with a line that is {x} wide, not {GRID_WIDTH}")
