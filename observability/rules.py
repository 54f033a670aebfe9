"""The rule files: what is recorded, and the alerts, as documents that Prometheus loads.

Numerators and denominators are summed and recorded apart, and divided last: an average of ratios would let a quiet
minute weigh as much as a busy one. Every function takes a `speed`, by which all spans of time are divided: a drill
loads the very rules that are in force, only faster.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from observability import queries as q
from observability.alerts import create_alerts, create_burn_alerts
from observability.objectives import OBJECTIVES, W5M, W6H, WINDOWS, Objective, format_duration

Document = Mapping[str, Any]
SLI_QUERIES: Final = {
    "item_requests": q.item_requests,
    "item_requests_failed": q.item_requests_failed,
    "item_requests_timed": q.item_requests_timed,
    "item_requests_slow": q.item_requests_slow,
}


def create_rule_files(speed: int = 1) -> Mapping[str, Document]:
    """Each rule file's document by its name."""
    return {
        "rules-objectives.yml": {
            "groups": [
                {"name": objective.name, "rules": [*_record(objective, speed), *_alert(objective, speed)]}
                for objective in OBJECTIVES
            ]
        },
        "rules-alerts.yml": {
            "groups": [
                {"name": group, "rules": [alert.to_rule(speed) for alert in alerts]}
                for group, alerts in create_alerts(speed).items()
            ]
        },
    }


def _record(objective: Objective, speed: int) -> Iterator[Document]:
    """The SLI at every window. A day and more are means of the rates recorded over 5 minutes.

    Reading every sample of every series for 30 days at each evaluation would cost more than all the rest.
    """
    for window in WINDOWS:
        length = format_duration(window.length_s, speed)
        for name in (objective.counted, objective.bad):
            is_long = window.length_s > W6H.length_s
            expr = q.mean(q.recorded_rate(name, W5M), length) if is_long else SLI_QUERIES[name](length)
            yield _rule(q.recorded_rate(name, window), expr)
        yield _rule(q.recorded_ratio(objective, window), q.sli_ratio(objective, window))


def _alert(objective: Objective, speed: int) -> Iterator[Document]:
    for alert in create_burn_alerts(objective):
        yield alert.to_rule(speed)


def _rule(name: str, expr: str) -> Document:
    return {"record": name, "expr": q.prettify(expr)}
