"""Probes for machines: liveness, readiness, health, metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, Final

import orjson
from aiohttp import web

from devops_api.errors import UnavailableError
from devops_api.http.admission import Admission
from devops_api.http.operations import HEALTH, LIVENESS, METRICS, READINESS
from devops_api.http.replies import Reply
from devops_api.http.routes import Route
from devops_api.telemetry.pipeline import Telemetry

CHECK_TIMEOUT_S: Final = 2.0  # below the 3 s after which the image's HEALTHCHECK gives up
_HEADERS: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}
Check = Callable[[], Awaitable[object]]  # raises UnavailableError when what it checks does not work


class Probes:
    """Handlers of `/health`, `/livez`, `/readyz` and `/metrics`. The service is ready when every check passes."""

    def __init__(
        self, *, version: str, checks: Mapping[str, Check], telemetry: Telemetry, admission: Admission
    ) -> None:
        self._version = version
        self._checks = checks
        self._telemetry = telemetry
        self._admission = admission

    def routes(self) -> list[Route]:
        """Return the routes of health, liveness and readiness."""
        return [
            Route("GET", "/health", None, self.get_health, HEALTH, is_probe=True),
            Route("GET", "/livez", None, self.get_liveness, LIVENESS, is_probe=True),
            Route("GET", "/readyz", None, self.get_readiness, READINESS, is_probe=True),
        ]

    def metrics_route(self) -> Route:
        """Return the route of `/metrics`, which may be on a separate port."""
        return Route("GET", "/metrics", None, self.get_metrics, METRICS, is_probe=True)

    async def get_health(self, _: web.Request) -> web.Response:
        """Serve `GET /health`: 503 if a check fails, else 200, also while draining."""
        checks = {name: await _run_check(check) for name, check in self._checks.items()}
        is_failing = any(check["status"] != "ok" for check in checks.values())
        status = "failing" if is_failing else "draining" if self._admission.is_draining else "ok"
        return _respond({"status": status, "version": self._version, "checks": checks}, is_ok=not is_failing)

    async def get_liveness(self, _: web.Request) -> web.Response:
        """Serve `GET /livez`: 200 as long as the event loop runs."""
        return _respond({"status": "ok"}, is_ok=True)

    async def get_readiness(self, _: web.Request) -> web.Response:
        """Serve `GET /readyz`: 200 if the service is ready."""
        if self._admission.is_draining:
            return _respond({"status": "draining"}, is_ok=False)
        is_ready = await self.is_ready()
        return _respond({"status": "ok" if is_ready else "failing"}, is_ok=is_ready)

    async def get_metrics(self, request: web.Request) -> web.Response:
        """Serve `GET /metrics`."""
        headers = request.headers
        exposition = await self._telemetry.render(headers.get("Accept", ""), headers.get("Accept-Encoding", ""))
        return Reply(exposition.body, headers=exposition.headers)

    async def is_ready(self) -> bool:
        """Return whether the service is ready: it does not drain, and every check passes."""
        if self._admission.is_draining:
            return False
        return all([(await _run_check(check))["status"] == "ok" for check in self._checks.values()])


async def _run_check(check: Check) -> dict[str, Any]:
    started = perf_counter()
    result: dict[str, Any] = {"status": "ok"}
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except (UnavailableError, TimeoutError) as error:
        result = {"status": "failing", "detail": str(error) or f"no response within {CHECK_TIMEOUT_S:g} s"}
    return result | {"duration_ms": round((perf_counter() - started) * 1e3, 3)}


def _respond(document: dict[str, Any], *, is_ok: bool) -> web.Response:
    return Reply(orjson.dumps(document), 200 if is_ok else 503, _HEADERS)
