"""The alerts: a page for what users experience now, a ticket for what they will experience or what would hide it.

To add an alert, add an entry to `CAUSES`, its condition to `queries.conditions`, its case to
`tests/observability/alert_cases.py` and its heading to `runbook.md`. The series that it reads are then watched for
absence too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from observability.objectives import (
    BURNS,
    MINUTE_S,
    OBJECTIVES,
    RUNTIME_UID,
    SERVICE_UID,
    TELEMETRY_UID,
    Burn,
    Objective,
    Severity,
    format_duration,
)
from observability.queries import conditions, slo
from observability.queries.promql import prettify

# Addresses of a first run on one machine: replace them with your own.
GRAFANA_URL: Final = "http://127.0.0.1:3000"
RUNBOOK_URL: Final = "https://github.com/devops-student/devops-api/blob/main/observability/runbook.md"

WINDOW_S: Final = 5 * MINUTE_S


class Alert(NamedTuple):
    """One alerting rule.

    `description` gives the value and says what users experience; `dashboard` is the uid of the dashboard that shows
    more. `conditions.WINDOW` in `expr` stands for 5 minutes.
    """

    name: str
    expr: str
    for_s: int
    severity: Severity
    summary: str
    description: str
    dashboard: str
    labels: Mapping[str, str] = {}

    def to_rule(self, speed: int = 1) -> Mapping[str, Any]:
        """Return the rule as Prometheus loads it."""
        return {
            "alert": self.name,
            "expr": prettify(self.expr.replace(conditions.WINDOW, format_duration(WINDOW_S, speed))),
            "for": format_duration(self.for_s, speed),
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOK_URL}#{self.name.lower()}",
                "dashboard_url": f"{GRAFANA_URL}/d/{self.dashboard}",
            },
        }


def create_burn_alerts(objective: Objective) -> Sequence[Alert]:
    """Return the alerts on an objective's budget; they are evaluated right after the series that they read."""
    return [_create_burn_alert(objective, burn) for burn in BURNS]


def _create_burn_alert(objective: Objective, burn: Burn) -> Alert:
    return Alert(
        name=objective.alert,
        expr=slo.burns(objective, burn),
        for_s=burn.for_s,
        severity=burn.severity,
        summary=f"{{{{ $labels.job }}}} uses up its {objective.name} budget {burn.factor:g} times too fast",
        description=(
            f"{objective.felt} {{{{ $value | humanizePercentage }}}} of item requests {objective.harm} over the last "
            f"{burn.long.name}, and the last {burn.short.name} is as bad; the objective allows {objective.budget:.1%}. "
            f"At this rate the 30-day budget lasts {burn.hours_left} hours."
        ),
        dashboard=SERVICE_UID,
        labels={"slo": objective.name, "long": burn.long.name, "short": burn.short.name},
    )


CAUSES: Final = (
    Alert(
        name="ReadinessFailing",
        expr=conditions.not_ready(),
        for_s=2 * MINUTE_S,
        severity="page",
        summary="{{ $labels.instance }} is not ready",
        description=(
            "{{ $labels.instance }} has reported for 2 minutes that it cannot serve (ready is {{ $value }}). Load "
            "balancers send users to other instances; without another instance users get errors."
        ),
        dashboard=RUNTIME_UID,
    ),
    Alert(
        name="OverloadShedding",
        expr=conditions.requests_shed(),
        for_s=5 * MINUTE_S,
        severity="ticket",
        summary="{{ $labels.job }} sheds requests",
        description="Users get a 503 for {{ $value | humanize }} requests per second and must retry.",
        dashboard=RUNTIME_UID,
    ),
    Alert(
        name="EventLoopStalled",
        expr=conditions.event_loop_late(),
        for_s=5 * MINUTE_S,
        severity="ticket",
        summary="The event loop of {{ $labels.instance }} stalls",
        description=(
            "Users wait on every request: 1 % of the event loop's turns are delayed by at least "
            "{{ $value | humanizeDuration }}."
        ),
        dashboard=RUNTIME_UID,
    ),
    Alert(
        name="StoreErrors",
        expr=conditions.store_failing(),
        for_s=5 * MINUTE_S,
        severity="page",
        summary="The store of {{ $labels.job }} fails",
        description="Users get a 503: {{ $value | humanizePercentage }} of store operations fail.",
        dashboard=RUNTIME_UID,
    ),
    Alert(
        name="WriterQueueGrowing",
        expr=conditions.writer_queue_long(),
        for_s=5 * MINUTE_S,
        severity="ticket",
        summary="Writes on {{ $labels.instance }} queue up",
        description=(
            "Users who write wait. At least {{ $value | humanize }} changes have been queued for 5 minutes, more than "
            "half of the limit of requests in flight; at the limit the service sheds requests."
        ),
        dashboard=RUNTIME_UID,
    ),
    Alert(
        name="DatabaseDiskFilling",
        expr=conditions.disk_filling(),
        for_s=10 * MINUTE_S,
        severity="ticket",
        summary="The database's disk on {{ $labels.instance }} fills up",
        description=(
            "{{ $value | humanizePercentage }} of the disk is free. Users notice nothing until it is full; then every "
            "write fails."
        ),
        dashboard=RUNTIME_UID,
    ),
    Alert(
        name="TelemetryDropped",
        expr=conditions.telemetry_lost(),
        for_s=10 * MINUTE_S,
        severity="ticket",
        summary="{{ $labels.instance }} loses telemetry",
        description=(
            "{{ $value | humanize }} log lines, log records, spans or exports per second are lost. Users notice "
            "nothing, but logs and traces are incomplete."
        ),
        dashboard=TELEMETRY_UID,
    ),
)
PROMETHEUS: Final = (
    Alert(
        name="PrometheusRuleFailing",
        expr=conditions.rules_failing(),
        for_s=10 * MINUTE_S,
        severity="ticket",
        summary="Prometheus fails to evaluate rules",
        description=(
            "{{ $value | humanize }} rule evaluations failed in 5 minutes. Alerts from these rules cannot fire: "
            "problems of users may go unnoticed."
        ),
        dashboard=TELEMETRY_UID,
    ),
    Alert(
        name="PrometheusScrapeFailing",
        expr=conditions.samples_rejected(),
        for_s=10 * MINUTE_S,
        severity="ticket",
        summary="Prometheus rejects samples",
        description=(
            "Prometheus rejected {{ $value | humanize }} samples or scrapes in 5 minutes. Users notice nothing, but "
            "dashboards and alerts may be wrong."
        ),
        dashboard=TELEMETRY_UID,
    ),
    Alert(
        name="PrometheusNotifyFailing",
        expr=conditions.notifications_lost(),
        for_s=10 * MINUTE_S,
        severity="ticket",
        summary="Prometheus cannot deliver alerts",
        description=(
            "{{ $value | humanize }} alerts did not reach the Alertmanager in 5 minutes. Nobody is notified of "
            "problems of users."
        ),
        dashboard=TELEMETRY_UID,
    ),
)
# An alert on a series that no longer exists never fires, so the absence of each such series is an alert itself.
WATCHED: Final = slo.find_series(
    alert.expr for alert in (*CAUSES, *(alert for each in OBJECTIVES for alert in create_burn_alerts(each)))
)
PRESENCE: Final = (
    Alert(
        name="ServiceDown",
        expr=conditions.no_instance_up(),
        for_s=2 * MINUTE_S,
        severity="page",
        summary="{{ $labels.job }} is down",
        description="Users get no response: Prometheus can reach no instance of {{ $labels.job }}.",
        dashboard=SERVICE_UID,
    ),
    Alert(
        name="TargetDown",
        expr=conditions.instance_down(),
        for_s=2 * MINUTE_S,
        severity="page",
        summary="{{ $labels.instance }} does not respond",
        description=(
            "The last scrape of {{ $labels.instance }} failed (up is {{ $value }}). Users depend on the other "
            "instances of {{ $labels.job }}, if there are any."
        ),
        dashboard=SERVICE_UID,
    ),
    Alert(
        name="MetricAbsent",
        expr=conditions.metric_absent(WATCHED),
        for_s=5 * MINUTE_S,
        severity="ticket",
        summary="{{ $labels.job }} no longer exposes {{ $labels.metric }}",
        description=(
            "{{ $value }} metric that alerts read is missing: {{ $labels.metric }}. Those alerts cannot fire: problems "
            "of users may go unnoticed."
        ),
        dashboard=TELEMETRY_UID,
    ),
)
ALERTS: Final[Mapping[str, Sequence[Alert]]] = {"presence": PRESENCE, "causes": CAUSES, "prometheus": PROMETHEUS}
