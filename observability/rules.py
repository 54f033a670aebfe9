"""The rule files that Prometheus loads: recording rules and alerts.

Numerators and denominators are recorded as separate sums and divided last: an average of ratios would give a quiet
minute the weight of a busy one. Functions with a `speed` divide every duration by it, so that a drill runs the same
rules faster.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from observability.alerts import ALERTS, create_burn_alerts
from observability.objectives import OBJECTIVES, W5M, W6H, WINDOWS, Objective, format_duration
from observability.queries import slo
from observability.queries.promql import mean, prettify

Document = Mapping[str, Any]


def create_rule_files(speed: int = 1) -> Mapping[str, Document]:
    """Return each rule file's document by file name."""
    return {
        "rules-objectives.yml": {
            "groups": [
                {"name": objective.name, "rules": [*_record(objective, speed), *_alert(objective, speed)]}
                for objective in OBJECTIVES
            ]
        },
        "rules-alerts.yml": {
            "groups": [
                {"name": group, "rules": [alert.to_rule(speed) for alert in alerts]} for group, alerts in ALERTS.items()
            ]
        },
    }


def _record(objective: Objective, speed: int) -> Iterator[Document]:
    """Yield the rules that record an objective's SLI over every window.

    Windows of a day and more are means of the 5-minute rates: reading every sample of every series for 30 days at each
    evaluation would cost more than all other rules together.
    """
    for window in WINDOWS:
        length = format_duration(window.length_s, speed)
        for name in (objective.counted, objective.bad):
            is_long = window.length_s > W6H.length_s
            expr = mean(slo.recorded_rate(name, W5M), length) if is_long else slo.SLIS[name](length)
            yield _rule(slo.recorded_rate(name, window), expr)
        yield _rule(slo.recorded_ratio(objective, window), slo.sli_ratio(objective, window))


def _alert(objective: Objective, speed: int) -> Iterator[Document]:
    for alert in create_burn_alerts(objective):
        yield alert.to_rule(speed)


def _rule(name: str, expr: str) -> Document:
    return {"record": name, "expr": prettify(expr)}
