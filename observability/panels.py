"""The house's panels. With `boards` the only module that knows grafana-foundation-sdk.

Every panel has a description, a unit, a least value, thresholds that mean something (or none) and a legend that shows.
"""

import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Required, TypedDict, TypeVar, Unpack

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
    from grafana_foundation_sdk.models import common, dashboard, heatmap, prometheus

GRID_WIDTH: Final = 24
STAT_HEIGHT: Final = 4
GRAPH_HEIGHT: Final = 8

GREEN: Final = "green"
YELLOW: Final = "yellow"
ORANGE: Final = "orange"
RED: Final = "red"
BLUE: Final = "blue"
PURPLE: Final = "purple"
NEUTRAL: Final = "text"
# Neither red, orange nor yellow: a line in one of these colours is no worse than its neighbours.
HUES: Final = (
    "#5794f2", "#b877d9", "#56a64b", "#33b5c6", "#e377c2", "#8e9db3", "#a5c95a", "#8f3bb8", "#a1785c", "#1f60c4",
)  # fmt: skip
STATUS_CLASS_COLOURS: Final = {"2xx": GREEN, "3xx": BLUE, "4xx": YELLOW, "5xx": RED}
QUANTILE_COLOURS: Final = {"p50": GREEN, "p95": YELLOW, "p99": ORANGE}

DATASOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

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


class Word(NamedTuple):
    """What is shown in place of a value."""

    text: str
    colour: str


class Link(NamedTuple):
    """Where a panel, a series or a cell leads."""

    title: str
    url: str


class Column(NamedTuple):
    """A table's column."""

    title: str
    expr: str
    unit: str
    steps: Sequence[Step] = ()


class Look(TypedDict, total=False):
    """What every kind of panel can be told. `minimum` is 0 unless said; `steps` colour values or are drawn as lines."""

    unit: Required[str]
    width: Required[int]
    minimum: float
    maximum: float
    decimals: int
    steps: Sequence[Step]
    link: Link


class Panel(NamedTuple):
    """A panel and the room it takes; a line of panels is 24 wide."""

    builder: Builder[dashboard.Panel]
    width: int
    height: int


def stat(
    title: str, description: str, query: Query, *, words: Mapping[int, Word] | None = None, **look: Unpack[Look]
) -> Panel:
    """One number, or a word for it, coloured only where `steps` say when it is bad; its course is for graphs."""
    panel = _describe(stat_builders.Panel(), title, description, look, STAT_HEIGHT)
    panel.with_target(_range(query, "A"))
    panel.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
    panel.graph_mode(common.BigValueGraphMode.NONE)
    panel.color_mode(common.BigValueColorMode.BACKGROUND_SOLID if words else common.BigValueColorMode.VALUE)
    panel.text_mode(common.BigValueTextMode.VALUE)
    panel.color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    if words:
        panel.mappings([_map_words(words)])
    return Panel(panel, look["width"], STAT_HEIGHT)


def timeseries(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    colours: Mapping[str, str] | None = None,
    is_stacked: bool = False,
    soft_maximum: float | None = None,
    **look: Unpack[Look],
) -> Panel:
    """Lines over time; `colours` fixes a series' colour by its legend. The axis reaches `soft_maximum` at least."""
    panel = _describe(timeseries_builders.Panel(), title, description, look, GRAPH_HEIGHT)
    for index, query in enumerate(queries):
        panel.with_target(_range(query, _ref(index)))
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
    # Stacked lines at 0 would lie on the sum, in their own colour: areas alone say what there is.
    panel.line_width(0 if is_stacked else 1).fill_opacity(50 if is_stacked else 0)
    panel.show_points(common.VisibilityMode.NEVER)
    panel.line_interpolation(common.LineInterpolation.LINEAR).span_nulls(False)
    panel.color_scheme(builders.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC))
    if soft_maximum is not None:
        panel.axis_soft_max(soft_maximum)
    if is_stacked:
        panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if look.get("steps"):
        style = common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel.thresholds_style(style)
    for legend, colour in (colours or {}).items():
        panel.override_by_name(legend, [_property("color", {"mode": "fixed", "fixedColor": colour})])
    return Panel(panel, look["width"], GRAPH_HEIGHT)


def heatmap_of(title: str, description: str, query: Query, **look: Unpack[Look]) -> Panel:
    """A classic histogram's distribution over time; the query keeps `le`. Exemplars are drawn on it."""
    panel = _describe(heatmap_builders.Panel(), title, description, look, GRAPH_HEIGHT)
    panel.with_target(_range(query, "A").format(prometheus.PromQueryFormat.HEATMAP))
    panel.calculate(False)
    panel.y_axis(heatmap_builders.YAxisConfig().unit(look["unit"]).axis_placement(common.AxisPlacement.LEFT))
    panel.color(
        heatmap_builders.HeatmapColorOptions()
        .mode(heatmap.HeatmapColorMode.SCHEME)
        .scheme("Blues")
        .steps(32)
        .fill("dark-blue")
        .exponent(0.5)
        .reverse(False)
    )
    panel.cell_gap(1).show_legend().exemplars_color(ORANGE)
    panel.tooltip(heatmap_builders.HeatmapTooltip().mode(common.TooltipDisplayMode.SINGLE).y_histogram(True))
    return Panel(panel, look["width"], GRAPH_HEIGHT)


def table(
    title: str, description: str, label: Column, columns: Sequence[Column], *, height: int, **look: Unpack[Look]
) -> Panel:
    """A line for each value of a label, a column for each query; the label's cells lead to the link.

    `label` is the label's title and, as its expression, its name.
    """
    panel = _describe(table_builders.Panel(), title, description, look, height)
    names = {f"Value #{_ref(index)}": column.title for index, column in enumerate(columns)}
    for index, column in enumerate(columns):
        query = prometheus_builders.Dataquery().expr(column.expr).instant().legend_format(column.title)
        panel.with_target(query.format(prometheus.PromQueryFormat.TABLE).ref_id(_ref(index)).datasource(DATASOURCE))
        panel.override_by_name(column.title, _column_properties(column))
    panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        dashboard.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {name: place for place, name in enumerate((label.expr, *names))},
                "renameByName": {label.expr: label.title, **names},
            },
        )
    )
    links = [_property("links", [look["link"]._asdict()])] if "link" in look else []
    panel.override_by_name(label.title, [_property("unit", label.unit), *links])
    panel.sort_by([common_builders.TableSortByFieldState().display_name(columns[0].title).desc(True)])
    return Panel(panel, look["width"], height)


def spread_hues(legends: Sequence[str]) -> Mapping[str, str]:
    """A calm colour for each legend, the same on every panel that names them in this order."""
    return dict(zip(legends, itertools.cycle(HUES), strict=False))


def _column_properties(column: Column) -> list[dashboard.DynamicConfigValue]:
    properties = [_property("unit", column.unit)]
    if column.steps:
        steps = [{"value": step.value, "color": step.colour} for step in column.steps]
        properties += [
            _property("thresholds", {"mode": "absolute", "steps": steps}),
            _property("custom.cellOptions", {"type": "color-text"}),
        ]
    return properties


def _map_words(words: Mapping[int, Word]) -> dashboard.ValueMap:
    return dashboard.ValueMap(
        options={
            str(value): dashboard.ValueMappingResult(text=word.text, color=word.colour, index=index)
            for index, (value, word) in enumerate(words.items())
        }
    )


def _describe(panel: _B, title: str, description: str, look: Look, height: int) -> _B:
    panel.title(title).description(description).datasource(DATASOURCE)
    panel.unit(look["unit"]).span(look["width"]).height(height).no_value("none")
    panel.min(look.get("minimum", 0))
    if "maximum" in look:
        panel.max(look["maximum"])
    if "decimals" in look:
        panel.decimals(look["decimals"])
    if "link" in look and not isinstance(panel, table_builders.Panel):
        panel.data_links([create_link(look["link"])])
    steps = look.get("steps") or (Step(None, NEUTRAL),)
    thresholds = [dashboard.Threshold(value=step.value, color=step.colour) for step in steps]
    panel.thresholds(builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(thresholds))
    return panel


def _range(query: Query, ref: str) -> prometheus_builders.Dataquery:
    target = prometheus_builders.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(ref).range()
    return target.exemplar(query.has_exemplars).datasource(DATASOURCE)


def _ref(index: int) -> str:
    return chr(ord("A") + index)


def create_link(link: Link) -> builders.DashboardLink:
    """The SDK's builder of a link."""
    return builders.DashboardLink(link.title).type(dashboard.DashboardLinkType.LINK).url(link.url)


def _property(name: str, value: Any) -> dashboard.DynamicConfigValue:
    return dashboard.DynamicConfigValue(id_val=name, value=value)
