"""The board for whether the other boards can be believed: scrapes, what is dropped, and Prometheus itself."""

from typing import Any

from devops_api.telemetry import catalogue as m
from observability import queries as q
from observability.boards import Row
from observability.frame import ZERO_STEPS, frame_board
from observability.objectives import TELEMETRY_UID
from observability.panels import Panel, Query, spread_hues, stat, timeseries


def create_telemetry() -> dict[str, Any]:
    """The board's document."""
    description = "Whether the other boards can be believed: scrapes, what is dropped, and Prometheus itself."
    return frame_board(TELEMETRY_UID, description, [_now(), _scrapes(), _losses(), _prometheus()])


def _now() -> Row:
    return Row(
        "Now",
        [
            stat(
                "Targets up",
                "Instances that Prometheus reaches.",
                Query(f"sum({q.select('up', q.SCOPE, q.NOT_PROMETHEUS)})", "up"),
                unit="none",
                width=6,
            ),
            stat(
                "Series",
                "Samples that a scrape of all instances brings.",
                Query(f"sum({q.select('scrape_samples_scraped', q.SCOPE, q.NOT_PROMETHEUS)})", "samples"),
                unit="none",
                width=6,
            ),
            stat(
                "Lost per second",
                "Log lines, log records, spans and exports that nobody will see. Anything but 0 is wrong.",
                Query(q.lost(), "lost"),
                unit="short",
                width=6,
                steps=ZERO_STEPS,
            ),
            stat(
                "Forced samples turned down",
                "Requests per second that a caller asked to trace beyond the cap.",
                Query(q.counter_rate(m.SAMPLES_CAPPED), "turned down"),
                unit="reqps",
                width=6,
            ),
        ],
    )


def _scrapes() -> Row:
    return Row(
        "Scrapes",
        [
            timeseries(
                "Scrape duration",
                "How long a scrape takes Prometheus, and how long the service rendered for the one before it.",
                [
                    Query(f"max({q.select('scrape_duration_seconds', q.SCOPE, q.NOT_PROMETHEUS)})", "whole scrape"),
                    Query(q.greatest(m.SCRAPE_DURATION), "rendering"),
                ],
                unit="s",
                width=12,
            ),
            timeseries(
                "Scrape size",
                "Size of the text of all metrics, before compression.",
                [Query(q.level(m.SCRAPE_SIZE, labels=("instance",)), "{{instance}}")],
                unit="bytes",
                width=12,
            ),
        ],
    )


def _losses() -> Row:
    return Row(
        "Losses",
        [
            timeseries(
                "Log lines lost per second",
                "Lines that found the queue full because standard output was not read.",
                [Query(q.counter_rate(m.LOG_DROPPED), "lines")],
                unit="short",
                width=6,
                soft_maximum=1,
            ),
            _lost_by(
                "Spans lost per second",
                "Spans that found the queue to the collector full, or that it did not take.",
                m.SPANS_DROPPED,
                "reason",
            ),
            _lost_by(
                "Log records lost per second",
                "Log records that found the queue to the collector full, or that it did not take.",
                m.LOG_RECORDS_DROPPED,
                "reason",
            ),
            _lost_by(
                "Failed exports per second",
                "Exports that the collector did not take, by signal.",
                m.EXPORT_FAILURES,
                "signal",
            ),
        ],
    )


def _lost_by(title: str, description: str, metric: m.Metric, label: str) -> Panel:
    """What a collector did not get, by the values that the catalogue knows of a label."""
    return timeseries(
        title,
        description,
        [Query(q.counter_rate(metric, labels=(label,)), f"{{{{{label}}}}}")],
        unit="short",
        width=6,
        colours=spread_hues(metric.attributes[label] or ()),
        soft_maximum=1,
    )


def _prometheus() -> Row:
    rules = "rate(prometheus_rule_evaluation_failures_total[$__rate_interval])"
    return Row(
        "Prometheus",
        [
            timeseries(
                "Samples thrown away per second",
                "Samples and scrapes that Prometheus refused.",
                [Query(f"sum({q.thrown_away()})", "samples")],
                unit="short",
                width=8,
                soft_maximum=1,
            ),
            timeseries(
                "Rule failures per second",
                "Evaluations of rules that failed: alerts on them are blind.",
                [Query(f"sum({rules})", "evaluations")],
                unit="short",
                width=8,
                soft_maximum=1,
            ),
            timeseries(
                "Series in Prometheus",
                "Series that Prometheus holds in memory.",
                [Query("sum(prometheus_tsdb_head_series)", "series")],
                unit="none",
                width=8,
            ),
        ],
    )
