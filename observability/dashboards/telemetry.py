"""The dashboard about the telemetry itself: scrapes, losses, and Prometheus' own health."""

from typing import Any

from observability.dashboards.house import ZERO_THRESHOLDS, create_house_dashboard
from observability.dashboards.layout import Row
from observability.dashboards.panels import Panel, Query, assign_colours, stat, timeseries
from observability.objectives import TELEMETRY_UID
from observability.queries import instruments, telemetry
from observability.queries import metrics as m


def create_telemetry() -> dict[str, Any]:
    """Return the dashboard's document."""
    return create_house_dashboard(
        TELEMETRY_UID,
        "Whether the other dashboards can be trusted: scrapes, losses, and Prometheus' own health.",
        [
            Row("Now", [*_now()]),
            Row("Scrapes", [*_scrapes()]),
            Row("Losses", [*_losses()]),
            Row("Prometheus", [*_prometheus()]),
        ],
    )


def _now() -> list[Panel]:
    return [
        stat(
            "Targets up",
            "Instances that Prometheus can scrape.",
            Query(telemetry.targets_up(), "up"),
            unit="none",
            width=6,
        ),
        stat(
            "Series",
            "Samples in one scrape of all instances.",
            Query(telemetry.scrape_samples(), "samples"),
            unit="none",
            width=6,
        ),
        stat(
            "Lost per second",
            "Log lines, log records, spans and exports that were lost. Any value above 0 is wrong.",
            Query(telemetry.lost(), "lost"),
            unit="short",
            width=6,
            thresholds=ZERO_THRESHOLDS,
        ),
        stat(
            "Forced samples capped",
            "Requests per second that clients asked to sample and that exceeded the limit.",
            Query(instruments.counter_rate(m.SAMPLES_CAPPED), "capped"),
            unit="reqps",
            width=6,
        ),
    ]


def _scrapes() -> list[Panel]:
    return [
        timeseries(
            "Scrape duration",
            "How long a scrape takes, and how long the service took to render the metrics of the previous scrape.",
            [
                Query(telemetry.scrape_duration(), "whole scrape"),
                Query(instruments.highest(m.SCRAPE_DURATION), "rendering"),
            ],
            unit="s",
            width=12,
        ),
        timeseries(
            "Scrape size",
            "Size of all metrics as text, before compression.",
            [Query(instruments.level(m.SCRAPE_SIZE, labels=("instance",)), "{{instance}}")],
            unit="bytes",
            width=12,
        ),
    ]


def _losses() -> list[Panel]:
    return [
        timeseries(
            "Log lines lost per second",
            "Log lines dropped because standard output was not read in time and the queue was full.",
            [Query(instruments.counter_rate(m.LOG_DROPPED), "lines")],
            unit="short",
            width=6,
            soft_maximum=1,
        ),
        _losses_by(
            "reason",
            "Spans lost per second",
            "Spans dropped because the export queue was full, or because the collector did not accept them.",
            m.SPANS_DROPPED,
        ),
        _losses_by(
            "reason",
            "Log records lost per second",
            "Log records dropped because the export queue was full, or because the collector did not accept them.",
            m.LOG_RECORDS_DROPPED,
        ),
        _losses_by(
            "signal",
            "Failed exports per second",
            "Exports that the collector did not accept, by signal.",
            m.EXPORT_FAILURES,
        ),
    ]


def _losses_by(label: str, title: str, description: str, metric: m.Metric) -> Panel:
    return timeseries(
        title,
        description,
        [Query(instruments.counter_rate(metric, labels=(label,)), f"{{{{{label}}}}}")],
        unit="short",
        width=6,
        colours=assign_colours(metric.attributes[label] or ()),
        soft_maximum=1,
    )


def _prometheus() -> list[Panel]:
    return [
        timeseries(
            "Samples rejected per second",
            "Samples and scrapes that Prometheus rejected.",
            [Query(telemetry.rejected_samples(), "samples")],
            unit="short",
            width=8,
            soft_maximum=1,
        ),
        timeseries(
            "Rule failures per second",
            "Rule evaluations that failed; alerts from these rules cannot fire.",
            [Query(telemetry.rule_failures(), "evaluations")],
            unit="short",
            width=8,
            soft_maximum=1,
        ),
        timeseries(
            "Series in Prometheus",
            "Series that Prometheus holds in memory.",
            [Query(telemetry.stored_series(), "series")],
            unit="none",
            width=8,
        ),
    ]
