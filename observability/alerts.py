"""The alerts: pages for what users feel now, tickets for what they will feel, or what would hide it.

Every alert says its value and what users feel, and leads to its heading in the runbook and to the board that shows it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from devops_api.telemetry import catalogue as m
from observability import queries as q
from observability.objectives import (
    BURNS,
    DISK_LEFT_LEAST,
    JOB,
    LOOP_DELAY_BOUND_S,
    MINUTE_S,
    PROMETHEUS_JOB,
    QUEUE_MOST,
    RUNTIME_UID,
    SERVICE_UID,
    STORE_ERRORS_MOST,
    TELEMETRY_UID,
    Burn,
    Objective,
    Severity,
    format_duration,
)

# Where people are led. Both are addresses of a first run on one machine: a team puts its own here.
GRAFANA_URL: Final = "http://127.0.0.1:3000"
RUNBOOK_URL: Final = "https://github.com/devops-student/devops-api/blob/main/observability/runbook.md"

WINDOW_S: Final = 5 * MINUTE_S
# What alerts stand on: an alert whose metric is gone would be silent for ever.
WATCHED: Final = (
    q.REQUESTS,
    q.REQUEST_BUCKETS,
    f"{m.STORE_DURATION.prometheus_name}_count",
    f"{m.LOOP_DELAY.prometheus_name}_bucket",
    *(
        metric.prometheus_name
        for metric in (
            m.READY,
            m.SHED,
            m.DISK_FREE,
            m.DISK_SIZE,
            m.LOG_DROPPED,
            m.LOG_RECORDS_DROPPED,
            m.SPANS_DROPPED,
            m.EXPORT_FAILURES,
            m.WRITER_QUEUE,
        )
    ),
)


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


def create_burn_alerts(objective: Objective) -> Sequence[Alert]:
    """The alerts on an objective's budget, to be evaluated right after what they stand on is recorded."""
    return [_burn(objective, burn) for burn in BURNS]


def create_alerts(speed: int = 1) -> Mapping[str, Sequence[Alert]]:
    """Every other alert by its group."""
    window = format_duration(WINDOW_S, speed)
    return {
        "presence": _watch_presence(),
        "causes": _watch_causes(window),
        "prometheus": _watch_prometheus(window),
    }


def _burn(objective: Objective, burn: Burn) -> Alert:
    limit = f"{burn.factor} * {objective.budget}"
    long, short = q.recorded_ratio(objective, burn.long), q.recorded_ratio(objective, burn.short)
    return Alert(
        name=f"{objective.name.capitalize()}BudgetBurn",
        expr=f"{long} > {limit} and {short} > {limit}",
        for_s=burn.for_s,
        severity=burn.severity,
        summary=f"{{{{ $labels.job }}}} burns its {objective.name} budget at {burn.factor:g} times the allowed pace",
        description=(
            f"{{{{ $value | humanizePercentage }}}} of item requests {objective.harm} over {burn.long.name}, too many "
            f"over {burn.short.name} as well; the objective allows {objective.budget:.1%}. {objective.felt} At "
            f"{burn.factor:g} times the allowed pace a 30-day budget is gone in {burn.hours_left} hours."
        ),
        board=SERVICE_UID,
        labels={"slo": objective.name, "long": burn.long.name, "short": burn.short.name},
    )


def _watch_presence() -> Sequence[Alert]:
    up = f'up{{job="{JOB}"}}'
    absent = " or ".join(
        f'label_replace(absent({name}{{job="{JOB}"}}), "metric", "{name}", "", "")' for name in WATCHED
    )
    return [
        Alert(
            name="ServiceDown",
            expr=f"sum by (job) ({up}) == 0 or absent({up})",
            for_s=2 * MINUTE_S,
            severity="page",
            summary="No instance of {{ $labels.job }} answers",
            description="Prometheus reaches 0 instances of {{ $labels.job }}. Users get no answer.",
            board=SERVICE_UID,
        ),
        Alert(
            name="TargetDown",
            expr=f"{up} == 0",
            for_s=2 * MINUTE_S,
            severity="page",
            summary="{{ $labels.instance }} does not answer",
            description=(
                "The last scrape of {{ $labels.instance }} failed (up is {{ $value }}). Users may be served by other "
                "instances of {{ $labels.job }}, with less room for another fault."
            ),
            board=SERVICE_UID,
        ),
        Alert(
            name="MetricAbsent",
            expr=absent,
            for_s=5 * MINUTE_S,
            severity="ticket",
            summary="{{ $labels.job }} no longer has {{ $labels.metric }}",
            description=(
                "{{ $value }} metric that alerts stand on is gone: {{ $labels.metric }}. Users may suffer and nobody "
                "would be told."
            ),
            board=TELEMETRY_UID,
        ),
    ]


def _watch_causes(window: str) -> Sequence[Alert]:
    """What users feel next, or what hides what they feel; sums are by job, what an instance does by instance too."""
    job = f'job="{JOB}"'
    operations = f"{m.STORE_DURATION.prometheus_name}_count"
    failed = q.total(q.rate(operations, job, q.STORE_FAILED, window=window), "job")
    asked = q.total(q.rate(operations, job, window=window), "job")
    buckets = q.rate(f"{m.LOOP_DELAY.prometheus_name}_bucket", job, window=window)
    free, size = (q.select(metric.prometheus_name, job) for metric in (m.DISK_FREE, m.DISK_SIZE))
    dropped = " + ".join(
        q.total(q.rate(metric.prometheus_name, job, window=window), "job", "instance")
        for metric in (m.LOG_DROPPED, m.LOG_RECORDS_DROPPED, m.SPANS_DROPPED, m.EXPORT_FAILURES)
    )
    return [
        Alert(
            name="ReadinessFailing",
            expr=f"{q.select(m.READY.prometheus_name, job)} == 0",
            for_s=2 * MINUTE_S,
            severity="page",
            summary="{{ $labels.instance }} says that it cannot serve",
            description=(
                "{{ $labels.instance }} has not been ready for 2 minutes (ready is {{ $value }}). Users are sent "
                "elsewhere or get errors."
            ),
            board=RUNTIME_UID,
        ),
        Alert(
            name="OverloadShedding",
            expr=f"{q.total(q.rate(m.SHED.prometheus_name, job, window=window), 'job')} > 0",
            for_s=5 * MINUTE_S,
            severity="ticket",
            summary="{{ $labels.job }} turns requests away",
            description="{{ $value | humanize }} requests a second get a 503 at the door. Those users must ask again.",
            board=RUNTIME_UID,
        ),
        Alert(
            name="EventLoopStalled",
            expr=f"histogram_quantile(0.99, {q.total(buckets, 'job', 'instance', 'le')}) > {LOOP_DELAY_BOUND_S}",
            for_s=5 * MINUTE_S,
            severity="ticket",
            summary="The event loop of {{ $labels.instance }} stalls",
            description=(
                "1 in 100 turns of the event loop comes {{ $value | humanizeDuration }} late or more. Users wait, "
                "whatever they ask."
            ),
            board=RUNTIME_UID,
        ),
        Alert(
            name="StoreErrors",
            expr=f"{failed} / {asked} > {STORE_ERRORS_MOST}",
            for_s=5 * MINUTE_S,
            severity="page",
            summary="The store of {{ $labels.job }} fails",
            description="{{ $value | humanizePercentage }} of store operations fail. Users get a 503.",
            board=RUNTIME_UID,
        ),
        Alert(
            name="WriterQueueGrowing",
            expr=f"min_over_time({q.select(m.WRITER_QUEUE.prometheus_name, job)}[{window}]) > {QUEUE_MOST}",
            for_s=5 * MINUTE_S,
            severity="ticket",
            summary="Writes of {{ $labels.instance }} queue up",
            description=(
                "For 5 minutes at least {{ $value | humanize }} changes have waited, over half of the requests that "
                "may be in flight. Users who write wait; soon others are turned away."
            ),
            board=RUNTIME_UID,
        ),
        Alert(
            name="DatabaseDiskFilling",
            expr=f"{free} / {size} < {DISK_LEFT_LEAST}",
            for_s=10 * MINUTE_S,
            severity="ticket",
            summary="The disk under the database of {{ $labels.instance }} fills up",
            description=(
                "{{ $value | humanizePercentage }} of the disk is left. Users feel nothing until it is full; then no "
                "write is taken."
            ),
            board=RUNTIME_UID,
        ),
        Alert(
            name="TelemetryDropped",
            expr=f"{dropped} > 0",
            for_s=10 * MINUTE_S,
            severity="ticket",
            summary="{{ $labels.instance }} loses telemetry",
            description=(
                "{{ $value | humanize }} log lines, log records, spans or exports a second are lost. Users feel "
                "nothing; you see less than you think."
            ),
            board=TELEMETRY_UID,
        ),
    ]


def _watch_prometheus(window: str) -> Sequence[Alert]:
    def count(*names: str) -> str:
        return " + ".join(f'increase({name}{{job="{PROMETHEUS_JOB}"}}[{window}])' for name in names)

    return [
        Alert(
            name="PrometheusRuleFailing",
            expr=f"sum by (job, instance) ({count('prometheus_rule_evaluation_failures_total')}) > 0",
            for_s=10 * MINUTE_S,
            severity="ticket",
            summary="Prometheus fails to evaluate rules",
            description=(
                "{{ $value | humanize }} evaluations of rules failed in 5 minutes. Alerts on them are blind: users may "
                "suffer and nobody would be told."
            ),
            board=TELEMETRY_UID,
        ),
        Alert(
            name="PrometheusScrapeFailing",
            expr=f"{count(*q.THROWN_AWAY)} > 0",
            for_s=10 * MINUTE_S,
            severity="ticket",
            summary="Prometheus throws samples away",
            description=(
                "{{ $value | humanize }} samples or scrapes were thrown away in 5 minutes. Users feel nothing; boards "
                "and alerts may be wrong."
            ),
            board=TELEMETRY_UID,
        ),
        Alert(
            name="PrometheusNotifyFailing",
            expr=f"sum by (job, instance) ({count('prometheus_notifications_dropped_total')}) > 0",
            for_s=10 * MINUTE_S,
            severity="ticket",
            summary="Prometheus cannot deliver alerts",
            description=(
                "{{ $value | humanize }} alerts did not reach the Alertmanager in 5 minutes. Users may suffer and "
                "nobody would be told."
            ),
            board=TELEMETRY_UID,
        ),
    ]
