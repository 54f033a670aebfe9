"""The test cases of every alert: the series that make it fire, and when. A new alert needs a `Case` in `CASES` here."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from promtool import OTHER_INSTANCE, PROMETHEUS, SERVICE, bucket, count

from observability.objectives import AVAILABILITY, BURNS, LATENCY, OBJECTIVES, Burn, Objective
from observability.queries import metrics as m
from observability.queries.store import OPERATIONS
from observability.queries.telemetry import LOST_NOTIFICATIONS, REJECTED_SAMPLES, RULE_FAILURES

END = 10_000  # A minute after all tests.


class Case(NamedTuple):
    """The series of an alert and the minute at which it fires.

    The alert must be silent one minute before `fires_at` and again at `resolved_at`. `labels` are those of the
    alert without the rule's own, `value` is the formatted `$value`, and `which` selects one of several rules of the
    same name by a label. Values are in promtool's notation: `0+5x10` is 0, 5, 10, … 50, one per minute.
    """

    alert: str
    series: Mapping[str, str]
    fires_at: int
    resolved_at: int
    labels: Mapping[str, str]
    value: str
    which: Mapping[str, str] = {}


def create_burn_series(objective: Objective, bad: int, good: int, until: int) -> dict[str, str]:
    """Return `bad` requests per minute up to a minute, and `good` ones up to the end; the other objective is met."""
    every = good + bad
    if objective is AVAILABILITY:
        failed = count(f"0+{bad}x{until} {bad * until}x{END}", status="500")
        return count(f"0+{good}x{END}") | failed | bucket(f"0+{every}x{END}")
    return count(f"0+{every}x{END}") | bucket(f"0+{good}x{until} {good * until + every}+{every}x{END}")


# By the factor of the burn rate: a rate between two factors, so that one rule alone fires; the minute at which the bad
# requests end; the minute at which the short window has resolved the alert.
BURN_TIMES = {14.4: (20, 5, 12), 6.0: (10, 20, 52), 3.0: (4, 65, 110), 1.0: (2, 200, 600)}


def create_burn_case(objective: Objective, burn: Burn) -> Case:
    """Return the case of a burn-rate alert."""
    times_allowed, until, resolved_at = BURN_TIMES[burn.factor]
    ratio = times_allowed * objective.budget
    bad = round(10_000 * ratio)
    return Case(
        objective.alert,
        create_burn_series(objective, bad, 10_000 - bad, until),
        fires_at=1 + burn.for_s // 60,  # The first rate needs two samples.
        resolved_at=resolved_at,
        labels={"job": "devops-api"},
        value=f"{ratio * 100:.4g}%",
        which={"long": burn.long.name},
    )


JOB_LABELS = {"job": "devops-api"}
INSTANCE_LABELS = {"job": "devops-api", "instance": "a:8000"}
PROMETHEUS_LABELS = {"job": "prometheus", "instance": "p:9090"}
CASES = (
    *(create_burn_case(objective, burn) for objective in OBJECTIVES for burn in BURNS),
    Case(
        "ServiceDown",
        {f"up{{{SERVICE}}}": "1x4 0x6 1x9", f"up{{{OTHER_INSTANCE}}}": "1x3 0x7 1x9"},
        fires_at=7,
        resolved_at=12,
        labels=JOB_LABELS,
        value="0",
    ),
    Case(
        "TargetDown",
        {f"up{{{SERVICE}}}": "1x4 0x6 1x9", f"up{{{OTHER_INSTANCE}}}": "1x20"},
        fires_at=7,
        resolved_at=12,
        labels=INSTANCE_LABELS,
        value="0",
    ),
    Case(
        "ReadinessFailing",
        {f"{m.READY.prometheus_name}{{{SERVICE}}}": "1x4 0x10 1x9"},
        fires_at=7,
        resolved_at=16,
        labels=INSTANCE_LABELS,
        value="0",
    ),
    Case(
        "OverloadShedding",
        {f"{m.SHED.prometheus_name}{{{SERVICE}}}": "0x4 0+60x20 1200x40"},
        fires_at=11,
        resolved_at=31,
        labels=JOB_LABELS,
        value="1",
    ),
    Case(
        "EventLoopStalled",
        {
            f'{m.LOOP_DELAY.prometheus_name}_bucket{{{SERVICE},le="{bound}"}}': values
            for bound, values in (
                ("0.1", f"0+98x20 1960+100x{END}"),
                ("0.25", f"0+100x{END}"),
                ("+Inf", f"0+100x{END}"),
            )
        },
        fires_at=6,
        resolved_at=27,
        labels=INSTANCE_LABELS,
        value="175ms",  # The middle of the bucket that has the last 2 %.
    ),
    Case(
        "StoreErrors",
        {
            f"{OPERATIONS}{{{SERVICE}}}": f"0+96x{END}",
            f'{OPERATIONS}{{{SERVICE},error_type="NotFoundError"}}': f"0+2x{END}",
            f'{OPERATIONS}{{{SERVICE},error_type="StoreUnavailableError"}}': f"0+2x20 40x{END}",
        },
        fires_at=6,
        resolved_at=27,
        labels=JOB_LABELS,
        value="2%",
    ),
    Case(
        "WriterQueueGrowing",
        {f"{m.WRITER_QUEUE.prometheus_name}{{{SERVICE}}}": "512x4 513x20 512x20"},
        fires_at=14,
        resolved_at=26,
        labels=INSTANCE_LABELS,
        value="513",
    ),
    Case(
        "DatabaseDiskFilling",
        {
            f"{m.DISK_FREE.prometheus_name}{{{SERVICE}}}": "50x4 5x20 50x20",
            f"{m.DISK_SIZE.prometheus_name}{{{SERVICE}}}": f"100x{END}",
        },
        fires_at=15,
        resolved_at=26,
        labels=INSTANCE_LABELS,
        value="5%",
    ),
    Case(
        "TelemetryDropped",
        {
            f"{m.LOG_DROPPED.prometheus_name}{{{SERVICE}}}": "0x4 0+60x20 1200x40",
            f'{m.LOG_RECORDS_DROPPED.prometheus_name}{{{SERVICE},reason="queue_full"}}': f"0x{END}",
            f'{m.SPANS_DROPPED.prometheus_name}{{{SERVICE},reason="queue_full"}}': f"0x{END}",
            f'{m.EXPORT_FAILURES.prometheus_name}{{{SERVICE},signal="traces"}}': f"0x{END}",
        },
        fires_at=16,
        resolved_at=31,
        labels=INSTANCE_LABELS,
        value="1",
    ),
    Case(
        "PrometheusRuleFailing",
        {f'{RULE_FAILURES}{{{PROMETHEUS},rule_group="g"}}': "0x4 0+1x20 20x40"},
        fires_at=16,
        resolved_at=31,
        labels=PROMETHEUS_LABELS,
        value="5",
    ),
    Case(
        "PrometheusScrapeFailing",
        {
            **{f"{name}{{{PROMETHEUS}}}": f"0x{END}" for name in REJECTED_SAMPLES},
            f"{REJECTED_SAMPLES[-1]}{{{PROMETHEUS}}}": "0x4 0+1x20 20x40",
        },
        fires_at=16,
        resolved_at=31,
        labels=PROMETHEUS_LABELS,
        value="5",
    ),
    Case(
        "PrometheusNotifyFailing",
        {f"{LOST_NOTIFICATIONS}{{{PROMETHEUS}}}": "0x4 0+2x20 40x40"},
        fires_at=16,
        resolved_at=31,
        labels=PROMETHEUS_LABELS,
        value="10",
    ),
)

ALWAYS = (20, 120, 400)
# Series during which alerts must stay silent: the alerts' names and the minutes to look at.
QUIET: Mapping[str, tuple[Mapping[str, str], Sequence[str], Sequence[int]]] = {
    "a burn rate just below the lowest factor": (
        create_burn_series(AVAILABILITY, 9, 9_991, END),
        [AVAILABILITY.alert],
        ALWAYS,
    ),
    "as many slow requests as the objective allows": (
        create_burn_series(LATENCY, 99, 9_901, END),
        [LATENCY.alert],
        ALWAYS,
    ),
    "a burst of failures that is over": (
        # Half of the first ten minutes failed: the long windows still exceed the limit, the short ones do not.
        count(f"0+100x10 1000x{END}", status="500") | count(f"0+100x{END}"),
        [AVAILABILITY.alert],
        (45,),
    ),
    "one of two instances is down": (
        {f"up{{{SERVICE}}}": f"0x{END}", f"up{{{OTHER_INSTANCE}}}": f"1x{END}"},
        ["ServiceDown"],
        ALWAYS,
    ),
    "another job is down": (
        {'up{job="other",instance="c:1"}': f"0x{END}", f"up{{{SERVICE}}}": f"1x{END}"},
        ["ServiceDown", "TargetDown"],
        ALWAYS,
    ),
}
