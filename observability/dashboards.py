"""The dashboards by the names of their files, in the order in which they are read."""

from collections.abc import Mapping
from typing import Any

from observability.dashboard_routes import create_routes
from observability.dashboard_runtime import create_runtime
from observability.dashboard_service import create_service
from observability.dashboard_telemetry import create_telemetry


def create_dashboards() -> Mapping[str, dict[str, Any]]:
    """Every board's document."""
    return {
        "service": create_service(),
        "routes": create_routes(),
        "runtime": create_runtime(),
        "telemetry": create_telemetry(),
    }
