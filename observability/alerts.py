"""The alerts: pages for what users feel now, tickets for what they will feel, or what would hide it.

Every alert says its value and what users feel, and leads to its heading in the runbook and to the board that shows it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from observability import queries as q
from observability.objectives import (
    BURNS,
    OBJECTIVES,
    SERVICE_UID,
    Burn,
    Objective,
    Severity,
    format_duration,
)

# Where people are led. Both are addresses of a first run on one machine: a team puts its own here.
GRAFANA_URL: Final = "http://127.0.0.1:3000"
RUNBOOK_URL: Final = "https://github.com/devops-student/devops-api/blob/main/observability/runbook.md"


class Alert(NamedTuple):
    """One alerting rule; `description` says the value and what users feel, `board` is the uid that shows more."""

    name: str
    expr: str
    for_s: int
    severity: Severity
    summary: str
    description: str
    board: str
    labels: Mapping[str, str] = {}

    def to_rule(self, speed: int = 1) -> Mapping[str, Any]:
        """The rule as Prometheus loads it."""
        return {
            "alert": self.name,
            "expr": q.prettify(self.expr),
            "for": format_duration(self.for_s, speed),
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOK_URL}#{self.name.lower()}",
                "dashboard_url": f"{GRAFANA_URL}/d/{self.board}",
            },
        }


def create_alerts(speed: int = 1) -> Mapping[str, Sequence[Alert]]:
    """Every alert by its group."""
    del speed
    return {"budget": [_burn(objective, burn) for objective in OBJECTIVES for burn in BURNS]}


def _burn(objective: Objective, burn: Burn) -> Alert:
    limit = f"{burn.factor} * {objective.budget}"
    long, short = q.recorded_ratio(objective, burn.long), q.recorded_ratio(objective, burn.short)
    return Alert(
        name=f"{objective.name.capitalize()}BudgetBurn",
        expr=f"{long} > {limit} and {short} > {limit}",
        for_s=burn.for_s,
        severity=burn.severity,
        summary=f"{{{{ $labels.job }}}} burns its {objective.name} budget {burn.factor:g} times too fast",
        description=(
            f"{{{{ $value | humanizePercentage }}}} of item requests {objective.harm} over {burn.long.name}, and over "
            f"{burn.short.name} as well; the objective allows {objective.budget:.1%}. {objective.felt} At this pace a "
            f"whole 30-day budget is gone in {burn.hours_left} hours."
        ),
        board=SERVICE_UID,
        labels={"slo": objective.name, "long": burn.long.name, "short": burn.short.name},
    )
