"""OpenTelemetry for a service: create it with `create_telemetry`, pass it to the parts, and start it on the loop.

A request pays for the sampling decision and for appending its observations to lists. Everything else happens later,
for many observations at once, or off the event loop.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from prometheus_client import CollectorRegistry

from devops_api.identity import Identity
from devops_api.logs.writer import Logs
from devops_api.telemetry.catalogue import (
    LOG_DROPPED,
    REQUEST_DURATION,
    REQUEST_SIZE,
    RESPONSE_SIZE,
    SAMPLES_CAPPED,
    SCRAPE_DURATION,
    SCRAPE_SIZE,
    Metric,
    create_service_metrics,
)
from devops_api.telemetry.exposition import Exposition, Renderer, render
from devops_api.telemetry.histograms import Histogram
from devops_api.telemetry.instruments import Attributes, Counter, Instruments, Read
from devops_api.telemetry.otlp import shut_down
from devops_api.telemetry.requests import INITIAL_FAILURES, RequestPipeline, RouteTelemetry, SilentRoute
from devops_api.telemetry.sampling import Sampler
from devops_api.telemetry.sdk import Sdk, open_sdk
from devops_api.telemetry.spans import handle_without_span

FOLD_S: Final = 0.05
REFRESH_S: Final = 5.0
Refresh = Callable[[], Awaitable[object]]
_logger = logging.getLogger(__name__)


class RecordingTelemetry:
    """Everything that a service measures. Belongs to one event loop.

    `makes_spans` is False without an endpoint for traces; sampled requests still have ids.
    """

    is_silent = False

    def __init__(
        self,
        instruments: Instruments,
        sampler: Sampler,
        sdk: Sdk,
        *,
        loop_delay: Metric,
        logs: Logs | None,
        flush_timeout_s: float,
    ) -> None:
        self._instruments = instruments
        self._sdk = sdk
        self._logs = logs
        self._flush_timeout_s = flush_timeout_s
        self._loop_delay = instruments.histogram(loop_delay).open_series()
        self._requests = RequestPipeline(
            sampler.sample,
            handle_without_span if sdk.spans is None else sdk.spans.handle,
            *map(instruments.histogram, (REQUEST_DURATION, REQUEST_SIZE, RESPONSE_SIZE)),
        )
        self._routes: dict[str, RouteTelemetry] = {}
        self._refreshers: list[Refresh] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._renderer = Renderer(sdk.registry)
        self.makes_spans = sdk.spans is not None
        self.observe(SCRAPE_DURATION, lambda: self._renderer.last_s)
        self.observe(SCRAPE_SIZE, lambda: self._renderer.last_size_bytes)

    @property
    def traced_in_flight(self) -> int:
        """Number of requests in progress that have a span."""
        return 0 if self._sdk.spans is None else self._sdk.spans.in_flight

    def counter(self, metric: Metric) -> Counter:
        """Return the counter of a metric; its series exist, at 0, from the first call on."""
        return self._instruments.counter(metric)

    def histogram(self, metric: Metric) -> Histogram:
        """Return the histogram of a metric."""
        return self._instruments.histogram(metric)

    def observe(self, metric: Metric, read: Read, attributes: Attributes | None = None) -> None:
        """Call `read` for the value of a gauge or a total at each collection, in another thread."""
        self._instruments.observe(metric, read, attributes)

    def refresh_with(self, refresh: Refresh) -> None:
        """Await `refresh` before each scrape and every five seconds, for values that only the loop can read."""
        self._refreshers.append(refresh)

    def bind_route(
        self,
        path: str,
        initial: Iterable[tuple[str, int]] = (),
        failures: Iterable[tuple[int, str]] = INITIAL_FAILURES,
    ) -> RouteTelemetry:
        """Return the recorder of a route's requests.

        A series exists from the first scrape for each method and status of `initial`, and for each failure of those
        methods.
        """
        if path not in self._routes:
            self._routes[path] = RouteTelemetry(self._requests, path)
        route, failures = self._routes[path], tuple(failures)
        for method, status in initial:
            route.open_series(method, status)
            for failure, error_type in failures:
                route.open_series(method, failure, error_type)
        return route

    def start_span(self, name: str, attributes: Mapping[str, str]) -> AbstractContextManager[None]:
        """Make a child of the request's span, if it has one. An error within sets its `error.type`."""
        return nullcontext() if self._sdk.spans is None else self._sdk.spans.start_span(name, attributes)

    async def render(self, accept: str, accept_encoding: str) -> Exposition:
        """Render the exposition that a scraper accepts."""
        await self._refresh()
        return await self._renderer.render(accept, accept_encoding)

    def start(self) -> None:
        """Begin to fold observations, to refresh values and to measure the delay of the running event loop."""
        self._tasks = [asyncio.create_task(self._fold_regularly()), asyncio.create_task(self._refresh_regularly())]

    def stop(self) -> None:
        """Export what is pending, for a bounded time, and stop. Blocks."""
        for task in self._tasks:
            task.cancel()
        if self._logs is not None:
            self._logs.sink = None
        shut_down(self._sdk.shutdowns, self._flush_timeout_s)
        self._renderer.close()

    async def _refresh(self) -> None:
        for refresh in self._refreshers:
            try:
                await refresh()
            except Exception as error:
                if self._logs is None:
                    _logger.exception("A metric could not be refreshed and shows its last value")
                else:
                    self._logs.emit("metrics_stale", error=error)

    async def _refresh_regularly(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            await self._refresh()

    async def _fold_regularly(self) -> None:
        """Fold all observations periodically; how late each period starts is the delay of the event loop."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + FOLD_S
            await asyncio.sleep(FOLD_S)
            self._loop_delay.record(max(loop.time() - due_s, 0.0))
            for histogram in self._instruments.histograms():
                histogram.fold()


class SilentTelemetry:
    """The telemetry of `OTEL_SDK_DISABLED=true`: records nothing."""

    is_silent = True
    makes_spans = False
    traced_in_flight = 0

    def counter(self, metric: Metric) -> Counter:
        """Return a counter that no reader collects."""
        return Counter(metric)

    def histogram(self, metric: Metric) -> Histogram:
        """Return a histogram whose series discard observations."""
        return Histogram(metric, is_silent=True)

    def observe(self, metric: Metric, read: Read, attributes: Attributes | None = None) -> None:
        """Do nothing."""

    def refresh_with(self, refresh: Refresh) -> None:
        """Do nothing."""

    def bind_route(
        self,
        path: str,  # noqa: ARG002
        initial: Iterable[tuple[str, int]] = (),  # noqa: ARG002
        failures: Iterable[tuple[int, str]] = (),  # noqa: ARG002
    ) -> SilentRoute:
        """Return a recorder that only calls the handler."""
        return SilentRoute()

    def start_span(self, name: str, attributes: Mapping[str, str]) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return a context that does nothing."""
        return nullcontext()

    async def render(self, accept: str, accept_encoding: str) -> Exposition:
        """Render an exposition without metrics."""
        return render(CollectorRegistry(), accept, accept_encoding)

    def start(self) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""


Telemetry = RecordingTelemetry | SilentTelemetry


def create_telemetry(
    identity: Identity,
    environment: Mapping[str, str],
    logs: Logs | None = None,
    *,
    forced_samples_per_s: int,
    flush_timeout_s: float,
) -> Telemetry:
    """Create the telemetry that the `OTEL_*` variables of the environment configure.

    Clients can force `forced_samples_per_s` traces a second by `traceparent`. Stopping takes at most `flush_timeout_s`.
    With `logs`, log lines are exported too. ValueError: a variable is invalid.
    """
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return SilentTelemetry()
    instruments = Instruments()
    sampler = Sampler(environment, forced_samples_per_s, instruments.counter(SAMPLES_CAPPED))
    sdk = open_sdk(identity, environment, instruments)
    if logs is not None:
        instruments.observe(LOG_DROPPED, lambda: logs.dropped)
        logs.sink = sdk.log_sink
    loop_delay = create_service_metrics(identity.metric_prefix).loop_delay
    return RecordingTelemetry(
        instruments, sampler, sdk, loop_delay=loop_delay, logs=logs, flush_timeout_s=flush_timeout_s
    )
