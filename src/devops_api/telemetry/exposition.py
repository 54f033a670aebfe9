"""The text of `/metrics`: the format and coding that a scraper prefers, rendered off the event loop."""

import asyncio
import gzip
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
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
    """The response to one scrape. `content_encoding` is empty for a plain body, `size_bytes` the size of that."""

    body: bytes
    content_type: str
    content_encoding: str
    size_bytes: int

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the HTTP response."""
        coding = {"Content-Encoding": self.content_encoding} if self.content_encoding else {}
        return {"Content-Type": self.content_type, "Vary": "Accept, Accept-Encoding", **coding}


class Renderer:
    """Renders a registry in a thread of its own. `last_s` and `last_size_bytes` are those of the last exposition."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._thread = ThreadPoolExecutor(1, "metrics")
        self.last_s = 0.0
        self.last_size_bytes = 0

    async def render(self, accept: str, accept_encoding: str) -> Exposition:
        """Render the exposition that a scraper accepts."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._render, accept, accept_encoding)

    def close(self) -> None:
        """End the thread once it is idle."""
        self._thread.shutdown(wait=False)

    def _render(self, accept: str, accept_encoding: str) -> Exposition:
        started = perf_counter()
        exposition = render(self._registry, accept, accept_encoding)
        self.last_s, self.last_size_bytes = perf_counter() - started, exposition.size_bytes
        return exposition


def render(registry: CollectorRegistry, accept: str, accept_encoding: str) -> Exposition:
    """Collect and render. Takes milliseconds: call it off the event loop."""
    content_type = choose_format(accept)
    body = _RENDERERS[content_type](registry)
    if accepts_gzip(accept_encoding):
        return Exposition(gzip.compress(body, GZIP_LEVEL), content_type, "gzip", len(body))
    return Exposition(body, content_type, "", len(body))


def choose_format(accept: str) -> str:
    """Choose OpenMetrics 1.0.0 if `Accept` prefers it to plain text, else plain text, which every scraper reads."""
    qualities = {TEXT: 0.0, OPENMETRICS: 0.0}
    for name, parameters, quality in parse_accept(accept):
        if name == "application/openmetrics-text" and parameters.get("version", "1.0.0") == "1.0.0":
            qualities[OPENMETRICS] = max(qualities[OPENMETRICS], quality)
        elif name == "text/plain":
            qualities[TEXT] = max(qualities[TEXT], quality)
    return OPENMETRICS if qualities[OPENMETRICS] > qualities[TEXT] else TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether gzip is acceptable (RFC 9110, 12.5.3)."""
    qualities = {name: quality for name, _, quality in parse_accept(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0
