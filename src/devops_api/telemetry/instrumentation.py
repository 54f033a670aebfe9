"""What OpenTelemetry's own packages provide: the resource, and metrics of the process."""

import os
import uuid
from collections.abc import Mapping
from typing import Final

from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from devops_api.identity import Identity

_PROCESS_METRICS: Final[dict[str, list[str] | None]] = {
    "process.cpu.time": ["user", "system"],
    "process.memory.usage": None,
    "process.open_file_descriptor.count": None,
    "cpython.gc.collections": None,
}


def choose_conventions() -> None:
    """Choose the stable HTTP conventions. The first instrumentation of a process reads the variable once for all."""
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")


def create_resource(identity: Identity, environment: Mapping[str, str]) -> Resource:
    """Describe the service. OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME take precedence."""
    defaults = {
        "service.name": environment.get("OTEL_SERVICE_NAME") or identity.name,
        "service.version": identity.version,
        "service.instance.id": str(uuid.uuid4()),
    }
    return Resource.create(defaults | dict(OTELResourceDetector().detect().attributes))


def observe_process(provider: MeterProvider) -> None:
    """Record process and CPython metrics.

    The instrumentor is a singleton that rejects a second service in a process; uninstrumenting it keeps the metrics.
    """
    instrumentor = SystemMetricsInstrumentor(config=_PROCESS_METRICS)
    instrumentor.instrument(meter_provider=provider, skip_dep_check=True)
    instrumentor.uninstrument()
