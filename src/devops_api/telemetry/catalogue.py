"""The metrics that any service on this chassis has, and the type that describes a metric.

A metric declares its name, unit and closed attribute values once; nothing else can be recorded. Names, units and
attributes follow OpenTelemetry's semantic conventions (HTTP, process, CPython runtime). Prometheus names are derived.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "updowncounter", "gauge", "histogram"]

OTHER: Final = "_OTHER"  # the conventions' name for a value outside a closed set
HTTP_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", OTHER)
REQUEST_ERRORS: Final = (
    "StoreUnavailableError",
    "OverloadedError",
    "UnavailableError",
    "TimedOutError",
    "InjectedFaultError",
    OTHER,
)
SIGNALS: Final = ("traces", "metrics", "logs")
DROPS: Final = ("queue_full", "not_taken")

HTTP_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
LAG_BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
SIZE_BUCKETS_BYTES: Final = (128.0, 512.0, 2048.0, 8192.0, 32768.0, 131072.0, 1048576.0, 16777216.0)
_UNIT_SUFFIXES: Final = {"s": "_seconds", "By": "_bytes"}


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric.

    `attributes` maps each attribute to its closed set of values, or to None if routes and statuses bound it.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    attributes: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()

    @property
    def prometheus_name(self) -> str:
        """The name in the Prometheus exposition; for a histogram without `_bucket`, `_sum` or `_count`."""
        total = "_total" if self.kind == "counter" else ""
        return self.name.replace(".", "_") + _UNIT_SUFFIXES.get(self.unit, "") + total

    def check(self, attributes: Mapping[str, str | int]) -> None:
        """Raise ValueError for an attribute or a value that the metric does not declare."""
        for name, value in attributes.items():
            allowed = self.attributes.get(name, ())
            if allowed is not None and value not in allowed:
                raise ValueError(f"{self.name} has no {name}={value}")


def label_name(attribute: str) -> str:
    """Return the Prometheus label of an attribute."""
    return attribute.replace(".", "_")


# Requests

REQUEST_DURATION: Final = Metric(
    "http.server.request.duration",
    "histogram",
    "s",
    "Duration of HTTP server requests.",
    {
        "http.request.method": HTTP_METHODS,
        "url.scheme": ("http",),
        "network.protocol.version": ("1.0", "1.1"),
        "http.route": None,
        "http.response.status_code": None,
        "error.type": REQUEST_ERRORS,
    },
    HTTP_BUCKETS_S,
)
REQUEST_SIZE: Final = Metric(
    "http.server.request.body.size",
    "histogram",
    "By",
    "Size of HTTP server request bodies, as far as they were read. Requests without a body do not count.",
    {"http.request.method": HTTP_METHODS, "url.scheme": ("http",), "http.route": None},
    SIZE_BUCKETS_BYTES,
)
RESPONSE_SIZE: Final = Metric(
    "http.server.response.body.size",
    "histogram",
    "By",
    "Size of HTTP server response bodies. Streamed responses include headers and framing.",
    {"http.request.method": HTTP_METHODS, "url.scheme": ("http",), "http.route": None},
    SIZE_BUCKETS_BYTES,
)
ACTIVE_REQUESTS: Final = Metric(
    "http.server.active_requests", "updowncounter", "{request}", "Requests in progress, without probes."
)


class ServiceMetrics(NamedTuple):
    """The metrics whose names carry the prefix of the service."""

    shed: Metric
    ready: Metric
    loop_delay: Metric


def create_service_metrics(prefix: str) -> ServiceMetrics:
    """Create the metrics of a service whose own metrics are named `prefix.…`."""
    return ServiceMetrics(
        Metric(
            f"{prefix}.requests.shed",
            "counter",
            "{request}",
            "Requests shed with 503 because the limit of requests in flight was reached.",
        ),
        Metric(f"{prefix}.ready", "gauge", "", "1 if the service is ready; 0 if it drains or a check fails."),
        Metric(
            f"{prefix}.event_loop.delay",
            "histogram",
            "s",
            "Delay of the event loop: how late a timer fires, measured every 50 ms.",
            buckets=LAG_BUCKETS_S,
        ),
    )


# The process: OpenTelemetry's own instrumentation records these.

CPU_TIME: Final = Metric(
    "process.cpu.time",
    "counter",
    "s",
    "Total CPU seconds broken down by different states.",
    {"type": ("user", "system")},
)
MEMORY: Final = Metric("process.memory.usage", "updowncounter", "By", "The amount of physical memory in use.")
OPEN_FILES: Final = Metric(
    "process.open_file_descriptor.count", "updowncounter", "", "Number of file descriptors in use by the process."
)
GC_COLLECTIONS: Final = Metric(
    "cpython.gc.collections",
    "counter",
    "{collection}",
    "The number of times a generation was collected since interpreter start.",
    {"cpython.gc.generation": ("0", "1", "2"), "generation": ("0", "1", "2")},
)

# Telemetry itself

SCRAPE_DURATION: Final = Metric(
    "telemetry.scrape.duration", "gauge", "s", "Time taken to render the last metrics exposition."
)
SCRAPE_SIZE: Final = Metric(
    "telemetry.scrape.size", "gauge", "By", "Size of the last metrics exposition before compression."
)
LOG_DROPPED: Final = Metric(
    "telemetry.log.dropped",
    "counter",
    "{line}",
    "Log lines lost because standard output was not read in time, or because they could not be formatted.",
)
SPANS_DROPPED: Final = Metric(
    "telemetry.span.dropped",
    "counter",
    "{span}",
    "Spans lost because the export queue was full, or because the collector did not accept them.",
    {"reason": DROPS},
)
LOG_RECORDS_DROPPED: Final = Metric(
    "telemetry.log_record.dropped",
    "counter",
    "{log_record}",
    "Log records lost because the export queue was full, or because the collector did not accept them.",
    {"reason": DROPS},
)
SAMPLES_CAPPED: Final = Metric(
    "telemetry.sample.capped",
    "counter",
    "{request}",
    "Requests that were not sampled although the client asked for it, because of the limit per second.",
)
EXPORT_FAILURES: Final = Metric(
    "telemetry.export.failures",
    "counter",
    "{export}",
    "Exports that the collector did not accept; their content is lost.",
    {"signal": SIGNALS},
)
