"""The metric catalogue: what the service measures, and the only names and attribute values that it can record.

Names, units and attributes follow OpenTelemetry's semantic conventions (HTTP, database, process, CPython runtime, all
1.43); the service's own begin with `items.`, `store.` or `telemetry.`. Prometheus' names are derived, never written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal["counter", "updowncounter", "gauge", "histogram"]

HTTP_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "_OTHER")
HTTP_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
STORE_BUCKETS_S: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
LAG_BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
BATCH_BUCKETS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0)
_UNIT_SUFFIXES: Final = {"s": "_seconds", "By": "_bytes", "1": "_ratio"}


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
        suffix = "" if self.unit == "1" and self.kind == "counter" else _UNIT_SUFFIXES.get(self.unit, "")
        total = "_total" if self.kind == "counter" else ""
        return self.name.replace(".", "_") + suffix + total


REQUEST_DURATION: Final = Metric(
    "http.server.request.duration", "histogram", "s", "Duration of HTTP server requests.",
    {"http.request.method": HTTP_METHODS, "http.route": None, "http.response.status_code": None,
     "url.scheme": ("http", "https"), "network.protocol.version": ("1.0", "1.1"), "error.type": None},
    HTTP_BUCKETS_S,
)
ITEMS_CREATED: Final = Metric("items.created", "counter", "{item}", "Items created, one by one, in batches or by import.")
