"""Serve the same handlers behind OpenTelemetry's own middleware: `stock.py FOLDER TIMEOUT_S`.

A process of its own, because the stock instrumentation is global. Writes three ports: those of the service, of its
metrics (`/stock`) and of an application that crashes (`/crash`).
"""

import asyncio
import sys

from aiohttp import web
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor, create_aiohttp_middleware
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from devops_api.app import create_service
from devops_api.items.events import EVENTS
from devops_api.items.settings import Settings
from devops_api.logs.writer import open_logs

registry = CollectorRegistry()


async def crash(_: web.Request) -> web.Response:
    """Serve `GET /crash`."""
    raise KeyError


async def show(_: web.Request) -> web.Response:
    """Serve `GET /stock`."""
    return web.Response(body=generate_latest(registry))


async def serve(folder: str, timeout_s: float) -> None:
    """Serve until the process is killed."""
    set_meter_provider(MeterProvider([PrometheusMetricReader(registry=registry, scope_info_enabled=False)]))
    settings = Settings(database_url=f"sqlite:///{folder}/stock.db", faults=True, request_timeout_s=timeout_s)
    service = create_service(settings, {"OTEL_SDK_DISABLED": "true"}, open_logs("error", "json", 2, EVENTS))
    AioHttpServerInstrumentor().instrument()
    AioHttpServerInstrumentor().uninstrument()
    service.app.middlewares.append(create_aiohttp_middleware())
    metrics = web.Application()
    metrics.router.add_get("/stock", show)
    crashing = web.Application(middlewares=[create_aiohttp_middleware()])
    crashing.router.add_get("/crash", crash)
    for app in (service.app, metrics, crashing):
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2])))
