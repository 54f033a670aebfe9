"""Importing a stream of NDJSON or CSV of any length in constant memory.

Rows are stored chunk by chunk, the next chunk read while the last one is written. Whatever ends an import, every line
up to `stored_through_line` has been dealt with and none behind it.
"""

import asyncio
import csv
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from devops_api.errors import FieldError, InvalidError, ProblemError
from devops_api.items.bulk.records import RECORD_BYTES_MAX, Record, RecordSplitter
from devops_api.items.decoding import FIELDS, SERVER_FIELDS, decode_line, decode_row
from devops_api.items.model import ItemFields
from devops_api.items.store.protocol import ItemStore

NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
CHUNK_ROWS: Final = 1_000
ERRORS_SHOWN: Final = 100
FAULTS_SHOWN: Final = 50  # of one line, which may hold thousands
_BOM: Final = b"\xef\xbb\xbf"


class RejectedLine(NamedTuple):
    """A line that is not stored, and why."""

    line: int
    detail: str
    faults: Sequence[FieldError] = ()


class ImportReport(msgspec.Struct):
    """What an import did so far; `errors` names the first 100 lines that were refused, and why."""

    created: int = 0
    updated: int = 0
    rejected: int = 0
    stored_through_line: int = 0
    errors: list[dict[str, Any]] = []

    def reject(self, refusal: RejectedLine) -> None:
        """Count a refused line."""
        self.rejected += 1
        if len(self.errors) < ERRORS_SHOWN:
            pointed = [{"pointer": fault.where, "detail": fault.detail} for fault in refusal.faults]
            error = {"line": refusal.line, "detail": refusal.detail}
            self.errors.append(error | ({"errors": pointed} if pointed else {}))


class Importer:
    """One import; `report`, and `conflicts` for its lines that name a taken sku, are true between any two awaits.

    With `is_upsert` a row replaces the item that has its sku, and must have one. `is_stopped` says that
    `stops_at_error` was asked for and has happened.
    """

    def __init__(self, store: ItemStore, *, media_type: str, is_upsert: bool, stops_at_error: bool) -> None:
        self.report = ImportReport()
        self.conflicts = 0
        self.is_stopped = False
        self._store = store
        self._is_upsert = is_upsert
        self._stops_at_error = stops_at_error
        csv_decoder = CsvDecoder() if media_type == CSV else None
        self._read_header = csv_decoder and csv_decoder.read_header
        self._decode: Callable[[bytes], ItemFields] = csv_decoder or decode_line
        self._splitter = RecordSplitter(has_quotes=media_type == CSV)
        self._rows: list[ItemFields] = []
        self._lines: list[int] = []
        self._refusals: list[RejectedLine] = []
        self._line = 0
        self._writing: asyncio.Task[None] | None = None

    async def run(self, body: AsyncIterator[bytes], is_stopping: Callable[[], bool]) -> bool:
        """Import until the body ends, the import stops at an error, or the service stops; True where it is complete.

        InvalidError: the CSV header is unusable. StoreUnavailableError, and whatever `body` raises: `report` says what
        is stored.
        """
        try:
            async for data in body:
                await self._read(self._splitter.feed(data))
                if self.is_stopped or is_stopping():
                    return False
            await self._read(self._splitter.finish())
            await self._write()
        finally:
            await self._settle()
        return not self.is_stopped

    async def _read(self, records: Iterator[Record]) -> None:
        for record in records:
            if self._read_header is not None:
                self._read_header(record.text or b"")
                self._read_header = None
                continue
            try:
                self._rows.append(self._decode_record(record))
                self._lines.append(record.line)
            except ProblemError as error:
                refusal = RejectedLine(record.line, str(error), error.errors[:FAULTS_SHOWN])
                if self._stops_at_error:
                    await self._stop_at(refusal)
                else:
                    self._refusals.append(refusal)
            self._line = record.line
            if len(self._rows) + len(self._refusals) == CHUNK_ROWS:
                await self._write()
            if self.is_stopped:
                return

    def _decode_record(self, record: Record) -> ItemFields:
        if record.text is None:
            raise InvalidError([], f"is longer than {RECORD_BYTES_MAX} bytes")
        fields = self._decode(record.text)
        if self._is_upsert and fields.sku is None:
            raise InvalidError([], "needs a sku, by which upsert finds its item")
        return fields

    async def _stop_at(self, refusal: RejectedLine) -> None:
        """Store what came before a bad line; the store may refuse an earlier one, at which the import stops then."""
        await self._write()
        await self._settle()
        if not self.is_stopped:
            self.is_stopped = True
            self.report.reject(refusal)
            self.report.stored_through_line = refusal.line - 1

    async def _write(self) -> None:
        """Start writing the rows at hand once the chunk before them is stored."""
        await self._settle()
        if not self.is_stopped:
            chunk = self._store_chunk(self._rows, self._lines, self._refusals, self._line)
            self._writing = asyncio.create_task(chunk)
            self._rows, self._lines, self._refusals = [], [], []

    async def _settle(self) -> None:
        """Wait for the chunk being written, even where this import is cancelled: the report must be true."""
        writing = self._writing
        if writing is None:
            return
        try:
            await asyncio.shield(writing)
        finally:
            if writing.done():  # A cancelled import comes back for what was not.
                self._writing = None

    async def _store_chunk(
        self, rows: Sequence[ItemFields], lines: Sequence[int], refusals: Sequence[RejectedLine], last_line: int
    ) -> None:
        outcome = await self._store.import_chunk(
            rows, is_upsert=self._is_upsert, stop_at_rejection=self._stops_at_error
        )
        report = self.report
        report.created += outcome.created
        report.updated += outcome.updated
        report.stored_through_line = last_line
        taken = [RejectedLine(lines[row], detail) for row, detail in outcome.rejections]
        self.conflicts += len(taken)
        for refusal in sorted([*taken, *refusals]):
            report.reject(refusal)
        if taken and self._stops_at_error:
            report.stored_through_line = taken[0].line - 1
            self.is_stopped = True


class CsvDecoder:
    """Decodes records by the columns that the header names."""

    def __init__(self) -> None:
        self._columns: list[str] = []

    def read_header(self, text: bytes) -> None:
        """Take the columns' names. InvalidError where they are not those of items."""
        columns = _read_cells(text.removeprefix(_BOM))
        known = (*FIELDS, *SERVER_FIELDS)
        if not {"name", "price"} <= set(columns) <= set(known) or len(set(columns)) < len(columns):
            raise InvalidError(
                [], f"The CSV header must name name and price, and no column twice or but {', '.join(known)}"
            )
        self._columns = columns

    def __call__(self, text: bytes) -> ItemFields:
        """The fields of a row. InvalidError."""
        cells = _read_cells(text)
        if len(cells) != len(self._columns):
            raise InvalidError([], f"has {len(cells)} cells where the header names {len(self._columns)} columns")
        return decode_row(dict(zip(self._columns, cells, strict=True)))


def _read_cells(text: bytes) -> list[str]:
    try:
        return next(csv.reader([text.decode()], strict=True))
    except UnicodeDecodeError:
        raise InvalidError([], "is not UTF-8") from None
    except csv.Error as error:
        raise InvalidError([], f"is not CSV: {error}") from None
