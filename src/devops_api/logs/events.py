"""The catalogue of log events. Events that are not in it, and fields that an event does not declare, are not logged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of log line: its level, its fields, and when it is written."""

    level: str
    fields: tuple[str, ...]
    meaning: str


SERVICE_EVENTS: Final[Mapping[str, Event]] = {
    "started": Event("info", ("version", "host", "ports"), "The service listens."),
    "open_to_network": Event(
        "warning",
        ("host",),
        "The service listens beyond loopback without tokens: everyone who can reach it may read and write.",
    ),
    "draining": Event("info", ("in_flight",), "The service received a stop signal and drains."),
    "stopped": Event("info", ("is_complete",), "The service has stopped; is_complete: every request got its response."),
    "request": Event(
        "info",
        ("method", "route", "status", "duration_ms"),
        "A request was slow or sampled, or the access log is enabled.",
    ),
    "request_failed": Event("error", ("error",), "A request got a 5xx."),
    "library": Event("warning", ("logger", "message", "error"), "A library logged a warning or an error."),
    "metrics_stale": Event("error", ("error",), "A metric could not be refreshed and shows its last value."),
    "log_dropped": Event("warning", ("count",), "Log lines were lost because standard output was not read in time."),
}
