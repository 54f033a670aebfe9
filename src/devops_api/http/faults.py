"""Fault injection for practice: `/faults` makes requests slow or fail, if a setting enables it."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from devops_api.errors import FieldError, InjectedFaultError, InvalidError
from devops_api.http.bodies import JSON, decode_json, read_body, require_media_type
from devops_api.http.operations import DELETE_FAULTS, GET_FAULTS, PUT_FAULTS
from devops_api.http.replies import Reply
from devops_api.http.routes import Route

BODY_BYTES_MAX: Final = 16 * 1024
LATENCY_MAX_MS: Final = 60_000
_PRECISION: Final = 1_000_000


class FaultPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The faults to inject, on one route or all: a latency before each request, a ratio of requests that get a 500."""

    error_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=LATENCY_MAX_MS)] = 0.0
    route: str | None = None


class FaultInjector:
    """The plan in force, which is empty at first, and the handlers of `/faults`."""

    def __init__(self) -> None:
        self._plan = FaultPlan()
        self._paths: list[str] = []

    def inject(self, routes: Sequence[Route]) -> list[Route]:
        """Return the routes with handlers that inject latency and errors as planned. Probes stay as they are."""
        self._paths += dict.fromkeys(route.path for route in routes if not route.is_probe)
        return [
            route if route.is_probe else route._replace(handler=self._wrap(route.path, route.handler))
            for route in routes
        ]

    def routes(self) -> list[Route]:
        """Return the routes of `/faults`."""
        return [
            Route("GET", "/faults", "read", self.get_plan, GET_FAULTS),
            Route("PUT", "/faults", "write", self.put_plan, PUT_FAULTS),
            Route("DELETE", "/faults", "write", self.delete_plan, DELETE_FAULTS),
        ]

    def _wrap(self, path: str, handler: Handler) -> Handler:
        async def inject(request: web.Request) -> web.StreamResponse:
            plan = self._plan
            if plan.route in {None, path}:
                await asyncio.sleep(plan.latency_ms / 1e3)
                if secrets.randbelow(_PRECISION) < plan.error_ratio * _PRECISION:
                    raise InjectedFaultError("This failure was requested; DELETE /faults ends it")
            return await handler(request)

        return inject

    async def get_plan(self, _: web.Request) -> web.Response:
        """Serve `GET /faults`."""
        return Reply(msgspec.json.encode(self._plan), headers={"Content-Type": JSON})

    async def put_plan(self, request: web.Request) -> web.Response:
        """Serve `PUT /faults`."""
        require_media_type(request, JSON)
        self._plan = _decode_plan(await read_body(request, BODY_BYTES_MAX), self._paths)
        return await self.get_plan(request)

    async def delete_plan(self, _: web.Request) -> web.Response:
        """Serve `DELETE /faults`."""
        self._plan = FaultPlan()
        return Reply(status=204)


def _decode_plan(body: bytes, paths: Sequence[str]) -> FaultPlan:
    plan = decode_json(body, FaultPlan)
    if plan.route is not None and plan.route not in paths:
        raise InvalidError([FieldError("/route", f"must be one of {', '.join(paths)}")])
    return plan
