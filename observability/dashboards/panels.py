"""The kinds of panels, with the defaults of all dashboards.

Only this module and `layout` import grafana-foundation-sdk.

Every panel has a description, a unit, a minimum and thresholds with a meaning (or none); every graph has a legend.
"""

import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Required, TypedDict, TypeVar, Unpack

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # The import itself advertises version 2 of the schema.
    from grafana_foundation_sdk.builders import common as common_builders
    from grafana_foundation_sdk.builders import dashboard as builders
    from grafana_foundation_sdk.builders import heatmap as heatmap_builders
    from grafana_foundation_sdk.builders import prometheus as prometheus_builders
    from grafana_foundation_sdk.builders import stat as stat_builders
    from grafana_foundation_sdk.builders import table as table_builders
    from grafana_foundation_sdk.builders import timeseries as timeseries_builders
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.models import common, dashboard, prometheus
    from grafana_foundation_sdk.models import heatmap as heatmap_models

STAT_HEIGHT: Final = 4
GRAPH_HEIGHT: Final = 8

GREEN: Final = "green"
YELLOW: Final = "yellow"
ORANGE: Final = "orange"
RED: Final = "red"
BLUE: Final = "blue"
NEUTRAL: Final = "text"
# No red, orange or yellow: the colour of a line says nothing about how good its value is.
PALETTE: Final = (
    "#5794f2", "#b877d9", "#56a64b", "#33b5c6", "#e377c2", "#8e9db3", "#a5c95a", "#8f3bb8", "#a1785c", "#1f60c4",
)  # fmt: skip

DATASOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

_B = TypeVar("_B", stat_builders.Panel, timeseries_builders.Panel, table_builders.Panel, heatmap_builders.Panel)


class Threshold(NamedTuple):
    """The colour of values from `value` up (None: from the lowest)."""

    value: float | None
    colour: str


class Query(NamedTuple):
    """A panel's query and the legend of its series: a text, or a label as `{{label}}`."""

    expr: str
    legend: str
    has_exemplars: bool = False


class ValueMapping(NamedTuple):
    """The text that a stat shows instead of a value."""

    text: str
    colour: str


class Link(NamedTuple):
    """The target of a panel, a series or a cell."""

    title: str
    url: str


class Column(NamedTuple):
    """A table's column."""

    title: str
    expr: str
    unit: str
    thresholds: Sequence[Threshold] = ()


class Options(TypedDict, total=False):
    """The options of every kind of panel; `minimum` is 0 by default, and graphs draw `thresholds` as dashed lines."""

    unit: Required[str]
    width: Required[int]
    minimum: float
    maximum: float
    decimals: int
    thresholds: Sequence[Threshold]
    link: Link


class Panel(NamedTuple):
    """A panel and its size in cells of the grid."""

    builder: Builder[dashboard.Panel]
    width: int
    height: int


def stat(
    title: str,
    description: str,
    query: Query,
    *,
    mappings: Mapping[int, ValueMapping] | None = None,
    **options: Unpack[Options],
) -> Panel:
    """Create a panel with the latest value, or with its text from `mappings`."""
    panel = _configure(stat_builders.Panel(), title, description, options, STAT_HEIGHT)
    panel.with_target(_create_target(query, "A"))
    panel.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    panel.graph_mode(common.BigValueGraphMode.NONE)
    panel.color_mode(common.BigValueColorMode.BACKGROUND_SOLID if mappings else common.BigValueColorMode.VALUE)
    panel.text_mode(common.BigValueTextMode.VALUE)
    panel.color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    if mappings:
        panel.mappings([_map_values(mappings)])
    return Panel(panel, options["width"], STAT_HEIGHT)


def timeseries(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    colours: Mapping[str, str] | None = None,
    is_stacked: bool = False,
    soft_maximum: float | None = None,
    **options: Unpack[Options],
) -> Panel:
    """Create a graph; `colours` maps legends to colours, and the axis reaches at least to `soft_maximum`."""
    panel = _configure(timeseries_builders.Panel(), title, description, options, GRAPH_HEIGHT)
    for index, query in enumerate(queries):
        panel.with_target(_create_target(query, _ref(index)))
    _style_lines(panel, is_stacked=is_stacked)
    if soft_maximum is not None:
        panel.axis_soft_max(soft_maximum)
    if options.get("thresholds"):
        style = common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel.thresholds_style(style)
    for legend, colour in (colours or {}).items():
        panel.override_by_name(legend, [_property("color", {"mode": "fixed", "fixedColor": colour})])
    return Panel(panel, options["width"], GRAPH_HEIGHT)


def heatmap(title: str, description: str, query: Query, **options: Unpack[Options]) -> Panel:
    """Create a heatmap of a classic histogram, with exemplars; the query must keep `le`."""
    panel = _configure(heatmap_builders.Panel(), title, description, options, GRAPH_HEIGHT)
    panel.with_target(_create_target(query, "A").format(prometheus.PromQueryFormat.HEATMAP))
    panel.calculate(False)
    panel.y_axis(heatmap_builders.YAxisConfig().unit(options["unit"]).axis_placement(common.AxisPlacement.LEFT))
    panel.color(
        heatmap_builders.HeatmapColorOptions()
        .mode(heatmap_models.HeatmapColorMode.SCHEME)
        .scheme("Blues")
        .steps(32)
        .fill("dark-blue")
        .exponent(0.5)
        .reverse(False)
    )
    panel.cell_gap(1).show_legend().exemplars_color(ORANGE)
    panel.tooltip(heatmap_builders.HeatmapTooltip().mode(common.TooltipDisplayMode.SINGLE).y_histogram(True))
    return Panel(panel, options["width"], GRAPH_HEIGHT)


def table(
    title: str, description: str, label: Column, columns: Sequence[Column], *, height: int, **options: Unpack[Options]
) -> Panel:
    """Create a table with a line per value of a label and a column per query, sorted by the first query.

    `label.expr` is the label's name; its cells carry the link.
    """
    panel = _configure(table_builders.Panel(), title, description, options, height)
    for index, column in enumerate(columns):
        query = prometheus_builders.Dataquery().expr(column.expr).instant().legend_format(column.title)
        panel.with_target(query.format(prometheus.PromQueryFormat.TABLE).ref_id(_ref(index)).datasource(DATASOURCE))
        panel.override_by_name(column.title, _column_properties(column))
    panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(_order_columns(label, columns))
    links = [_property("links", [options["link"]._asdict()])] if "link" in options else []
    panel.override_by_name(label.title, [_property("unit", label.unit), *links])
    panel.sort_by([common_builders.TableSortByFieldState().display_name(columns[0].title).desc(True)])
    return Panel(panel, options["width"], height)


def assign_colours(legends: Sequence[str]) -> Mapping[str, str]:
    """Assign the palette's colours to legends in order, so that panels with the same legends have the same colours."""
    return dict(zip(legends, itertools.cycle(PALETTE), strict=False))


def create_link(link: Link) -> builders.DashboardLink:
    """Create the SDK's builder of a link."""
    return builders.DashboardLink(link.title).type(dashboard.DashboardLinkType.LINK).url(link.url)


def _configure(panel: _B, title: str, description: str, options: Options, height: int) -> _B:
    panel.title(title).description(description).datasource(DATASOURCE)
    panel.unit(options["unit"]).span(options["width"]).height(height).no_value("none")
    panel.min(options.get("minimum", 0))
    if "maximum" in options:
        panel.max(options["maximum"])
    if "decimals" in options:
        panel.decimals(options["decimals"])
    if "link" in options and not isinstance(panel, table_builders.Panel):
        panel.data_links([create_link(options["link"])])
    steps = [
        dashboard.Threshold(value=threshold.value, color=threshold.colour)
        for threshold in options.get("thresholds") or (Threshold(None, NEUTRAL),)
    ]
    panel.thresholds(builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps))
    return panel


def _style_lines(panel: timeseries_builders.Panel, *, is_stacked: bool) -> None:
    legend = common_builders.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM)
    panel.legend(legend.display_mode(common.LegendDisplayMode.LIST).calcs([]))
    panel.tooltip(
        common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    )
    # The line of a stacked series at 0 would hide the line below it, so stacked graphs have areas only.
    panel.line_width(0 if is_stacked else 1).fill_opacity(50 if is_stacked else 0)
    panel.show_points(common.VisibilityMode.NEVER)
    panel.line_interpolation(common.LineInterpolation.LINEAR).span_nulls(False)
    panel.color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC))
    if is_stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))


def _order_columns(label: Column, columns: Sequence[Column]) -> dashboard.DataTransformerConfig:
    names = {f"Value #{_ref(index)}": column.title for index, column in enumerate(columns)}
    return dashboard.DataTransformerConfig(
        id_val="organize",
        options={
            "excludeByName": {"Time": True},
            "indexByName": {name: place for place, name in enumerate((label.expr, *names))},
            "renameByName": {label.expr: label.title, **names},
        },
    )


def _column_properties(column: Column) -> list[dashboard.DynamicConfigValue]:
    properties = [_property("unit", column.unit)]
    if column.thresholds:
        steps = [{"value": threshold.value, "color": threshold.colour} for threshold in column.thresholds]
        properties += [
            _property("thresholds", {"mode": "absolute", "steps": steps}),
            _property("custom.cellOptions", {"type": "color-text"}),
        ]
    return properties


def _map_values(mappings: Mapping[int, ValueMapping]) -> dashboard.ValueMap:
    return dashboard.ValueMap(
        options={
            str(value): dashboard.ValueMappingResult(text=mapping.text, color=mapping.colour, index=index)
            for index, (value, mapping) in enumerate(mappings.items())
        }
    )


def _create_target(query: Query, ref: str) -> prometheus_builders.Dataquery:
    target = prometheus_builders.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(ref).range()
    return target.exemplar(query.has_exemplars).datasource(DATASOURCE)


def _ref(index: int) -> str:
    return chr(ord("A") + index)


def _property(name: str, value: Any) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)
