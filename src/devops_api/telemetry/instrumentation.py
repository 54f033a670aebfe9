"""What OpenTelemetry's own packages bring: the resource, request spans, metrics of the process."""

import os
import uuid
import warnings
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor, create_aiohttp_middleware
from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider

from devops_api import __version__

_PROCESS_METRICS: Final[dict[str, list[str] | None]] = {
    "process.cpu.time": ["user", "system"],
    "process.memory.usage": None,
    "process.open_file_descriptor.count": None,
    "cpython.gc.collections": None,
}


def choose_conventions() -> None:
    """Have the HTTP conventions that are stable; the first instrumentation of a process reads it once for all."""
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")


def create_resource(environment: Mapping[str, str]) -> Resource:
    """What the service is called; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME have the last word."""
    defaults = {
        "service.name": environment.get("OTEL_SERVICE_NAME") or "devops-api",
        "service.version": __version__,
        "service.instance.id": str(uuid.uuid4()),
    }
    return Resource.create(defaults | dict(OTELResourceDetector().detect().attributes))


def create_middleware(tracers: TracerProvider) -> Any:
    """The middleware that makes request spans.

    It depends on globals that only `instrument()` sets (open-telemetry/opentelemetry-python-contrib#2859); its own
    metrics go nowhere.
    """
    instrumentor = AioHttpServerInstrumentor()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        instrumentor.instrument(skip_dep_check=True)
        instrumentor.uninstrument()
    return create_aiohttp_middleware(tracer_provider=tracers)


def observe_process(provider: MeterProvider) -> None:
    """Process and CPython metrics; the instrumentor is a singleton, and a process may hold more than one service."""
    instrumentor = SystemMetricsInstrumentor(config=_PROCESS_METRICS)
    instrumentor.instrument(meter_provider=provider, skip_dep_check=True)
    instrumentor.uninstrument()
