"""Import and export over HTTP: streams of any length."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import NamedTuple

import msgspec
from aiohttp import web

from devops_api.errors import (
    FieldError,
    InvalidError,
    SlowRequestError,
    StoreUnavailableError,
    TimedOutError,
    UnavailableError,
)
from devops_api.http.admission import Admission
from devops_api.http.bodies import JSON, require_media_type, start_body
from devops_api.http.events import EventLogger
from devops_api.http.replies import Reply
from devops_api.http.state import REQUEST_ID_HEADER, REQUEST_STATE
from devops_api.items.bulk.formats import FORMATS, Format, negotiate
from devops_api.items.bulk.imports import Importer
from devops_api.items.encoding import encode_json
from devops_api.items.errors import ImportStoppedError
from devops_api.items.metrics import ITEMS_CREATED, ITEMS_IMPORTED, ITEMS_REJECTED, ITEMS_UPDATED
from devops_api.items.parameters import EXPORT_PARAMETERS, IMPORT_PARAMETERS
from devops_api.items.query import parse_query
from devops_api.items.store.protocol import ItemQuery, ItemStore
from devops_api.telemetry.pipeline import Telemetry

_FORMATS = {known.media_type: known for known in FORMATS.values()}


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
        self._created = telemetry.counter(ITEMS_CREATED)
        self._updated = telemetry.counter(ITEMS_UPDATED)
        self._imported = telemetry.counter(ITEMS_IMPORTED)
        self._rejected = telemetry.counter(ITEMS_REJECTED)
        self._events = events
        self._admission = admission
        self._read_timeout_s = read_timeout_s
        self._export_timeout_s = export_timeout_s

    async def import_items(self, request: web.Request) -> web.Response:
        """Serve `POST /items/import`."""
        source = _FORMATS[require_media_type(request, *_FORMATS)]
        is_upsert, stops_at_error = _parse_options(request)
        importer = Importer(self._store, source, is_upsert=is_upsert, stops_at_error=stops_at_error)
        is_complete = False
        try:
            is_complete = await importer.run(self._iterate_body(request), lambda: self._admission.is_stopping)
        except (SlowRequestError, StoreUnavailableError) as error:
            error.members = msgspec.to_builtins(importer.report)
            raise
        finally:
            self._record(request, importer, is_complete=is_complete)
        report = msgspec.to_builtins(importer.report)
        if importer.is_stopped:
            raise ImportStoppedError("The import stopped at its first invalid line, as requested", members=report)
        if not is_complete:
            raise UnavailableError("The service is stopping; the report says what is stored", members=report)
        return Reply(encode_json(importer.report), headers={"Content-Type": JSON})

    async def export_items(self, request: web.Request) -> web.StreamResponse:
        """Serve `GET /items/export`, and `HEAD` like it."""
        target = negotiate(request.query.get("format"), request.headers.get("Accept", ""))
        query = parse_query(request.query, EXPORT_PARAMETERS)
        response = web.StreamResponse(
            headers={
                "Content-Type": f"{target.media_type}; charset=utf-8",
                "Content-Disposition": f'attachment; filename="items.{target.name}"',
                "Vary": "Accept",
                REQUEST_ID_HEADER: request[REQUEST_STATE].request_id,
            }
        )
        await response.prepare(request)
        if request.method == "GET":
            await self._send(request, response, query, target)
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse, query: ItemQuery, target: Format) -> None:
        """Send the items. TimedOutError, UnavailableError. ConnectionResetError: the client reads too slowly."""
        count, is_complete, is_sending = 0, False, False
        try:
            await response.write(target.header)
            async with asyncio.timeout(self._export_timeout_s), aclosing(self._store.export(query)) as chunks:
                async for chunk in chunks:
                    is_sending = True
                    await response.write(target.encode(chunk))
                    is_sending = False
                    count += len(chunk)
                    if self._admission.is_stopping:
                        raise UnavailableError("The service is stopping")
            is_complete = True
        except TimeoutError:
            if is_sending:
                raise ConnectionResetError("The client did not read the export in time") from None
            raise TimedOutError(f"The export took longer than {self._export_timeout_s:g} s") from None
        finally:
            self._events.emit("items_exported", request, count=count, is_complete=is_complete)

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

    def _record(self, request: web.Request, importer: Importer, *, is_complete: bool) -> None:
        report = importer.report
        self._created.add(report.created)
        self._updated.add(report.updated)
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


def _parse_options(request: web.Request) -> ImportOptions:
    allowed = [f"{parameter.name}={value}" for parameter in IMPORT_PARAMETERS for value in parameter.schema["enum"]]
    errors = [
        FieldError(name, f"is not an option with this value; the options are: {', '.join(allowed)}", "parameter")
        for name, value in request.query.items()
        if f"{name}={value}" not in allowed
    ]
    errors += [
        FieldError(name, "is given more than once", "parameter")
        for name in dict.fromkeys(request.query)
        if len(request.query.getall(name)) > 1
    ]
    if errors:
        raise InvalidError(errors)
    return ImportOptions(request.query.get("upsert") == "sku", request.query.get("on_error") == "abort")
