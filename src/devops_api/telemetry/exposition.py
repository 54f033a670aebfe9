"""The text of `/metrics`: which format and coding a scraper wants, and the rendering of it."""

import gzip
from collections.abc import Callable
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest as generate_text
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from devops_api.accept import parse_accept

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
GZIP_LEVEL: Final = 1  # A scrape is read once: a higher level costs more than it saves.
_RENDERERS: Final[dict[str, Callable[[CollectorRegistry], bytes]]] = {
    TEXT: generate_text,
    OPENMETRICS: generate_openmetrics,
}


class Exposition(NamedTuple):
    """One scrape's answer; `content_encoding` is empty where the body is plain, `size_bytes` what it was before."""

    body: bytes
    content_type: str
    content_encoding: str
    size_bytes: int


def render(registry: CollectorRegistry, accept: str, accept_encoding: str) -> Exposition:
    """Collect and render; takes milliseconds, so call it off the event loop."""
    content_type = choose_format(accept)
    body = _RENDERERS[content_type](registry)
    if accepts_gzip(accept_encoding):
        return Exposition(gzip.compress(body, GZIP_LEVEL), content_type, "gzip", len(body))
    return Exposition(body, content_type, "", len(body))


def choose_format(accept: str) -> str:
    """OpenMetrics 1.0.0 where it is preferred to plain text, else plain text, which every scraper reads."""
    qualities = {TEXT: 0.0, OPENMETRICS: 0.0}
    for name, parameters, quality in parse_accept(accept):
        if name == "application/openmetrics-text" and parameters.get("version", "1.0.0") == "1.0.0":
            qualities[OPENMETRICS] = max(qualities[OPENMETRICS], quality)
        elif name == "text/plain":
            qualities[TEXT] = max(qualities[TEXT], quality)
    return OPENMETRICS if qualities[OPENMETRICS] > qualities[TEXT] else TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether gzip is allowed (RFC 9110, 12.5.3)."""
    qualities = {name: quality for name, _, quality in parse_accept(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0
