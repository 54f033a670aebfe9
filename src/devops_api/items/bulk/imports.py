"""Importing a stream of NDJSON or CSV of any length in constant memory.

Rows are stored in chunks; the next chunk is read while the last one is written. However an import ends, every line up
to `stored_through_line` was stored or rejected, and no line after it was.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from devops_api.errors import FieldError, InvalidError, ProblemError
from devops_api.items.bulk.csv_rows import CsvDecoder
from devops_api.items.bulk.formats import CSV, Format
from devops_api.items.bulk.records import RECORD_BYTES_MAX, Record, RecordSplitter
from devops_api.items.decoding import decode_line
from devops_api.items.model import ItemFields
from devops_api.items.store.protocol import ItemStore

CHUNK_ROWS: Final = 1_000
LINES_SHOWN: Final = 100
ERRORS_SHOWN: Final = 50  # of one line, which can have thousands


class RejectedLine(NamedTuple):
    """A line that is not stored, and why."""

    line: int
    detail: str
    errors: Sequence[FieldError] = ()


class ImportReport(msgspec.Struct):
    """What an import did so far; `errors` names the first 100 rejected lines, and why."""

    created: int = 0
    updated: int = 0
    rejected: int = 0
    stored_through_line: int = 0
    errors: list[dict[str, Any]] = []

    def reject(self, rejected: RejectedLine) -> None:
        """Count a rejected line."""
        self.rejected += 1
        if len(self.errors) < LINES_SHOWN:
            pointed = [{"pointer": error.where, "detail": error.detail} for error in rejected.errors]
            entry = {"line": rejected.line, "detail": rejected.detail}
            self.errors.append(entry | ({"errors": pointed} if pointed else {}))


class Importer:
    """One import. `report`, and `conflicts` (its lines with a taken sku), are accurate at every await.

    With `is_upsert` a row replaces the item that has its sku, and must have one. `is_stopped` says that the import met
    an error with `stops_at_error`.
    """

    def __init__(self, store: ItemStore, source: Format, *, is_upsert: bool, stops_at_error: bool) -> None:
        self.report = ImportReport()
        self.conflicts = 0
        self.is_stopped = False
        self._store = store
        self._is_upsert = is_upsert
        self._stops_at_error = stops_at_error
        csv_decoder = CsvDecoder() if source is CSV else None
        self._read_header = csv_decoder and csv_decoder.read_header
        self._decode: Callable[[bytes], ItemFields] = csv_decoder or decode_line
        self._splitter = RecordSplitter(has_quotes=source is CSV)
        self._rows: list[ItemFields] = []
        self._lines: list[int] = []
        self._rejected: list[RejectedLine] = []
        self._line = 0
        self._writing: asyncio.Task[None] | None = None

    async def run(self, body: AsyncIterator[bytes], is_stopping: Callable[[], bool]) -> bool:
        """Import until the body ends, an error stops the import, or the service stops. Return whether it is complete.

        InvalidError: the CSV header is invalid. Also raises StoreUnavailableError and what `body` raises; `report` then
        says what is stored.
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
            await self._take(record)
            if len(self._rows) + len(self._rejected) == CHUNK_ROWS:
                await self._write()
            if self.is_stopped:
                return

    async def _take(self, record: Record) -> None:
        """Add a record to the chunk."""
        try:
            self._rows.append(self._decode_record(record))
            self._lines.append(record.line)
        except ProblemError as error:
            rejected = RejectedLine(record.line, str(error), error.errors[:ERRORS_SHOWN])
            if self._stops_at_error:
                await self._stop_at(rejected)
            else:
                self._rejected.append(rejected)
        self._line = record.line

    def _decode_record(self, record: Record) -> ItemFields:
        if record.text is None:
            raise InvalidError([], f"is longer than {RECORD_BYTES_MAX} bytes")
        fields = self._decode(record.text)
        if self._is_upsert and fields.sku is None:
            raise InvalidError([], "needs a sku, by which upsert finds its item")
        return fields

    async def _stop_at(self, rejected: RejectedLine) -> None:
        """Store what precedes an invalid line. If the store rejects an earlier line, the import stops at that one."""
        await self._write()
        await self._settle()
        if not self.is_stopped:
            self.is_stopped = True
            self.report.reject(rejected)
            self.report.stored_through_line = rejected.line - 1

    async def _write(self) -> None:
        """Start to write the chunk once the previous one is stored."""
        await self._settle()
        if not self.is_stopped:
            chunk = self._store_chunk(self._rows, self._lines, self._rejected, self._line)
            self._writing = asyncio.create_task(chunk)
            self._rows, self._lines, self._rejected = [], [], []

    async def _settle(self) -> None:
        """Wait for the chunk being written, even if this import is cancelled: the report must be accurate."""
        writing = self._writing
        if writing is None:
            return
        try:
            await asyncio.shield(writing)
        finally:
            if writing.done():  # Otherwise the import was cancelled, and `run` settles once more.
                self._writing = None

    async def _store_chunk(
        self, rows: Sequence[ItemFields], lines: Sequence[int], rejected: Sequence[RejectedLine], last_line: int
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
        for line in sorted([*taken, *rejected]):
            report.reject(line)
        if taken and self._stops_at_error:
            report.stored_through_line = taken[0].line - 1
            self.is_stopped = True
