"""A scraper that gets a format it cannot read loses all data: `Accept` decides, including its q values."""

import gzip

import pytest
from conftest import Running
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from devops_api.telemetry.exposition import OPENMETRICS, TEXT, accepts_gzip, choose_format, render

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("Application/OpenMetrics-Text ; Version=1.0.0", OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1", TEXT),
        ("application/openmetrics-text;q=0.3, text/plain;q=0.7", TEXT),
        ("text/plain;q=0.3, application/openmetrics-text;q=0.7", OPENMETRICS),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=high", TEXT),
        ("application/openmetrics-text, text/plain", TEXT),
    ],
)
def test_the_preferred_format_is_used(accept: str, expected: str) -> None:
    assert choose_format(accept) == expected


@pytest.mark.parametrize(
    ("accept_encoding", "is_accepted"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, *", False),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
        ("br", False),
    ],
)
def test_gzip_is_used_if_it_is_accepted(accept_encoding: str, is_accepted: bool) -> None:  # noqa: FBT001
    assert accepts_gzip(accept_encoding) == is_accepted


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_the_compressed_body_is_the_plain_one(accept: str) -> None:
    registry = CollectorRegistry()
    Gauge("g", "A gauge.", registry=registry).set(7)
    plain, packed = render(registry, accept, ""), render(registry, accept, "gzip")
    assert (plain.content_encoding, packed.content_encoding) == ("", "gzip")
    assert gzip.decompress(packed.body) == plain.body
    assert packed.size_bytes == plain.size_bytes == len(plain.body)


async def test_the_service_responds_in_the_requested_format(running: Running) -> None:
    async with running.client.get("/metrics", headers={"Accept": "text/plain"}) as reply:
        assert reply.headers["Content-Type"] == TEXT
        assert "# EOF" not in await reply.text()
    async with running.client.get("/metrics", headers={"Accept": PROMETHEUS_3, "Accept-Encoding": "gzip"}) as reply:
        assert reply.headers["Content-Type"] == OPENMETRICS
        assert reply.headers["Content-Encoding"] == "gzip"
        assert reply.headers["Vary"] == "Accept, Accept-Encoding"
        text = await reply.text()
    assert text.endswith("# EOF\n")
    assert list(text_string_to_metric_families(text))


async def test_a_scrape_has_the_duration_and_size_of_the_previous_one(running: Running) -> None:
    async with running.client.get("/metrics", headers={"Accept-Encoding": "identity"}) as reply:
        size = len(await reply.read())
    async with running.client.get("/metrics") as reply:
        lines = dict(line.rsplit(" ", 1) for line in (await reply.text()).splitlines() if not line.startswith("#"))
    assert float(lines["telemetry_scrape_size_bytes"]) == size
    assert 0 < float(lines["telemetry_scrape_duration_seconds"]) < 5
