"""Queries about telemetry itself: what is lost, scrapes, Prometheus' own metrics, deploys, firing alerts."""

from typing import Final

from observability.queries import metrics as m
from observability.queries.promql import NOT_PROMETHEUS, SCOPE, WINDOW, rate, select, total

LOSSES: Final = (m.LOG_DROPPED, m.LOG_RECORDS_DROPPED, m.SPANS_DROPPED, m.EXPORT_FAILURES)
# Prometheus' own metrics are in no catalogue of ours.
REJECTED_SAMPLES: Final = (
    "prometheus_target_scrapes_exceeded_sample_limit_total",
    "prometheus_target_scrapes_exceeded_body_size_limit_total",
    "prometheus_target_scrapes_sample_duplicate_timestamp_total",
    "prometheus_target_scrapes_sample_out_of_bounds_total",
    "prometheus_target_scrapes_sample_out_of_order_total",
)
RULE_FAILURES: Final = "prometheus_rule_evaluation_failures_total"
LOST_NOTIFICATIONS: Final = "prometheus_notifications_dropped_total"
DEPLOY_SHOWN: Final = "5m"  # Several steps of the annotation's query, so that one of them sees the deploy.
DEPLOY_MEMORY: Final = "1h"


def lost(matchers: str = SCOPE, *, labels: tuple[str, ...] = (), window: str = WINDOW) -> str:
    """Return log lines, log records, spans and exports lost per second."""
    return " + ".join(total(rate(metric.prometheus_name, matchers, window=window), *labels) for metric in LOSSES)


def targets_up() -> str:
    """Return how many instances Prometheus can scrape."""
    return f"sum({select('up', SCOPE, NOT_PROMETHEUS)})"


def scrape_samples() -> str:
    """Return how many samples one scrape of all instances returns."""
    return f"sum({select('scrape_samples_scraped', SCOPE, NOT_PROMETHEUS)})"


def scrape_duration() -> str:
    """Return how long the slowest scrape takes, in seconds."""
    return f"max({select('scrape_duration_seconds', SCOPE, NOT_PROMETHEUS)})"


def rejected_samples() -> str:
    """Return samples and scrapes per second that Prometheus rejects."""
    return total(" + ".join(rate(name) for name in REJECTED_SAMPLES))


def rule_failures() -> str:
    """Return failed rule evaluations per second."""
    return total(rate(RULE_FAILURES))


def stored_series() -> str:
    """Return how many series Prometheus holds in memory."""
    return "sum(prometheus_tsdb_head_series)"


def new_versions() -> str:
    """Return versions that did not run `DEPLOY_SHOWN` ago; each has a value for that long after its deploy.

    A service that ran within `DEPLOY_MEMORY` but not `DEPLOY_SHOWN` ago was restarting, which is no deploy.
    """
    info = select("target_info", SCOPE)
    then = f"{info} offset {DEPLOY_SHOWN}"
    before = f"last_over_time({info}[{DEPLOY_MEMORY}] offset {DEPLOY_SHOWN})"
    new = f"count by (job, service_version) ({info}) unless count by (job, service_version) ({then})"
    return f"{new} unless on (job) (count by (job) ({before}) unless count by (job) ({then}))"


def firing_alerts() -> str:
    """Return the firing alerts, each once."""
    return 'max by (alertname, severity, job) (ALERTS{alertstate="firing"})'


def firing_count() -> str:
    """Return how many alerts fire; 0 if none does."""
    return 'count(ALERTS{alertstate="firing"}) or vector(0)'
