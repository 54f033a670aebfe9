"""What machines ask: is it alive, is it ready, how is it, what did it measure."""

import asyncio
from time import perf_counter
from typing import Any, Final

import orjson
from aiohttp import web

from devops_api import __version__
from devops_api.errors import StoreUnavailableError
from devops_api.http.admission import Admission
from devops_api.items.store.protocol import ItemStore
from devops_api.telemetry.pipeline import Telemetry

CHECK_TIMEOUT_S: Final = 2.0  # below the 3 s after which the image's HEALTHCHECK gives up
_NO_STORE: Final = {"Cache-Control": "no-store"}


class Probes:
    """Handlers of `/health`, `/livez`, `/readyz` and `/metrics`."""

    def __init__(self, *, store: ItemStore, telemetry: Telemetry, admission: Admission) -> None:
        self._store = store
        self._telemetry = telemetry
        self._gate = admission

    async def get_health(self, _: web.Request) -> web.Response:
        """GET /health: 200 while the service works, though it may be draining; 503 where a check fails."""
        check = await self._check_store()
        status = "failing" if check["status"] != "ok" else "draining" if self._gate.is_draining else "ok"
        document = {"status": status, "version": __version__, "checks": {"store": check}}
        return _reply(document, is_good=status != "failing")

    async def get_liveness(self, _: web.Request) -> web.Response:
        """GET /livez: the event loop turns."""
        return _reply({"status": "ok"}, is_good=True)

    async def get_readiness(self, _: web.Request) -> web.Response:
        """GET /readyz: requests are welcome."""
        if self._gate.is_draining:
            return _reply({"status": "draining"}, is_good=False)
        check = await self._check_store()
        return _reply({"status": check["status"]}, is_good=check["status"] == "ok")

    async def get_metrics(self, request: web.Request) -> web.Response:
        """GET /metrics."""
        headers = request.headers
        exposition = await self._telemetry.render(headers.get("Accept", ""), headers.get("Accept-Encoding", ""))
        reply = web.Response(
            body=exposition.body, headers={"Content-Type": exposition.content_type, "Vary": "Accept, Accept-Encoding"}
        )
        if exposition.content_encoding:
            reply.headers["Content-Encoding"] = exposition.content_encoding
        return reply

    async def is_ready(self) -> bool:
        """Whether requests are welcome, for the readiness metric."""
        return not self._gate.is_draining and (await self._check_store())["status"] == "ok"

    async def _check_store(self) -> dict[str, Any]:
        started = perf_counter()
        check: dict[str, Any] = {"status": "ok"}
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await self._store.ping()
        except (StoreUnavailableError, TimeoutError) as error:
            check = {"status": "failing", "detail": str(error) or f"no answer within {CHECK_TIMEOUT_S:g} s"}
        return check | {"duration_ms": round((perf_counter() - started) * 1e3, 3)}


def _reply(document: dict[str, Any], *, is_good: bool) -> web.Response:
    return web.Response(
        body=orjson.dumps(document), status=200 if is_good else 503, content_type="application/json", headers=_NO_STORE
    )
