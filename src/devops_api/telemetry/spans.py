"""Spans of sampled requests: OpenTelemetry's aiohttp instrumentation makes the request's, `start_span` its children."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from opentelemetry import trace
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor, create_aiohttp_middleware
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import format_span_id, format_trace_id

from devops_api import __version__
from devops_api.telemetry.histograms import TraceIds
from devops_api.telemetry.requests import Observation
from devops_api.telemetry.sampling import create_trace_ids


class Spans:
    """Makes spans and hands them to a processor. `in_flight` is the number of requests that have a span now."""

    def __init__(self, resource: Resource, processor: SpanProcessor) -> None:
        # The requests that get here are sampled already.
        tracers = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
        tracers.add_span_processor(processor)
        self._tracer = tracers.get_tracer("devops_api", __version__)
        self._middleware = _create_middleware(tracers)
        self.in_flight = 0

    async def handle(self, request: web.Request, observation: Observation, handler: Handler) -> web.StreamResponse:
        """Handle a request within a span, and set the span's ids in `observation`.

        An invalid `Host` gets no span, because a span contains the URL.
        """

        async def respond(request: web.Request) -> web.StreamResponse:
            context = trace.get_current_span().get_span_context()
            # The instrumentation makes no span for the URLs that OTEL_PYTHON_AIOHTTP_SERVER_EXCLUDED_URLS names.
            if context.is_valid:
                observation.trace = TraceIds(format_trace_id(context.trace_id), format_span_id(context.span_id))
            return await handler(request)

        observation.trace = create_trace_ids(observation.parent)
        if not _has_url(request):
            return await handler(request)
        self.in_flight += 1
        try:
            response: web.StreamResponse = await self._middleware(request, respond)
        finally:
            self.in_flight -= 1
        return response

    @contextmanager
    def start_span(self, name: str, attributes: Mapping[str, str]) -> Iterator[None]:
        """Make a client span that is a child of the request's span, if there is one; it gets the type of an error.

        It does not become the current span, which would double its cost: its operation has no child spans.
        """
        if not trace.get_current_span().is_recording():
            yield
            return
        span = self._tracer.start_span(name, kind=trace.SpanKind.CLIENT, attributes=attributes)
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(trace.StatusCode.ERROR)
            raise
        finally:
            span.end()


async def handle_without_span(request: web.Request, observation: Observation, handler: Handler) -> web.StreamResponse:
    """Handle a sampled request without a span: its ids link an exemplar to its log lines."""
    observation.trace = create_trace_ids(observation.parent)
    return await handler(request)


def _has_url(request: web.Request) -> bool:
    try:
        _ = request.url
    except ValueError:
        return False
    return True


def _create_middleware(tracers: TracerProvider) -> Any:
    """Create the instrumentation's middleware.

    It depends on globals that only `instrument()` sets (open-telemetry/opentelemetry-python-contrib#2859). Its own
    metrics have no provider and are lost.
    """
    instrumentor = AioHttpServerInstrumentor()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        instrumentor.instrument(skip_dep_check=True)
        instrumentor.uninstrument()
    return create_aiohttp_middleware(tracer_provider=tracers)
