"""Scraping `/metrics`, and finding samples in what it returns."""

from collections.abc import Iterator

import aiohttp
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
# Spans are made but their export fails, and soon enough that no retry reaches a later test.
UNHEARD = {
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "0.05",
}
DURATION = "http_server_request_duration_seconds"


class Scrape:
    """The samples of one scrape in the OpenMetrics format."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}

    def find(self, name: str, **labels: str) -> Iterator[Sample]:
        """Yield the samples of a name with these labels and any others. An empty value means an absent label."""
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == name and all(sample.labels.get(key, "") == value for key, value in labels.items()):
                    yield sample

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of the values of the samples that `find` yields."""
        return sum(sample.value for sample in self.find(name, **labels))

    def count_requests(self, **labels: str) -> int:
        """Return the number of requests with these labels."""
        return int(self.sum(f"{DURATION}_count", **labels))

    def count_by(self, *labels: str) -> dict[tuple[str, ...], int]:
        """Return the number of requests by the values of these labels, without zeros."""
        counts: dict[tuple[str, ...], int] = {}
        for sample in self.find(f"{DURATION}_count"):
            if sample.value:
                key = tuple(sample.labels.get(label, "") for label in labels)
                counts[key] = counts.get(key, 0) + int(sample.value)
        return counts

    def series(self) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        """Return every series as its name and its labels, without empty ones."""
        return {
            (sample.name, frozenset(item for item in sample.labels.items() if item[1]))
            for family in self.families.values()
            for sample in family.samples
        }


async def scrape(client: aiohttp.ClientSession) -> Scrape:
    """Scrape a service."""
    async with client.get("/metrics", headers={"Accept": OPENMETRICS}) as response:
        assert response.status == 200, await response.text()
        return Scrape(await response.text())
