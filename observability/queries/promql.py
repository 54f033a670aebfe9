"""The building blocks of expressions: selectors, rates, sums, ratios."""

import re
from typing import Final

import promql_parser

from observability.objectives import JOB, PROMETHEUS_JOB

SCOPE: Final = 'job=~"$job", instance=~"$instance"'
SCOPE_RECORDED: Final = 'job=~"$job"'  # Recorded series cover the whole service and have no `instance`.
SERVICE: Final = f'job="{JOB}"'
PROMETHEUS: Final = f'job="{PROMETHEUS_JOB}"'
NOT_PROMETHEUS: Final = f'job!="{PROMETHEUS_JOB}"'  # Prometheus scrapes itself too and has `up` as well.
WINDOW: Final = "$__rate_interval"


def select(name: str, *matchers: str) -> str:
    """Return a selector; empty matchers are left out."""
    inside = ", ".join(matcher for matcher in matchers if matcher)
    return f"{name}{{{inside}}}" if inside else name


def rate(name: str, *matchers: str, window: str = WINDOW) -> str:
    """Return a counter's increase per second."""
    return f"rate({select(name, *matchers)}[{window}])"


def mean(name: str, window: str) -> str:
    """Return the mean of a recorded series over a window."""
    return f"avg_over_time({name}[{window}])"


def total(expr: str, *labels: str) -> str:
    """Return the sum, by labels if there are any."""
    return f"sum by ({', '.join(labels)}) ({expr})" if labels else f"sum({expr})"


def quantile(share: float, buckets: str, *labels: str) -> str:
    """Return a quantile of a histogram from the rates of its buckets; no value without observations."""
    return f"histogram_quantile({share}, {total(buckets, 'le', *labels)}) >= 0"


def share(part: str, whole: str) -> str:
    """Return `part / whole`; 0 where `whole` is 0 or `part` has no series."""
    return f"{part} / ({whole} > 0) or {whole} * 0"


def or_zero(expr: str, whole: str, label: str, value: str) -> str:
    """Return `expr` with a series at 0 for `label="value"` if it lacks one and `whole` has a series."""
    return f'{expr} or label_replace({whole} * 0, "{label}", "{value}", "", "")'


def prettify(expr: str) -> str:
    """Format an expression for people: long ones on several lines, operands of `or` one below the other."""
    tree = promql_parser.parse(expr)
    text = _format(tree)
    return "\nor\n".join(map(_format, _split_or(tree))) if "\n" in text else text


def _split_or(tree: promql_parser.Expr) -> list[promql_parser.Expr]:
    if (
        isinstance(tree, promql_parser.BinaryExpr)
        and str(tree.op) == "or"
        and (tree.modifier is None or not tree.modifier.matching)
    ):
        return [*_split_or(tree.lhs), tree.rhs]
    return [tree]


def _format(tree: promql_parser.Expr) -> str:
    text = str(tree.prettify()).rstrip()
    return re.sub("^  ", "", text, flags=re.MULTILINE) if text.startswith("  ") else text
