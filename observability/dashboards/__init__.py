"""The dashboards, one module each. `panels` and `layout` wrap grafana-foundation-sdk, `house` has what they share."""

from collections.abc import Mapping
from typing import Any

from observability.dashboards.routes import create_routes
from observability.dashboards.runtime import create_runtime
from observability.dashboards.service import create_service
from observability.dashboards.telemetry import create_telemetry


def create_dashboards() -> Mapping[str, dict[str, Any]]:
    """Return every dashboard's document by file name, in reading order."""
    return {
        "service": create_service(),
        "routes": create_routes(),
        "runtime": create_runtime(),
        "telemetry": create_telemetry(),
    }
