"""The metrics of the item service: those of items and their store, and `CATALOGUE`, all that `/metrics` shows.

Re-exports the metrics of the chassis, so that dashboards, alerts and the reference find every metric here.
"""

from typing import Final

from devops_api.items.store.protocol import ItemStore
from devops_api.telemetry.catalogue import (
    ACTIVE_REQUESTS,
    CPU_TIME,
    EXPORT_FAILURES,
    GC_COLLECTIONS,
    HTTP_METHODS,
    LOG_DROPPED,
    LOG_RECORDS_DROPPED,
    MEMORY,
    OPEN_FILES,
    OTHER,
    REQUEST_DURATION,
    REQUEST_ERRORS,
    REQUEST_SIZE,
    RESPONSE_SIZE,
    SAMPLES_CAPPED,
    SCRAPE_DURATION,
    SCRAPE_SIZE,
    SPANS_DROPPED,
    Metric,
    create_service_metrics,
)

__all__ = (  # the chassis' metrics, re-exported
    "ACTIVE_REQUESTS", "CPU_TIME", "EXPORT_FAILURES", "GC_COLLECTIONS", "HTTP_METHODS", "LOG_DROPPED",
    "LOG_RECORDS_DROPPED", "MEMORY", "OPEN_FILES", "OTHER", "REQUEST_DURATION", "REQUEST_ERRORS", "REQUEST_SIZE",
    "RESPONSE_SIZE", "SAMPLES_CAPPED", "SCRAPE_DURATION", "SCRAPE_SIZE", "SPANS_DROPPED", "Metric",
)  # fmt: skip

STORE_OPERATIONS: Final = tuple(name for name in vars(ItemStore) if not name.startswith("_") and name != "close")
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

STORE_BUCKETS_S: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
BATCH_BUCKETS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0)

SERVICE: Final = create_service_metrics("items")
SHED: Final = SERVICE.shed
READY: Final = SERVICE.ready
LOOP_DELAY: Final = SERVICE.loop_delay

# Items

ITEMS_CREATED: Final = Metric("items.created", "counter", "{item}", "Items created, singly, in batches or by import.")
ITEMS_UPDATED: Final = Metric("items.updated", "counter", "{item}", "Items replaced, patched or upserted.")
ITEMS_DELETED: Final = Metric("items.deleted", "counter", "{item}", "Items deleted.")
ITEMS_IMPORTED: Final = Metric("items.imported", "counter", "{item}", "Items created or updated by import.")
ITEMS_REJECTED: Final = Metric(
    "items.rejected",
    "counter",
    "{item}",
    "Requests and import lines that were rejected because of their content and changed nothing.",
    {"reason": REJECTION_REASONS},
)
ITEMS_STORED: Final = Metric("items.stored", "updowncounter", "{item}", "Items in the store.")

# The store

STORE_DURATION: Final = Metric(
    "db.client.operation.duration",
    "histogram",
    "s",
    "Duration of store operations, including the wait for the commit.",
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
    "Time that the first change of a commit waited for the commit to begin.",
    buckets=STORE_BUCKETS_S,
)
WRITER_COMMIT: Final = Metric(
    "store.writer.commit.duration",
    "histogram",
    "s",
    "Time to write and commit a group of changes.",
    buckets=STORE_BUCKETS_S,
)
WRITER_BATCH: Final = Metric(
    "store.writer.batch.size", "histogram", "{operation}", "Changes in one commit.", buckets=BATCH_BUCKETS
)
STORE_SIZE: Final = Metric("store.size", "gauge", "By", "Size of the database on disk.")
DISK_FREE: Final = Metric("store.disk.free", "gauge", "By", "Free space on the disk of the database.")
DISK_SIZE: Final = Metric("store.disk.limit", "gauge", "By", "Size of the disk of the database.")

CATALOGUE: Final = (
    REQUEST_DURATION, REQUEST_SIZE, RESPONSE_SIZE, ACTIVE_REQUESTS, SHED, READY,
    ITEMS_CREATED, ITEMS_UPDATED, ITEMS_DELETED, ITEMS_IMPORTED, ITEMS_REJECTED, ITEMS_STORED,
    STORE_DURATION, WRITER_QUEUE, WRITER_WAIT, WRITER_COMMIT, WRITER_BATCH, STORE_SIZE, DISK_FREE, DISK_SIZE,
    LOOP_DELAY, CPU_TIME, MEMORY, OPEN_FILES, GC_COLLECTIONS,
    SCRAPE_DURATION, SCRAPE_SIZE, LOG_DROPPED, SPANS_DROPPED, LOG_RECORDS_DROPPED, SAMPLES_CAPPED, EXPORT_FAILURES,
)  # fmt: skip
