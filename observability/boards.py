"""A board made of panels: variables, annotations, links, and where each panel stands.

Boards are classic (v1) JSON: it is what Grafana's file provisioning loads without surprises.
"""

import json
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from observability.panels import DATASOURCE, GRID_WIDTH, Link, Panel, create_link

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # The SDK prefers v2 boards as soon as it is imported.
    from grafana_foundation_sdk.builders import dashboard as builders
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import dashboard

ROW_HEIGHT: Final = 1
ANNOTATION_STEP_S: Final = 60
DATASOURCE_UID: Final = "prometheus"


class Row(NamedTuple):
    """A titled row of lines of panels."""

    title: str
    panels: Sequence[Panel]


class Variable(NamedTuple):
    """What can be chosen: the values of `label` in `selector` in the time shown; all of them at first."""

    name: str
    description: str
    selector: str
    label: str


class Annotation(NamedTuple):
    """Marks on every graph where `expr` is above 0."""

    name: str
    expr: str
    colour: str
    title: str
    text: str


def create_board(
    uid: str,
    title: str,
    description: str,
    rows: Sequence[Row],
    *,
    variables: Sequence[Variable],
    annotations: Sequence[Annotation],
    links: Sequence[Link],
) -> dict[str, Any]:
    """The board's JSON document. ValueError where a line of panels is not 24 wide."""
    board = builders.Dashboard(title).uid(uid).description(description).tags(["devops-api"]).readonly().timezone("utc")
    board.tooltip(dashboard.DashboardCursorSync.CROSSHAIR).time("now-1h", "now").refresh("30s")
    board.variables([_offer_datasource(), *map(_offer, variables)]).annotations(list(map(_annotate, annotations)))
    board.links([create_link(link).keep_time(True).include_vars(True).tooltip(link.title) for link in links])
    model = board.build()
    model.panels = list(_place(rows))
    for hidden in (*(model.links or ()), *(model.annotations.list_val or ())):
        hidden.placement = None  # The SDK would hide both in a menu.
    document: dict[str, Any] = json.loads(json.dumps(model, cls=JSONEncoder))
    return document


def _offer(variable: Variable) -> Builder[dashboard.VariableModel]:
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


def _offer_datasource() -> Builder[dashboard.VariableModel]:
    provisioned = dashboard.VariableOption(selected=True, text="Prometheus", value=DATASOURCE_UID)
    return builders.DatasourceVariable("datasource").label("Data source").type("prometheus").current(provisioned)


def _annotate(annotation: Annotation) -> Builder[dashboard.AnnotationQuery]:
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
    """Give every panel its own id, from 1, and its place: rows from the top, lines from the left."""
    y, panel_id = 0, 1
    for row in rows:
        place = dashboard.GridPos(x=0, y=y, w=GRID_WIDTH, h=ROW_HEIGHT)
        yield dashboard.RowPanel(title=row.title, id_val=panel_id, collapsed=False, panels=[], grid_pos=place)
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
    """The row's lines, each as wide as the grid and all its panels of one height."""
    line: list[Panel] = []
    for panel in row.panels:
        line.append(panel)
        width = sum(each.width for each in line)
        if width > GRID_WIDTH or panel.height != line[0].height:
            raise ValueError(f"a line of {row.title!r} is {width} wide, not {GRID_WIDTH}, or of two heights")
        if width == GRID_WIDTH:
            yield line
            line = []
    if line:
        raise ValueError(f"the last line of {row.title!r} is {width} wide, not {GRID_WIDTH}")
