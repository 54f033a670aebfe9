"""Walks what is generated: every expression of every board and rule, added tomorrow or today, with where it stands."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import promql_parser
import yaml

GENERATED: Final = Path(__file__).parents[2] / "observability" / "generated"
COMPARISONS: Final = {">", "<", ">=", "<=", "==", "!="}
SET_OPERATORS: Final = {"and", "or", "unless"}


class Asked(NamedTuple):
    """One expression that somebody sees the answer of: who asks, and how."""

    where: str
    kind: Literal["panel", "variable", "annotation", "record", "alert"]
    expr: str
    legend: str = ""
    has_exemplars: bool = False


def load_boards(folder: Path = GENERATED) -> Mapping[str, dict[str, Any]]:
    """Every board's document by its file's name."""
    return {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((folder / "dashboards").glob("*.json"))
    }


def load_rules(folder: Path = GENERATED) -> list[dict[str, Any]]:
    """Every rule of every group, with `group` added."""
    return [
        {**rule, "group": group["name"]}
        for path in sorted(folder.glob("*.yml"))
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


def walk_panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel but the titles of rows, nested ones too."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from walk_panels(panel)
        else:
            yield panel


def walk_boards(boards: Mapping[str, Mapping[str, Any]]) -> Iterator[Asked]:
    """Every target, variable query and annotation."""
    for file, board in boards.items():
        for panel in walk_panels(board):
            for target in panel["targets"]:
                where = f"{file}: panel {panel['title']!r}, query {target['refId']}"
                yield Asked(
                    where, "panel", target["expr"], target.get("legendFormat", ""), bool(target.get("exemplar"))
                )
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield Asked(f"{file}: variable {variable['name']}", "variable", variable["query"])
        for annotation in board["annotations"]["list"]:
            if "expr" in annotation:
                legend = annotation.get("titleFormat", "") + annotation.get("textFormat", "")
                yield Asked(f"{file}: annotation {annotation['name']!r}", "annotation", annotation["expr"], legend)


def walk_rules(rules: list[dict[str, Any]]) -> Iterator[Asked]:
    """Every recording rule, and the left side of each comparison of each alert that is not about absence."""
    for rule in rules:
        if "record" in rule:
            yield Asked(f"record {rule['record']}", "record", rule["expr"])
            continue
        for side in find_compared(promql_parser.parse(rule["expr"])):
            yield Asked(f"alert {rule['alert']}", "alert", side)


def find_compared(expr: promql_parser.Expr) -> Iterator[str]:
    """The left sides of the comparisons that decide whether an alert fires."""
    if isinstance(expr, promql_parser.ParenExpr):
        yield from find_compared(expr.expr)
    elif isinstance(expr, promql_parser.BinaryExpr):
        operator = str(expr.op)
        if operator in COMPARISONS:
            yield expr.lhs.prettify()
        elif operator in SET_OPERATORS:
            yield from find_compared(expr.lhs)
            yield from find_compared(expr.rhs)


def interpolate(expr: str, values: Mapping[str, str]) -> str:
    """Put values where Grafana would; ValueError where a variable stays."""
    for name in sorted(values, key=len, reverse=True):
        expr = expr.replace(f"${name}", values[name]).replace(f"${{{name}}}", values[name])
    if "$" in expr.replace("${1}", ""):
        raise ValueError(f"a variable has no value in {expr}")
    return expr


def find_selectors(expr: str) -> list[tuple[promql_parser.VectorSelector, list[promql_parser.Expr]]]:
    """Every vector selector of an expression, with the nodes that surround it, the innermost last."""
    found: list[tuple[promql_parser.VectorSelector, list[promql_parser.Expr]]] = []

    def visit(node: promql_parser.Expr, around: list[promql_parser.Expr]) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append((node, around))
            return
        inside = [*around, node]
        if isinstance(node, promql_parser.MatrixSelector):
            visit(node.vector_selector, inside)
        elif isinstance(node, promql_parser.BinaryExpr):
            visit(node.lhs, inside)
            visit(node.rhs, inside)
        elif isinstance(node, promql_parser.Call):
            for argument in node.args:
                visit(argument, inside)
        elif isinstance(
            node,
            (promql_parser.AggregateExpr, promql_parser.ParenExpr, promql_parser.UnaryExpr, promql_parser.SubqueryExpr),
        ):
            visit(node.expr, inside)

    visit(promql_parser.parse(expr), [])
    return found
