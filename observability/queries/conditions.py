"""The conditions of alerts other than burn rates, with the labels `job` and, for one instance's faults, `instance`.

`WINDOW` is a placeholder that `Alert.to_rule` replaces: a drill evaluates the same conditions over shorter windows.
"""

from collections.abc import Sequence
from typing import Final

from observability.objectives import DISK_LEFT_LEAST, LOOP_DELAY_BOUND_S, QUEUE_MOST, STORE_ERRORS_MOST
from observability.queries import metrics as m
from observability.queries import store, telemetry
from observability.queries.promql import PROMETHEUS, SERVICE, rate, select, total

WINDOW: Final = "$window"


def no_instance_up() -> str:
    """Return whether Prometheus can scrape no instance, or has none to scrape."""
    up = select("up", SERVICE)
    return f"sum by (job) ({up}) == 0 or absent({up})"


def instance_down() -> str:
    """Return the instances whose last scrape failed."""
    return f"{select('up', SERVICE)} == 0"


def metric_absent(names: Sequence[str]) -> str:
    """Return which of these series no instance has, with the label `metric`."""
    return " or ".join(f'label_replace(absent({select(name, SERVICE)}), "metric", "{name}", "", "")' for name in names)


def not_ready() -> str:
    """Return the instances that report that they are not ready."""
    return f"{select(m.READY.prometheus_name, SERVICE)} == 0"


def requests_shed() -> str:
    """Return requests shed per second, if any."""
    return f"{total(rate(m.SHED.prometheus_name, SERVICE, window=WINDOW), 'job')} > 0"


def event_loop_late() -> str:
    """Return the 99th percentile of the event loop's delay, if it is above the bound."""
    buckets = rate(f"{m.LOOP_DELAY.prometheus_name}_bucket", SERVICE, window=WINDOW)
    return f"histogram_quantile(0.99, {total(buckets, 'job', 'instance', 'le')}) > {LOOP_DELAY_BOUND_S}"


def store_failing() -> str:
    """Return the share of store operations that fail, if it is above the bound."""
    failed = total(rate(store.OPERATIONS, SERVICE, store.FAILED, window=WINDOW), "job")
    every = total(rate(store.OPERATIONS, SERVICE, window=WINDOW), "job")
    return f"{failed} / {every} > {STORE_ERRORS_MOST}"


def writer_queue_long() -> str:
    """Return the shortest length of the writer's queue in the window, if it is above the bound."""
    return f"min_over_time({select(m.WRITER_QUEUE.prometheus_name, SERVICE)}[{WINDOW}]) > {QUEUE_MOST}"


def disk_filling() -> str:
    """Return the free share of the database's disk, if it is below the bound."""
    return f"{store.disk_left(SERVICE)} < {DISK_LEFT_LEAST}"


def telemetry_lost() -> str:
    """Return log lines, log records, spans and exports lost per second, if any."""
    return f"{telemetry.lost(SERVICE, labels=('job', 'instance'), window=WINDOW)} > 0"


def rules_failing() -> str:
    """Return how many rule evaluations failed in the window, if any."""
    return f"sum by (job, instance) ({_increase(telemetry.RULE_FAILURES)}) > 0"


def samples_rejected() -> str:
    """Return how many samples and scrapes Prometheus rejected in the window, if any."""
    return f"{' + '.join(map(_increase, telemetry.REJECTED_SAMPLES))} > 0"


def notifications_lost() -> str:
    """Return how many alerts did not reach the Alertmanager in the window, if any."""
    return f"sum by (job, instance) ({_increase(telemetry.LOST_NOTIFICATIONS)}) > 0"


def _increase(name: str) -> str:
    return f"increase({select(name, PROMETHEUS)}[{WINDOW}])"
