"""Queries about the store."""

from typing import Final

from observability.queries import metrics as m
from observability.queries.promql import SCOPE, rate, select, total

OPERATIONS: Final = f"{m.STORE_DURATION.prometheus_name}_count"
FAILED: Final = 'error_type=~"StoreUnavailableError|_OTHER"'


def store_errors() -> str:
    """Return failed store operations per second by operation; 0 for operations that never failed."""
    by = "db_operation_name"
    return f"{total(rate(OPERATIONS, SCOPE, FAILED), by)} or {total(rate(OPERATIONS, SCOPE), by)} * 0"


def disk_left(matchers: str) -> str:
    """Return the free share of the disk that holds the database, by instance."""
    free, size = (select(metric.prometheus_name, matchers) for metric in (m.DISK_FREE, m.DISK_SIZE))
    return f"{free} / {size}"


def least_disk_left() -> str:
    """Return the lowest free share of the database's disk among instances."""
    return f"min({disk_left(SCOPE)})"
