"""OpenTelemetry for the service: what is measured, which requests are traced, and the text of `/metrics`.

Each request pays for a comparison (is it sampled?) and for appending what it observed to lists; everything else happens
later, many observations in one go, or off the event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import Any, Final

from aiohttp import web
from opentelemetry import trace
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from prometheus_client import CollectorRegistry

from devops_api import __version__
from devops_api.errors import ProblemError
from devops_api.identity import Identity
from devops_api.logs.writer import Logs
from devops_api.telemetry import catalogue as catalogue
from devops_api.telemetry.bridge import HistogramBridge, PrometheusReader
from devops_api.telemetry.catalogue import Metric
from devops_api.telemetry.exposition import Exposition, render
from devops_api.telemetry.histograms import Count, Histogram, TraceIds
from devops_api.telemetry.instrumentation import (
    choose_conventions,
    create_middleware,
    create_resource,
    observe_process,
)
from devops_api.telemetry.otlp import Losses, open_pipelines, shut_down
from devops_api.telemetry.requests import RouteTelemetry, SilentRoute, create_request_histograms
from devops_api.telemetry.sampling import Sampler, create_trace_ids, trace_id_of

__all__ = ["Telemetry", "TraceIds", "create_telemetry", "create_trace_ids", "trace_id_of"]

LOOP_PROBE_S: Final = 0.05
REFRESH_S: Final = 5.0
_REASONS: Final = dict(zip((400, 422, 409, 412, 413), catalogue.REJECTION_REASONS, strict=True))

Read = Callable[[], float]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WriterTelemetry:
    """The store's writer, observed in its own thread."""

    def __init__(self, wait: Histogram, commit: Histogram, size: Histogram) -> None:
        self._wait, self._commit, self._size = wait.open_series(), commit.open_series(), size.open_series()

    def batch(self, size: int, wait_s: float, commit_s: float) -> None:
        """Count a commit of `size` changes, the first of which waited `wait_s`."""
        self._size.record(size)
        self._wait.record(wait_s)
        self._commit.record(commit_s)


class Telemetry:
    """Everything that is measured. Belongs to one event loop, but for the writer's part."""

    def __init__(
        self,
        identity: Identity,
        environment: Mapping[str, str],
        logs: Logs,
        *,
        forced_samples_per_s: int,
        flush_timeout_s: float,
    ) -> None:
        self.is_disabled = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
        self.makes_spans = False  # Where nobody takes them, the ids of a sampled request are enough.
        self.traced_in_flight = 0
        self.items_created, self.items_updated, self.items_deleted, self.items_imported = (Count() for _ in range(4))
        self.items_rejected = {reason: Count() for reason in catalogue.REJECTION_REASONS}
        self.losses = Losses()
        self._requests = create_request_histograms()
        self.store_operations = Histogram(catalogue.STORE_DURATION)
        self._loop_delay = Histogram(catalogue.LOOP_DELAY)
        writer = [Histogram(m) for m in (catalogue.WRITER_WAIT, catalogue.WRITER_COMMIT, catalogue.WRITER_BATCH)]
        self.writer = WriterTelemetry(*writer)
        self._histograms = (*self._requests, self.store_operations, self._loop_delay, *writer)
        self._routes: dict[str, RouteTelemetry] = {}
        self._sampler = Sampler(environment, forced_samples_per_s)
        self.sample: Callable[[str | None], bool] = _never if self.is_disabled else self._sampler.sample
        self.sample_ratio = 0.0 if self.is_disabled else self._sampler.ratio
        self._observed: dict[str, list[tuple[dict[str, str], Read]]] = {}
        self._refreshers: list[Callable[[], Awaitable[object]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._renderer = ThreadPoolExecutor(1, "metrics")
        self._flush_s = flush_timeout_s
        self._last = Exposition(b"", "", "", 0)
        self._last_s = 0.0
        self._logs = logs
        if self.is_disabled:
            self._registry = CollectorRegistry()
            self._shutdowns: Any = ()
            return
        choose_conventions()
        resource = create_resource(environment)
        accumulated = HistogramBridge(self._histograms)
        reader = PrometheusReader(accumulated)
        pipelines = open_pipelines(environment, resource, accumulated, self.losses)
        self._registry = reader.registry
        self._shutdowns = pipelines.shutdowns
        logs.sink = pipelines.log_sink
        readers = [reader, *([pipelines.metrics] if pipelines.metrics else [])]
        provider = MeterProvider(readers, resource, shutdown_on_exit=False, exemplar_filter=AlwaysOffExemplarFilter())
        self._meter = provider.get_meter("devops_api", __version__)
        if pipelines.spans is not None:
            # The decision to sample is made before the tracer is asked.
            tracers = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
            tracers.add_span_processor(pipelines.spans)
            self._tracer = tracers.get_tracer("devops_api", __version__)
            self._middleware = create_middleware(tracers)
            self.makes_spans = True
        observe_process(provider)
        self._observe_own()

    def bind_route(self, route: str) -> RouteTelemetry:
        """What counts the requests of a route."""
        if route not in self._routes:
            self._routes[route] = SilentRoute() if self.is_disabled else RouteTelemetry(self._requests, route)
        return self._routes[route]

    async def trace(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request within a span of its own; without one where its `Host` is none, for a span tells the URL."""
        try:
            _ = request.url
        except ValueError:
            return await handler(request)
        self.traced_in_flight += 1
        try:
            response: web.StreamResponse = await self._middleware(request, handler)
        finally:
            self.traced_in_flight -= 1
        return response

    def current_trace(self) -> TraceIds | None:
        """The trace and the span that are being recorded; None where the instrumentation made none."""
        place = trace.get_current_span().get_span_context()
        if not place.is_valid:
            return None
        return TraceIds(trace.format_trace_id(place.trace_id), trace.format_span_id(place.span_id))

    @contextmanager
    def start_store_span(self, operation: str) -> Iterator[None]:
        """A child of the request's span, where it has one; it carries the type of what is raised within.

        It is not made the current span, which would cost as much again: a store has no children of its own.
        """
        if not trace.get_current_span().is_recording():
            yield
            return
        attributes = {"db.system.name": "sqlite", "db.operation.name": operation, "db.collection.name": "items"}
        span = self._tracer.start_span(f"{operation} items", kind=trace.SpanKind.CLIENT, attributes=attributes)
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(trace.StatusCode.ERROR)
            raise
        finally:
            span.end()

    def observe(self, metric: Metric, read: Read, attributes: Mapping[str, str] | None = None) -> None:
        """Ask `read` for a gauge's or a total's value at each collection, in another thread."""
        if self.is_disabled:
            return
        entries = self._observed.setdefault(metric.name, [])
        entries.append((dict(attributes or {}), read))
        if len(entries) > 1:
            return

        def answer(_: CallbackOptions) -> Iterator[Observation]:
            for labels, ask in entries:
                with suppress(OSError):  # What cannot be asked now is left out.
                    yield Observation(ask(), labels)

        create = {
            "counter": self._meter.create_observable_counter,
            "updowncounter": self._meter.create_observable_up_down_counter,
            "gauge": self._meter.create_observable_gauge,
        }[metric.kind]
        create(metric.name, [answer], metric.unit, metric.help)

    def count_rejection(self, error: ProblemError) -> None:
        """Count what changed nothing because of what it asked."""
        reason = _REASONS.get(error.status)
        if reason is not None:
            self.items_rejected[reason].add(1)

    def refresh_with(self, refresh: Callable[[], Awaitable[object]]) -> None:
        """Await `refresh` before each scrape, for values that must be asked for on the loop."""
        self._refreshers.append(refresh)

    async def render(self, accept: str, accept_encoding: str) -> Exposition:
        """The exposition that a scraper accepts."""
        await self._refresh()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._renderer, self._render, accept, accept_encoding)

    def start(self) -> None:
        """Begin to watch the running event loop."""
        if not self.is_disabled:
            self._tasks = [asyncio.create_task(self._probe()), asyncio.create_task(self._refresh_regularly())]

    def stop(self) -> None:
        """Send what is not yet sent, for a bounded time, and let go."""
        for task in self._tasks:
            task.cancel()
        self._logs.sink = None
        shut_down(self._shutdowns, self._flush_s)
        self._renderer.shutdown(wait=False)

    def _render(self, accept: str, accept_encoding: str) -> Exposition:
        started = perf_counter()
        self._last = render(self._registry, accept, accept_encoding)
        self._last_s = perf_counter() - started
        return self._last

    async def _refresh(self) -> None:
        for refresh in self._refreshers:
            try:
                await refresh()
            except Exception as error:  # noqa: BLE001 - what is known otherwise is shown all the same
                self._logs.emit("metrics_stale", error=error)

    async def _refresh_regularly(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            await self._refresh()

    async def _probe(self) -> None:
        delay = self._loop_delay.open_series()
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + LOOP_PROBE_S
            await asyncio.sleep(LOOP_PROBE_S)
            delay.record(max(loop.time() - due_s, 0.0))
            for histogram in self._histograms:
                histogram.fold()

    def _observe_own(self) -> None:
        for metric, count in (
            (catalogue.ITEMS_CREATED, self.items_created),
            (catalogue.ITEMS_UPDATED, self.items_updated),
            (catalogue.ITEMS_DELETED, self.items_deleted),
            (catalogue.ITEMS_IMPORTED, self.items_imported),
            (catalogue.SAMPLES_CAPPED, self._sampler.capped),
        ):
            self.observe(metric, count.read)
        for reason, count in self.items_rejected.items():
            self.observe(catalogue.ITEMS_REJECTED, count.read, {"reason": reason})
        for reason in catalogue.DROPS:
            self.observe(catalogue.SPANS_DROPPED, self.losses.spans[reason].read, {"reason": reason})
            self.observe(catalogue.LOG_RECORDS_DROPPED, self.losses.log_records[reason].read, {"reason": reason})
        for signal, count in self.losses.exports.items():
            self.observe(catalogue.EXPORT_FAILURES, count.read, {"signal": signal})
        self.observe(catalogue.LOG_DROPPED, lambda: self._logs.dropped)
        self.observe(catalogue.SCRAPE_DURATION, lambda: self._last_s)
        self.observe(catalogue.SCRAPE_SIZE, lambda: self._last.size_bytes)


def _never(_: str | None) -> bool:
    return False


def create_telemetry(
    identity: Identity, environment: Mapping[str, str], logs: Logs, *, forced_samples_per_s: int, flush_timeout_s: float
) -> Telemetry:
    """The telemetry that the environment asks for; its OTEL_ variables have been checked."""
    return Telemetry(
        identity, environment, logs, forced_samples_per_s=forced_samples_per_s, flush_timeout_s=flush_timeout_s
    )
