"""What is recorded of each request: duration, body sizes, and for sampled requests the trace."""

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, MutableSequence
from time import perf_counter
from typing import Final, NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler

from devops_api.telemetry.catalogue import (
    HTTP_METHODS,
    OTHER,
    REQUEST_ERRORS,
)
from devops_api.telemetry.histograms import Histogram, Series, TraceIds
from devops_api.telemetry.sampling import Traceparent

CLIENT_CLOSED_REQUEST: Final = 499  # nginx's code for a client that disconnected before the response
UNMATCHED_ROUTE: Final = "/{unmatched}"  # the route of all paths that match none
_SERVER_ERROR: Final = 500
_METHODS_WITH_BODY: Final = ("POST", "PUT", "PATCH")
# How every route can fail, beside its success: an increase from no series to 1 is no increase to Prometheus.
INITIAL_FAILURES: Final = ((500, OTHER), (503, "StoreUnavailableError"), (503, "OverloadedError"))


class Observation:
    """One request as telemetry sees it.

    `parent` is the caller's trace, `trace` the request's own ids if it is sampled, `error_type` the type of the error
    that a response with a server error stands for. `duration_s` is set when the request has been handled. `request_id`
    is empty if the application gives its requests no ids.
    """

    __slots__ = ("duration_s", "error_type", "parent", "request_id", "trace")

    def __init__(self, parent: Traceparent | None, request_id: str = "") -> None:
        self.parent = parent
        self.request_id = request_id
        self.trace: TraceIds | None = None
        self.error_type: str | None = None
        self.duration_s = 0.0

    @property
    def trace_id(self) -> str | None:
        """The trace that the request belongs to, sampled or not."""
        ids = self.trace or self.parent
        return ids.trace_id if ids else None

    @property
    def span_id(self) -> str | None:
        """The request's own span, if it is sampled."""
        return self.trace.span_id if self.trace else None


class RequestPipeline(NamedTuple):
    """What all routes share: the decision to sample, how a sampled request is handled, and the histograms."""

    sample: Callable[[Traceparent | None], bool]
    handle_sampled: Callable[[web.Request, Observation, Handler], Awaitable[web.StreamResponse]]
    duration: Histogram
    request_size: Histogram
    response_size: Histogram


class _Recorder(NamedTuple):
    """Where requests with the same attributes are recorded. A size is None if such requests have no such body."""

    duration: Series
    durations: MutableSequence[float]  # the pending ones of `duration`
    response_sizes: MutableSequence[float] | None
    request_size: Series | None


class RouteTelemetry:
    """Records the requests of one route."""

    def __init__(self, pipeline: RequestPipeline, route: str) -> None:
        self._pipeline = pipeline
        self._sample = pipeline.sample
        self._route = route
        self._recorders: dict[tuple[str, int, str | None, int], _Recorder] = {}
        self._sizes: dict[tuple[str, str], Series] = {}

    def open_series(self, method: str, status: int, error_type: str | None = None) -> None:
        """Let a series exist before its first request."""
        self._find(method, status, error_type, 1)

    async def observe(self, request: web.Request, observation: Observation, handler: Handler) -> web.StreamResponse:
        """Await the handler, in a span if the request is sampled, and record the outcome."""
        started = perf_counter()
        try:
            if self._sample(observation.parent):
                response = await self._pipeline.handle_sampled(request, observation, handler)
            else:
                response = await handler(request)
        except BaseException as error:
            observation.duration_s = perf_counter() - started
            self._record_error(request, error, observation)
            raise
        observation.duration_s = perf_counter() - started
        # Recording is written out here: a method of its own costs 0.3 us of 35 (timeit).
        key = request.method, response.status, observation.error_type, request.version.minor
        duration, durations, response_sizes, request_size = self._recorders.get(key) or self._find(*key)
        # Appending instead of `Series.record` saves 0.25 us of 35 here and below (timeit).
        if observation.trace is None:
            durations.append(observation.duration_s)
        else:
            duration.record(observation.duration_s, observation.trace)
        if response_sizes is not None:
            # What was written of a streamed response, with headers and framing; else what will be.
            size = request.writer.output_size if response.prepared else response.content_length
            if size is not None:
                response_sizes.append(size)
        if request_size is not None and request.body_exists:
            request_size.record(request.content.total_bytes)
        return response

    def record_refusal(self, status: int) -> None:
        """Record a request that the HTTP parser refused: it has no valid method, and no handler sees it."""
        self._find(OTHER, status, None, 1).duration.record(0.0)

    def _record_error(self, request: web.Request, error: BaseException, observation: Observation) -> None:
        """Record a request whose handler raised: aiohttp responds to it, or the client has disconnected."""
        status, error_type = _describe_error(error, observation.error_type)
        recorder = self._find(request.method, status, error_type, request.version.minor)
        recorder.duration.record(observation.duration_s, observation.trace)

    def _find(self, method: str, status: int, error_type: str | None, minor: int) -> _Recorder:
        """Return the recorder of these attributes. Values outside their closed sets become OTHER."""
        key = (
            method if method in HTTP_METHODS else OTHER,
            status,
            error_type if error_type is None or error_type in REQUEST_ERRORS else OTHER,
            1 if minor else 0,
        )
        if key not in self._recorders:
            self._recorders[key] = self._open(*key)
        return self._recorders[key]

    def _open(self, method: str, status: int, error_type: str | None, minor: int) -> _Recorder:
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "url.scheme": "http",
            "network.protocol.version": f"1.{minor}",
            "http.route": self._route,
            "http.response.status_code": status,
        }
        if error_type is not None:
            attributes["error.type"] = error_type
        duration = self._pipeline.duration.open_series(attributes)
        return _Recorder(
            duration,
            duration.pending,
            self._open_size(method, self._pipeline.response_size).pending if method != "HEAD" else None,
            self._open_size(method, self._pipeline.request_size) if method in _METHODS_WITH_BODY else None,
        )

    def _open_size(self, method: str, histogram: Histogram) -> Series:
        """Return the series of a size. It is by route and method alone: a series costs a scrape 0.2 ms."""
        key = method, histogram.metric.name
        if key not in self._sizes:
            attributes = {"http.request.method": method, "url.scheme": "http", "http.route": self._route}
            self._sizes[key] = histogram.open_series(attributes)
        return self._sizes[key]


class SilentRoute:
    """Records nothing, except in the observation itself: the log shows the duration."""

    async def observe(self, request: web.Request, observation: Observation, handler: Handler) -> web.StreamResponse:
        """Await the handler."""
        started = perf_counter()
        try:
            return await handler(request)
        finally:
            observation.duration_s = perf_counter() - started

    def record_refusal(self, status: int) -> None:
        """Do nothing."""


def _describe_error(error: BaseException, failure: str | None) -> tuple[int, str | None]:
    """Return the status and error type of a request whose handler raised. `failure` broke off its response."""
    if isinstance(error, web.HTTPException):
        return error.status, type(error).__qualname__ if error.status >= _SERVER_ERROR else None
    if failure is not None:
        return _SERVER_ERROR, failure
    if isinstance(error, CancelledError | ConnectionError):
        return CLIENT_CLOSED_REQUEST, None
    return _SERVER_ERROR, type(error).__qualname__
