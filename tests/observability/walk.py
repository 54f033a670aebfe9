"""Finds every expression in the generated dashboards and rules, so that new ones are tested without a new test."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import promql_parser
import pytest
import yaml

GENERATED: Final = Path(__file__).parents[2] / "observability" / "generated"
COMPARISONS: Final = {">", "<", ">=", "<=", "==", "!="}
SET_OPERATORS: Final = {"and", "or", "unless"}
VALUES: Final = {  # What Grafana puts in place of its variables.
    "job": ".+",
    "instance": ".+",
    "route": ".+",
    "__rate_interval": "1m",
    "__range": "1h",
    "__interval": "15s",
}


class Query(NamedTuple):
    """An expression of a dashboard or a rule, and where it stands."""

    where: str
    kind: Literal["panel", "variable", "annotation", "record", "alert"]
    expr: str
    legend: str = ""
    has_exemplars: bool = False


def load_dashboards(folder: Path = GENERATED) -> Mapping[str, dict[str, Any]]:
    """Return every dashboard's document by file name."""
    return {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((folder / "dashboards").glob("*.json"))
    }


def load_rules(folder: Path = GENERATED) -> list[dict[str, Any]]:
    """Return every rule of every group, with its group's name as `group`."""
    return [
        {**rule, "group": group["name"]}
        for path in sorted(folder.glob("*.yml"))
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


def load_alerts() -> list[dict[str, Any]]:
    """Return every committed alerting rule."""
    return [rule for rule in load_rules() if "alert" in rule]


def load_recorded() -> set[str]:
    """Return the names of the series that committed rules record."""
    return {rule["record"] for rule in load_rules() if "record" in rule}


def for_each(queries: Iterable[Query]) -> pytest.MarkDecorator:
    """Parametrize a test's `query`, with the query's place as the id."""
    return pytest.mark.parametrize("query", [pytest.param(query, id=query.where) for query in queries])


def walk_panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every panel, also nested ones; rows are left out."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from walk_panels(panel)
        else:
            yield panel


def walk_dashboards(dashboards: Mapping[str, Mapping[str, Any]]) -> Iterator[Query]:
    """Yield the expression of every target, variable and annotation."""
    for file, dashboard in dashboards.items():
        for panel in walk_panels(dashboard):
            for target in panel["targets"]:
                where = f"{file}: panel {panel['title']!r}, query {target['refId']}"
                yield Query(
                    where, "panel", target["expr"], target.get("legendFormat", ""), bool(target.get("exemplar"))
                )
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield Query(f"{file}: variable {variable['name']}", "variable", variable["query"])
        for annotation in dashboard["annotations"]["list"]:
            if "expr" in annotation:
                legend = annotation.get("titleFormat", "") + annotation.get("textFormat", "")
                yield Query(f"{file}: annotation {annotation['name']!r}", "annotation", annotation["expr"], legend)


def walk_rules(rules: list[dict[str, Any]]) -> Iterator[Query]:
    """Yield every recording rule, and the left sides of the comparisons in every alert."""
    for rule in rules:
        if "record" in rule:
            yield Query(f"record {rule['record']}", "record", rule["expr"])
            continue
        for side in find_compared(promql_parser.parse(rule["expr"])):
            yield Query(f"alert {rule['alert']}", "alert", side)


def find_compared(expr: promql_parser.Expr) -> Iterator[str]:
    """Yield the left sides of the comparisons that decide whether an alert fires."""
    if isinstance(expr, promql_parser.ParenExpr):
        yield from find_compared(expr.expr)
    elif isinstance(expr, promql_parser.BinaryExpr):
        operator = str(expr.op)
        if operator in COMPARISONS:
            yield expr.lhs.prettify()
        elif operator in SET_OPERATORS:
            yield from find_compared(expr.lhs)
            yield from find_compared(expr.rhs)


def interpolate(expr: str, values: Mapping[str, str] = VALUES) -> str:
    """Replace variables by values as Grafana does; ValueError if a variable has no value."""
    for name in sorted(values, key=len, reverse=True):
        expr = expr.replace(f"${name}", values[name]).replace(f"${{{name}}}", values[name])
    if "$" in expr.replace("${1}", ""):
        raise ValueError(f"a variable has no value in {expr}")
    return expr


def unwrap(expr: str) -> tuple[str, str]:
    """Return the selector and the label of a variable's `label_values`; the label of other expressions is empty."""
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", expr)
    return (found[1], found[2]) if found else (expr, "")


def find_names(exprs: Iterable[str]) -> set[str]:
    """Return the names of the series that expressions select."""
    return {str(selector.name) for expr in exprs for selector, _ in find_selectors(interpolate(expr))}


def find_selectors(expr: str) -> list[tuple[promql_parser.VectorSelector, list[promql_parser.Expr]]]:
    """Return every vector selector of an expression with the nodes around it, innermost last."""
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
