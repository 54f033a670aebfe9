"""What tests read in an exposition of metrics."""

from collections.abc import Iterator

import aiohttp
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
# Spans are made, and nobody gets them; given up at once, so that no later test hears of them.
UNHEARD = {
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "0.05",
}
DURATION = "http_server_request_duration_seconds"


class Scrape:
    """One answer of `/metrics`, as OpenMetrics."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}

    def find(self, name: str, **labels: str) -> Iterator[Sample]:
        """The samples of this name with these labels, whatever others they have; an empty one must be absent."""
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == name and all(sample.labels.get(key, "") == value for key, value in labels.items()):
                    yield sample

    def sum(self, name: str, **labels: str) -> float:
        """The sum of their values."""
        return sum(sample.value for sample in self.find(name, **labels))

    def count_requests(self, **labels: str) -> int:
        """How many requests were counted with these labels."""
        return int(self.sum(f"{DURATION}_count", **labels))

    def count_by(self, *labels: str) -> dict[tuple[str, ...], int]:
        """How many requests were counted by these labels; zeros are left out."""
        counts: dict[tuple[str, ...], int] = {}
        for sample in self.find(f"{DURATION}_count"):
            if sample.value:
                key = tuple(sample.labels.get(label, "") for label in labels)
                counts[key] = counts.get(key, 0) + int(sample.value)
        return counts

    def series(self) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        """Every series: name and labels that are not empty."""
        return {
            (sample.name, frozenset(item for item in sample.labels.items() if item[1]))
            for family in self.families.values()
            for sample in family.samples
        }


async def scrape(client: aiohttp.ClientSession) -> Scrape:
    """Ask a service for its metrics."""
    async with client.get("/metrics", headers={"Accept": OPENMETRICS}) as reply:
        assert reply.status == 200, await reply.text()
        return Scrape(await reply.text())
