"""Import and export over HTTP: streams of any length."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final, NamedTuple

import msgspec
import orjson
from aiohttp import web

from devops_api.accept import parse_accept
from devops_api.errors import (
    FieldError,
    InvalidError,
    NotAcceptableError,
    SlowRequestError,
    StoreUnavailableError,
    TimedOutError,
    UnavailableError,
)
from devops_api.http.admission import Admission
from devops_api.http.bodies import JSON, require_media_type, start_body
from devops_api.http.events import EventLogger
from devops_api.http.state import REQUEST_ID_HEADER, REQUEST_STATE
from devops_api.items.bulk.exports import ENCODERS
from devops_api.items.bulk.imports import CSV, NDJSON, Importer
from devops_api.items.errors import ImportStoppedError
from devops_api.items.metrics import ITEMS_CREATED, ITEMS_IMPORTED, ITEMS_REJECTED, ITEMS_UPDATED
from devops_api.items.query import FILTER_PARAMETERS, read_query
from devops_api.items.store.protocol import ItemStore
from devops_api.telemetry.pipeline import Telemetry

FORMATS: Final = {"ndjson": NDJSON, "csv": CSV}


class ImportOptions(NamedTuple):
    """The query string of an import."""

    is_upsert: bool
    stops_at_error: bool


class BulkHandlers:
    """Handlers of `/items/import` and `/items/export`."""

    def __init__(
        self,
        *,
        store: ItemStore,
        telemetry: Telemetry,
        events: EventLogger,
        admission: Admission,
        read_timeout_s: float,
        export_timeout_s: float,
    ) -> None:
        self._store = store
        self._telemetry = telemetry
        self._imported = telemetry.counter(ITEMS_IMPORTED)
        self._rejected = telemetry.counter(ITEMS_REJECTED)
        self._events = events
        self._admission = admission
        self._read_timeout_s = read_timeout_s
        self._export_timeout_s = export_timeout_s

    async def import_items(self, request: web.Request) -> web.Response:
        """POST /items/import."""
        media_type = require_media_type(request, NDJSON, CSV)
        options = _read_options(request)
        importer = Importer(
            self._store, media_type=media_type, is_upsert=options.is_upsert, stops_at_error=options.stops_at_error
        )
        is_complete = False
        try:
            is_complete = await importer.run(self._iterate_body(request), lambda: self._admission.is_stopping)
        except (SlowRequestError, StoreUnavailableError) as error:
            error.members = msgspec.to_builtins(importer.report)
            raise
        finally:
            self._account(request, importer, is_complete=is_complete)
        document = msgspec.to_builtins(importer.report)
        if importer.is_stopped:
            raise ImportStoppedError("The import stopped at its first bad line, as asked", members=document)
        if not is_complete:
            raise UnavailableError("The service is stopping; what is stored is said here", members=document)
        return web.Response(body=orjson.dumps(document), content_type=JSON)

    async def export_items(self, request: web.Request) -> web.StreamResponse:
        """GET and HEAD /items/export."""
        media_type = _negotiate(request)
        query = read_query(request.query, ("format", *FILTER_PARAMETERS))
        extension = next(name for name, known in FORMATS.items() if known == media_type)
        response = web.StreamResponse(
            headers={
                "Content-Type": f"{media_type}; charset=utf-8",
                "Content-Disposition": f'attachment; filename="items.{extension}"',
                "Vary": "Accept",
                REQUEST_ID_HEADER: request[REQUEST_STATE].request_id,
            }
        )
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        header, encode = ENCODERS[media_type]
        count, is_complete, is_sending = 0, False, False
        try:
            await response.write(header)
            async with asyncio.timeout(self._export_timeout_s), aclosing(self._store.export(query)) as chunks:
                async for chunk in chunks:
                    is_sending = True
                    await response.write(encode(chunk))
                    is_sending = False
                    count += len(chunk)
                    if self._admission.is_stopping:
                        raise UnavailableError("The service is stopping")
            is_complete = True
        except TimeoutError:
            if is_sending:  # A client that reads slowly is no failure of the service.
                raise ConnectionResetError("the export was not read in time") from None
            raise TimedOutError(f"The export took longer than {self._export_timeout_s:g} s") from None
        finally:
            self._events.emit("items_exported", request, count=count, is_complete=is_complete)
        return response

    async def _iterate_body(self, request: web.Request) -> AsyncIterator[bytes]:
        await start_body(request)
        while True:
            try:
                async with asyncio.timeout(self._read_timeout_s):
                    data = await request.content.readany()
            except TimeoutError:
                raise SlowRequestError(f"The next bytes did not arrive within {self._read_timeout_s:g} s") from None
            if not data:
                return
            yield data

    def _account(self, request: web.Request, importer: Importer, *, is_complete: bool) -> None:
        report = importer.report
        self._telemetry.counter(ITEMS_CREATED).add(report.created)
        self._telemetry.counter(ITEMS_UPDATED).add(report.updated)
        self._imported.add(report.created + report.updated)
        self._rejected.add(importer.conflicts, "conflict")
        self._rejected.add(report.rejected - importer.conflicts, "invalid")
        self._events.emit(
            "items_imported",
            request,
            created=report.created,
            updated=report.updated,
            rejected=report.rejected,
            stored_through_line=report.stored_through_line,
            is_complete=is_complete,
        )


def _read_options(request: web.Request) -> ImportOptions:
    faults = [
        FieldError(name, f"is not known here, or not with this value; these are: {', '.join(_OPTIONS)}", "parameter")
        for name, value in request.query.items()
        if f"{name}={value}" not in _OPTIONS
    ]
    faults += [
        FieldError(name, "is given more than once", "parameter")
        for name in dict.fromkeys(request.query)
        if len(request.query.getall(name)) > 1
    ]
    if faults:
        raise InvalidError(faults)
    return ImportOptions(request.query.get("upsert") == "sku", request.query.get("on_error") == "abort")


def _negotiate(request: web.Request) -> str:
    """The media type of an export: `format=` first, then what `Accept` prefers, of two alike the one named first."""
    wanted = request.query.get("format")
    if wanted is not None:
        if wanted not in FORMATS:
            raise InvalidError([FieldError("format", f"must be one of {', '.join(FORMATS)}", "parameter")])
        return FORMATS[wanted]
    accept = request.headers.get("Accept") or "*/*"
    given = {entry.name: (entry.quality, -place) for place, entry in enumerate(parse_accept(accept))}
    ranks = {
        media_type: next((given[name] for name in names if name in given), (0.0, 0))
        for media_type, names in _RANGES.items()
    }
    media_type = max(ranks, key=lambda known: ranks[known])
    if not ranks[media_type][0]:
        raise NotAcceptableError(f"An export is {' or '.join(FORMATS.values())}")
    return media_type


_RANGES: Final = {
    NDJSON: (NDJSON, "application/jsonl", "application/*", "*/*"),
    CSV: (CSV, "text/*", "*/*"),
}
_OPTIONS: Final = ("on_error=skip", "on_error=abort", "upsert=sku")
