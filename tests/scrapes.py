"""Read an exposition of metrics, and the trace that tests send."""

from collections.abc import Iterator

import aiohttp
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"  # sampled
NOT_SAMPLED = f"00-{TRACE_ID}-{SPAN_ID}-00"
# Spans are made and not delivered. The exporter gives up at once, so that no later test sees its log lines.
UNHEARD = {
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "0.05",
}
DURATION = "http_server_request_duration_seconds"


class Scrape:
    """One response of `/metrics` in OpenMetrics format."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}

    def find(self, name: str, **labels: str) -> Iterator[Sample]:
        """Iterate over the samples with this name and these labels; a label given as "" must be absent."""
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == name and all(sample.labels.get(key, "") == value for key, value in labels.items()):
                    yield sample

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of their values."""
        return sum(sample.value for sample in self.find(name, **labels))

    def count_requests(self, **labels: str) -> int:
        """Return how many requests were counted with these labels."""
        return int(self.sum(f"{DURATION}_count", **labels))

    def count_by(self, *labels: str) -> dict[tuple[str, ...], int]:
        """Return how many requests were counted, by these labels. Zeros are left out."""
        counts: dict[tuple[str, ...], int] = {}
        for sample in self.find(f"{DURATION}_count"):
            if sample.value:
                key = tuple(sample.labels.get(label, "") for label in labels)
                counts[key] = counts.get(key, 0) + int(sample.value)
        return counts

    def series(self) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        """Return every series: its name, and its labels that are not empty."""
        return {
            (sample.name, frozenset(item for item in sample.labels.items() if item[1]))
            for family in self.families.values()
            for sample in family.samples
        }


async def scrape(client: aiohttp.ClientSession) -> Scrape:
    """Scrape a service."""
    async with client.get("/metrics", headers={"Accept": OPENMETRICS}) as reply:
        assert reply.status == 200, await reply.text()
        return Scrape(await reply.text())
