"""Faults on request, so that alerts and the people behind them can be tried: `/faults`, opened by a setting."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import orjson
from aiohttp import web

from devops_api.errors import FieldError, InjectedFaultError, InvalidError, MalformedError
from devops_api.http.bodies import JSON, read_body, require_media_type
from devops_api.http.wrapper import Handler

BODY_BYTES_MAX: Final = 16 * 1024
LATENCY_MAX_MS: Final = 60_000
_PRECISION: Final = 1_000_000


class FaultPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to go wrong: a share of requests answered 500, each delayed first; on one route, or on all of /items."""

    error_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=LATENCY_MAX_MS)] = 0.0
    route: str | None = None


class Faults:
    """The plan in force, none at first, and the handlers of `/faults`."""

    def __init__(self) -> None:
        self._plan = FaultPlan()
        self._routes: list[str] = []

    def wrap(self, route: str, handler: Handler) -> Handler:
        """A handler that fails and dawdles as the plan says."""
        if route not in self._routes:
            self._routes.append(route)

        async def suffer(request: web.Request) -> web.StreamResponse:
            plan = self._plan
            if plan.route in {None, route}:
                await asyncio.sleep(plan.latency_ms / 1e3)
                if secrets.randbelow(_PRECISION) < plan.error_ratio * _PRECISION:
                    raise InjectedFaultError("This failure was asked for; DELETE /faults ends it")
            return await handler(request)

        return suffer

    async def get_plan(self, _: web.Request) -> web.Response:
        """GET /faults."""
        return web.Response(body=orjson.dumps(msgspec.to_builtins(self._plan)), content_type=JSON)

    async def put_plan(self, request: web.Request) -> web.Response:
        """PUT /faults."""
        require_media_type(request, JSON)
        self._plan = _decode_plan(await read_body(request, BODY_BYTES_MAX), self._routes)
        return await self.get_plan(request)

    async def delete_plan(self, _: web.Request) -> web.Response:
        """DELETE /faults."""
        self._plan = FaultPlan()
        return web.Response(status=204)


def _decode_plan(body: bytes, routes: Sequence[str]) -> FaultPlan:
    try:
        plan = msgspec.json.decode(body, type=FaultPlan)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `$")
        raise InvalidError([FieldError(path.rstrip("`").replace(".", "/"), detail)]) from None
    except msgspec.DecodeError as error:
        raise MalformedError(f"The body is not JSON: {error}") from None
    if plan.route is not None and plan.route not in routes:
        raise InvalidError([FieldError("/route", f"must be one of {', '.join(routes)}")])
    return plan
