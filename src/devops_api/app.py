"""The composition root: opens the store and joins the item domain to the chassis. Tests call the same function."""

import asyncio
import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from devops_api.errors import StoreUnavailableError
from devops_api.http.probes import CHECK_TIMEOUT_S
from devops_api.items import metrics
from devops_api.items.bulk.handlers import BulkHandlers
from devops_api.items.guide import create_guide
from devops_api.items.handlers import ItemHandlers
from devops_api.items.routes import create_routes
from devops_api.items.schema import create_schemas
from devops_api.items.settings import IDENTITY, Settings
from devops_api.items.store.metered import MeteredStore, WriterTelemetry
from devops_api.items.store.sqlite.store import SqliteStore, open_sqlite_store
from devops_api.logs.writer import Logs
from devops_api.serve.chassis import Chassis, Domain, Service
from devops_api.telemetry.pipeline import Telemetry


def create_service(settings: Settings, environment: Mapping[str, str], logs: Logs) -> Service:
    """Open the store and make every part. StoreRefusedError, StoreUnavailableError: the store cannot be opened."""
    chassis = Chassis(IDENTITY, settings, environment, logs)
    telemetry = chassis.telemetry
    database = settings.database_path
    sqlite = open_sqlite_store(database, observer=None if telemetry.is_silent else WriterTelemetry(telemetry))
    store = sqlite if telemetry.is_silent else MeteredStore(sqlite, telemetry)
    _observe_store(telemetry, sqlite, database)
    items = ItemHandlers(
        store=store, telemetry=telemetry, events=chassis.events, max_body_bytes=settings.max_body_bytes
    )
    bulk = BulkHandlers(
        store=store,
        telemetry=telemetry,
        events=chassis.events,
        admission=chassis.admission,
        read_timeout_s=settings.request_timeout_s,
        export_timeout_s=settings.export_timeout_s,
    )
    return chassis.assemble(
        Domain(
            routes=create_routes(items, bulk, telemetry),
            checks={"store": store.ping},
            schemas=create_schemas(),
            guide=create_guide(settings),
            close=store.close,
        )
    )


def _observe_store(telemetry: Telemetry, store: SqliteStore, database: Path) -> None:
    """Expose the store's size and queue as metrics. Items are counted on the event loop, before each scrape."""
    known = {"stored": 0}

    async def refresh() -> None:
        with contextlib.suppress(StoreUnavailableError, TimeoutError):
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                known["stored"] = await store.count()

    telemetry.refresh_with(refresh)
    for metric, read in (
        (metrics.ITEMS_STORED, lambda: known["stored"]),
        (metrics.WRITER_QUEUE, lambda: store.writer_queue_length),
        (metrics.STORE_SIZE, store.database_bytes),
        (metrics.DISK_FREE, lambda: shutil.disk_usage(database.parent).free),
        (metrics.DISK_SIZE, lambda: shutil.disk_usage(database.parent).total),
    ):
        telemetry.observe(metric, read)
