"""The metric catalogue: what the service measures, and the only names and attribute values that it can record.

Names, units and attributes follow OpenTelemetry's semantic conventions (HTTP, database, process, CPython runtime);
the service's own begin with `items.`, `store.` or `telemetry.`. Prometheus' names are derived, never written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "updowncounter", "gauge", "histogram"]

OTHER: Final = "_OTHER"  # what the conventions call any value outside of a closed set
HTTP_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", OTHER)
REQUEST_ERRORS: Final = (
    "StoreUnavailableError",
    "OverloadedError",
    "UnavailableError",
    "TimedOutError",
    "InjectedFaultError",
    OTHER,
)
STORE_OPERATIONS: Final = (
    "create", "create_batch", "import_chunk", "get", "find", "update", "delete", "export", "count", "ping",
)  # fmt: skip
STORE_ERRORS: Final = (
    "StoreUnavailableError",
    "NotFoundError",
    "ConflictError",
    "PreconditionFailedError",
    "InvalidError",
    "CancelledError",
    OTHER,
)
REJECTION_REASONS: Final = ("malformed", "invalid", "conflict", "precondition", "too_large")
SIGNALS: Final = ("traces", "metrics", "logs")
DROPS: Final = ("queue_full", "not_taken")

HTTP_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
STORE_BUCKETS_S: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
LAG_BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
BATCH_BUCKETS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0)
SIZE_BUCKETS_BYTES: Final = (128.0, 512.0, 2048.0, 8192.0, 32768.0, 131072.0, 1048576.0, 16777216.0)
_UNIT_SUFFIXES: Final = {"s": "_seconds", "By": "_bytes"}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: `attributes` maps each attribute to its closed set, or to None where routes and statuses bound it."""

    name: str
    kind: Kind
    unit: str
    help: str
    attributes: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()

    @property
    def prometheus_name(self) -> str:
        """The name in the Prometheus exposition; a histogram's without `_bucket`, `_sum` or `_count`."""
        total = "_total" if self.kind == "counter" else ""
        return self.name.replace(".", "_") + _UNIT_SUFFIXES.get(self.unit, "") + total


def label_name(attribute: str) -> str:
    """The Prometheus label of an attribute."""
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
    "Size of HTTP server request bodies as far as they were read, of requests that have one.",
    {"http.request.method": HTTP_METHODS, "url.scheme": ("http",), "http.route": None},
    SIZE_BUCKETS_BYTES,
)
RESPONSE_SIZE: Final = Metric(
    "http.server.response.body.size",
    "histogram",
    "By",
    "Size of HTTP server response bodies; streamed ones with their headers and framing.",
    {"http.request.method": HTTP_METHODS, "url.scheme": ("http",), "http.route": None},
    SIZE_BUCKETS_BYTES,
)
ACTIVE_REQUESTS: Final = Metric(
    "http.server.active_requests",
    "updowncounter",
    "{request}",
    "Requests that were let in and are not answered yet, probes left out.",
)
SHED: Final = Metric("items.requests.shed", "counter", "{request}", "Requests turned away with a 503 at the door.")
READY: Final = Metric(
    "items.ready", "gauge", "", "Whether requests are welcome: 1, or 0 while draining or without a store that works."
)

# Items

ITEMS_CREATED: Final = Metric(
    "items.created", "counter", "{item}", "Items created, one by one, in batches or by import."
)
ITEMS_UPDATED: Final = Metric("items.updated", "counter", "{item}", "Items replaced, patched or upserted.")
ITEMS_DELETED: Final = Metric("items.deleted", "counter", "{item}", "Items deleted.")
ITEMS_IMPORTED: Final = Metric("items.imported", "counter", "{item}", "Items created or updated by an import.")
ITEMS_REJECTED: Final = Metric(
    "items.rejected",
    "counter",
    "{item}",
    "Requests and lines of imports that changed nothing because of what they asked.",
    {"reason": REJECTION_REASONS},
)
ITEMS_STORED: Final = Metric("items.stored", "updowncounter", "{item}", "Items in the store.")

# The store

STORE_DURATION: Final = Metric(
    "db.client.operation.duration",
    "histogram",
    "s",
    "Duration of store operations, the wait for the commit included.",
    {"db.system.name": ("sqlite",), "db.operation.name": STORE_OPERATIONS, "error.type": STORE_ERRORS},
    STORE_BUCKETS_S,
)
WRITER_QUEUE: Final = Metric(
    "store.writer.queue", "updowncounter", "{operation}", "Changes that wait for the writer or are being written."
)
WRITER_WAIT: Final = Metric(
    "store.writer.wait",
    "histogram",
    "s",
    "How long the first change of a commit waited for it to begin.",
    buckets=STORE_BUCKETS_S,
)
WRITER_COMMIT: Final = Metric(
    "store.writer.commit.duration",
    "histogram",
    "s",
    "How long writing and committing a group of changes took.",
    buckets=STORE_BUCKETS_S,
)
WRITER_BATCH: Final = Metric(
    "store.writer.batch.size", "histogram", "{operation}", "Changes committed together.", buckets=BATCH_BUCKETS
)
STORE_SIZE: Final = Metric("store.size", "gauge", "By", "What the database takes on its disk.")
DISK_FREE: Final = Metric("store.disk.free", "gauge", "By", "Room left on the database's disk.")
DISK_SIZE: Final = Metric("store.disk.limit", "gauge", "By", "Size of the database's disk.")

# The process

LOOP_DELAY: Final = Metric(
    "items.event_loop.delay",
    "histogram",
    "s",
    "How late the event loop comes to what was due, measured every 50 ms.",
    buckets=LAG_BUCKETS_S,
)
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

# Telemetry's own health

SCRAPE_DURATION: Final = Metric(
    "telemetry.scrape.duration", "gauge", "s", "How long rendering the last exposition of metrics took."
)
SCRAPE_SIZE: Final = Metric(
    "telemetry.scrape.size", "gauge", "By", "Size of the last exposition of metrics, before compression."
)
LOG_DROPPED: Final = Metric(
    "telemetry.log.dropped",
    "counter",
    "{line}",
    "Log lines lost because nobody read standard output in time, or because they could not be put into words.",
)
SPANS_DROPPED: Final = Metric(
    "telemetry.span.dropped",
    "counter",
    "{span}",
    "Spans lost because the queue to the collector was full, or because it did not take them.",
    {"reason": DROPS},
)
LOG_RECORDS_DROPPED: Final = Metric(
    "telemetry.log_record.dropped",
    "counter",
    "{log_record}",
    "Log records lost because the queue to the collector was full, or because it did not take them.",
    {"reason": DROPS},
)
SAMPLES_CAPPED: Final = Metric(
    "telemetry.sample.capped",
    "counter",
    "{request}",
    "Requests that a caller asked to sample beyond the cap, and that were not sampled.",
)
EXPORT_FAILURES: Final = Metric(
    "telemetry.export.failures",
    "counter",
    "{export}",
    "Exports that the collector did not take; what was in them is lost.",
    {"signal": SIGNALS},
)

CATALOGUE: Final = (
    REQUEST_DURATION, REQUEST_SIZE, RESPONSE_SIZE, ACTIVE_REQUESTS, SHED, READY,
    ITEMS_CREATED, ITEMS_UPDATED, ITEMS_DELETED, ITEMS_IMPORTED, ITEMS_REJECTED, ITEMS_STORED,
    STORE_DURATION, WRITER_QUEUE, WRITER_WAIT, WRITER_COMMIT, WRITER_BATCH, STORE_SIZE, DISK_FREE, DISK_SIZE,
    LOOP_DELAY, CPU_TIME, MEMORY, OPEN_FILES, GC_COLLECTIONS,
    SCRAPE_DURATION, SCRAPE_SIZE, LOG_DROPPED, SPANS_DROPPED, LOG_RECORDS_DROPPED, SAMPLES_CAPPED, EXPORT_FAILURES,
)  # fmt: skip

# Series of requests that exist from the first scrape: what every route of items can answer well, and how it can fail.
BORN: Final[Mapping[str, tuple[tuple[str, int], ...]]] = {
    "/items": (("GET", 200), ("POST", 201)),
    "/items/{id}": (("GET", 200), ("PUT", 200), ("PATCH", 200), ("DELETE", 204)),
    "/items/batch": (("POST", 201),),
    "/items/import": (("POST", 200),),
    "/items/export": (("GET", 200),),
}
BORN_FAILURES: Final = ((500, OTHER), (503, "StoreUnavailableError"), (503, "OverloadedError"))


class ServiceMetrics(NamedTuple):
    """The metrics whose name bears the prefix of the service."""

    shed: Metric
    ready: Metric
    loop_delay: Metric


def create_service_metrics(prefix: str) -> ServiceMetrics:
    """Return them for a prefix."""
    return ServiceMetrics(
        *(replace(metric, name=metric.name.replace("items.", f"{prefix}.", 1)) for metric in (SHED, READY, LOOP_DELAY))
    )
