"""Instrument an aiohttp application that was built without this package: metrics, sampled traces and `/metrics`.

`otel/README.md` has an example.
"""

import os
import re
from collections.abc import AsyncIterator, Mapping
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from devops_api.identity import Identity
from devops_api.telemetry.catalogue import ACTIVE_REQUESTS, HTTP_METHODS, OTHER
from devops_api.telemetry.pipeline import Telemetry, create_telemetry
from devops_api.telemetry.requests import UNMATCHED_ROUTE, Observation, RouteTelemetry, SilentRoute
from devops_api.telemetry.sampling import read_traceparent

FORCED_SAMPLES_PER_S: Final = 10
FLUSH_TIMEOUT_S: Final = 5.0
_FAILURES: Final = ((500, OTHER),)


def instrument(
    app: web.Application,
    *,
    name: str,
    version: str,
    metrics_path: str | None = "/metrics",
    environment: Mapping[str, str] | None = None,
) -> Telemetry:
    """Instrument an application and its sub-applications. Call it before the application starts.

    `environment` defaults to the process's; the `OTEL_*` variables have their usual meaning, but without an endpoint
    nothing is exported. `metrics_path` None: no route for metrics. Returns the telemetry, for metrics of your own.
    ValueError: a variable is invalid.
    """
    prefix = re.sub(r"\W+", "_", name.lower())
    telemetry = create_telemetry(
        Identity(name, version, metric_prefix=prefix, settings_prefix=""),
        os.environ if environment is None else environment,
        forced_samples_per_s=FORCED_SAMPLES_PER_S,
        flush_timeout_s=FLUSH_TIMEOUT_S,
    )
    middleware = TelemetryMiddleware(telemetry)
    app.middlewares.insert(0, middleware.observe)  # The outermost one sees the responses of all others.
    app.cleanup_ctx.insert(0, middleware.run)
    if metrics_path is not None:
        app.router.add_get(metrics_path, middleware.get_metrics)
    return telemetry


class TelemetryMiddleware:
    """Records the requests of an application by the route that aiohttp matched.

    Requests that match no route, or no method of one, share a fixed route: clients choose their paths.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._routes: dict[web.AbstractResource | None, RouteTelemetry | SilentRoute] = {}
        self._unmatched = telemetry.bind_route(UNMATCHED_ROUTE)
        self._in_flight = 0
        telemetry.observe(ACTIVE_REQUESTS, lambda: self._in_flight)

    @web.middleware
    async def observe(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request."""
        route = self._routes.get(request.match_info.route.resource, self._unmatched)
        self._in_flight += 1
        try:
            return await route.observe(
                request, Observation(read_traceparent(request.headers.get("traceparent"))), handler
            )
        finally:
            self._in_flight -= 1

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        """Bind the routes, which are final now, and run the telemetry as long as the application."""
        for route in app.router.routes():
            if route.resource is not None:
                has_series = route.method in HTTP_METHODS and route.method != "HEAD"
                self._routes[route.resource] = self._telemetry.bind_route(
                    route.resource.canonical, [(route.method, 200)] if has_series else (), _FAILURES
                )
        self._telemetry.start()
        yield
        self._telemetry.stop()

    async def get_metrics(self, request: web.Request) -> web.Response:
        """Serve the metrics, in the format that `Accept` prefers."""
        headers = request.headers
        exposition = await self._telemetry.render(headers.get("Accept", ""), headers.get("Accept-Encoding", ""))
        return web.Response(body=exposition.body, headers=exposition.headers)
