"""The composition root: every part is made here and handed to the parts above it. Tests call the same functions."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from devops_api.apidocs.documents import Documents
from devops_api.errors import StoreUnavailableError
from devops_api.http.admission import Admission
from devops_api.http.faults import Faults
from devops_api.http.probes import CHECK_TIMEOUT_S, Probes
from devops_api.http.wrapper import HandlerWrapper
from devops_api.items.bulk.handlers import BulkHandlers
from devops_api.items.handlers import ItemHandlers
from devops_api.items.routes import add_metrics_route, add_routes
from devops_api.items.store.metered import MeteredStore
from devops_api.items.store.protocol import ItemStore
from devops_api.items.store.sqlite.store import SqliteStore, open_sqlite_store
from devops_api.logs.writer import Logs
from devops_api.settings.service import Settings
from devops_api.telemetry import catalogue as catalogue
from devops_api.telemetry.pipeline import Telemetry, create_telemetry


@dataclass(frozen=True, slots=True)
class Service:
    """The parts that outlive a request. `metrics_app` is None unless the metrics have a port of their own."""

    settings: Settings
    app: web.Application
    metrics_app: web.Application | None
    admission: Admission
    telemetry: Telemetry
    logs: Logs


def create_app(settings: Settings, environment: Mapping[str, str], logs: Logs) -> web.Application:
    """The application alone, for a server that is not ours."""
    return create_service(settings, environment, logs).app


def create_service(settings: Settings, environment: Mapping[str, str], logs: Logs) -> Service:
    """Open the store and make every part. StoreRefusedError and StoreUnavailableError where there is no store."""
    telemetry = create_telemetry(settings, environment, logs)
    database = database_path(settings)
    sqlite = open_sqlite_store(database, observer=None if telemetry.is_disabled else telemetry.writer)
    store: ItemStore = sqlite if telemetry.is_disabled else MeteredStore(sqlite, telemetry)
    admission = Admission(limit=settings.max_in_flight, timeout_s=settings.request_timeout_s)
    wrapper = HandlerWrapper(
        admission=admission,
        telemetry=telemetry,
        logs=logs,
        tokens=settings.tokens_file,
        slow_request_s=settings.slow_request_s,
        logs_every_request=settings.access_log,
    )
    probes = Probes(store=store, telemetry=telemetry, admission=admission)
    _observe(telemetry, sqlite, database, admission, probes)
    app = web.Application()
    add_routes(
        app.router,
        wrapper,
        ItemHandlers(store=store, telemetry=telemetry, wrapper=wrapper, max_body_bytes=settings.max_body_bytes),
        BulkHandlers(
            store=store,
            telemetry=telemetry,
            wrapper=wrapper,
            admission=admission,
            read_timeout_s=settings.request_timeout_s,
            export_timeout_s=settings.export_timeout_s,
        ),
        probes,
        Documents(settings),
        Faults() if settings.faults else None,
        has_metrics=settings.metrics_port is None,
    )
    metrics_app = None
    if settings.metrics_port is not None:
        metrics_app = web.Application()
        add_metrics_route(metrics_app.router, wrapper, probes)
    app.cleanup_ctx.append(lambda _: _run_parts(admission, store, telemetry))
    return Service(settings, app, metrics_app, admission, telemetry, logs)


def _observe(telemetry: Telemetry, store: SqliteStore, database: Path, admission: Admission, probes: Probes) -> None:
    """Show what the parts know of themselves; what needs the event loop is asked for before each scrape."""
    known = {"ready": 0, "stored": 0}

    async def refresh() -> None:
        known["ready"] = int(await probes.is_ready())
        with contextlib.suppress(StoreUnavailableError, TimeoutError):
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                known["stored"] = await store.count()

    telemetry.refresh_with(refresh)
    for metric, read in (
        (catalogue.ACTIVE_REQUESTS, lambda: admission.in_flight),
        (catalogue.SHED, lambda: admission.shed_total),
        (catalogue.READY, lambda: known["ready"]),
        (catalogue.ITEMS_STORED, lambda: known["stored"]),
        (catalogue.WRITER_QUEUE, lambda: store.writer_queue_length),
        (catalogue.STORE_SIZE, store.database_bytes),
        (catalogue.DISK_FREE, lambda: shutil.disk_usage(database.parent).free),
        (catalogue.DISK_SIZE, lambda: shutil.disk_usage(database.parent).total),
    ):
        telemetry.observe(metric, read)


def database_path(settings: Settings) -> Path:
    """The file that an SQLite URL names."""
    return Path(settings.database_url.removeprefix("sqlite:///"))


async def _run_parts(admission: Admission, store: ItemStore, telemetry: Telemetry) -> AsyncIterator[None]:
    """What runs beside the requests, and what is let go of after the last of them."""
    sweeping = asyncio.create_task(admission.sweep())
    telemetry.start()
    yield
    sweeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sweeping
    await store.close()
    telemetry.stop()
