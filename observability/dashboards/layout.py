"""A dashboard's document: variables, annotations, links, and the position of each panel.

Documents use Grafana's classic schema (version 1), which file provisioning loads.
"""

import json
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from observability.dashboards.panels import DATASOURCE, Link, Panel, create_link

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # The import itself advertises version 2 of the schema.
    from grafana_foundation_sdk.builders import dashboard as builders
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import dashboard

# A reader cannot take in more, and Grafana runs all visible queries at each refresh: start a new dashboard instead.
PANELS_MAX: Final = 22
GRID_WIDTH: Final = 24
ROW_HEIGHT: Final = 1
ANNOTATION_STEP_S: Final = 60
DATASOURCE_UID: Final = "prometheus"


class Row(NamedTuple):
    """A titled row; its panels fill lines from left to right."""

    title: str
    panels: Sequence[Panel]


class Variable(NamedTuple):
    """A choice among the values of `label` in the series of `selector`; all of them are chosen by default."""

    name: str
    description: str
    selector: str
    label: str


class Annotation(NamedTuple):
    """Marks on every graph at times when `expr` is above 0."""

    name: str
    expr: str
    colour: str
    title: str
    text: str


def create_dashboard(
    uid: str,
    title: str,
    description: str,
    rows: Sequence[Row],
    *,
    variables: Sequence[Variable],
    annotations: Sequence[Annotation],
    links: Sequence[Link],
) -> dict[str, Any]:
    """Return a dashboard's JSON document; ValueError if a line of panels does not fill the width of the grid."""
    builder = builders.Dashboard(title).uid(uid).description(description).tags(["devops-api"]).readonly()
    builder.timezone("utc").tooltip(dashboard.DashboardCursorSync.CROSSHAIR).time("now-1h", "now").refresh("30s")
    builder.variables([_create_datasource_variable(), *map(_create_variable, variables)])
    builder.annotations(list(map(_create_annotation, annotations)))
    builder.links([create_link(link).keep_time(True).include_vars(True).tooltip(link.title) for link in links])
    model = builder.build()
    model.panels = list(_place(rows))
    for hidden in (*(model.links or ()), *(model.annotations.list_val or ())):
        hidden.placement = None  # The SDK's default would hide both in a menu.
    document: dict[str, Any] = json.loads(json.dumps(model, cls=JSONEncoder))
    return document


def _create_variable(variable: Variable) -> Builder[dashboard.VariableModel]:
    query = f"label_values({variable.selector}, {variable.label})"
    return (
        builders.QueryVariable(variable.name)
        .label(variable.name.capitalize())
        .description(variable.description)
        .query(query)
        .definition(query)
        .datasource(DATASOURCE)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
    )


def _create_datasource_variable() -> Builder[dashboard.VariableModel]:
    provisioned = dashboard.VariableOption(selected=True, text="Prometheus", value=DATASOURCE_UID)
    return builders.DatasourceVariable("datasource").label("Data source").type("prometheus").current(provisioned)


def _create_annotation(annotation: Annotation) -> Builder[dashboard.AnnotationQuery]:
    return (
        builders.AnnotationQuery()
        .name(annotation.name)
        .datasource(DATASOURCE)
        .expr(annotation.expr)
        .enable(True)
        .icon_color(annotation.colour)
        .title_format(annotation.title)
        .text_format(annotation.text)
        .step(f"{ANNOTATION_STEP_S}s")
    )


def _place(rows: Sequence[Row]) -> Iterator[dashboard.RowPanel | dashboard.Panel]:
    """Give every row and panel an id, counted from 1, and a position."""
    y, panel_id = 0, 1
    for row in rows:
        position = dashboard.GridPos(x=0, y=y, w=GRID_WIDTH, h=ROW_HEIGHT)
        yield dashboard.RowPanel(title=row.title, id_val=panel_id, collapsed=False, panels=[], grid_pos=position)
        y, panel_id = y + ROW_HEIGHT, panel_id + 1
        for line in _break_lines(row):
            x = 0
            for panel in line:
                model = panel.builder.build()
                model.id_val = panel_id
                model.grid_pos = dashboard.GridPos(x=x, y=y, w=panel.width, h=panel.height)
                yield model
                x, panel_id = x + panel.width, panel_id + 1
            y += line[0].height


def _break_lines(row: Row) -> Iterator[list[Panel]]:
    """Yield the row's lines: each as wide as the grid, with panels of one height."""
    line: list[Panel] = []
    for panel in row.panels:
        line.append(panel)
        width = sum(each.width for each in line)
        if width > GRID_WIDTH:
            raise ValueError(f"a line of row {row.title!r} is {width} wide, not {GRID_WIDTH}")
        if panel.height != line[0].height:
            raise ValueError(f"a line of row {row.title!r} has panels of different heights")
        if width == GRID_WIDTH:
            yield line
            line = []
    if line:
        raise ValueError(f"the last line of row {row.title!r} is {width} wide, not {GRID_WIDTH}")
