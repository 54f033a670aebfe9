"""Cutting a stream of bytes into lines or CSV records, in constant memory."""

from collections.abc import Iterator
from typing import Final, NamedTuple

RECORD_BYTES_MAX: Final = 64 * 1024  # an item at its longest, every character escaped, is about 30 KiB


class Record(NamedTuple):
    """One record and the line it starts on, from 1; `text` is None where it is too long to be an item."""

    line: int
    text: bytes | None


class RecordSplitter:
    """Cuts at line ends, with `has_quotes` only at those outside of CSV's quotes. Blank records are left out."""

    def __init__(self, *, has_quotes: bool) -> None:
        self._has_quotes = has_quotes
        self._tail = b""
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._is_quoted = False
        self._line = self._start = 1

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that `data` completes."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        for line in lines:
            self._take(line)
            self._line += 1
            if self._is_quoted:
                self._take(b"\n")
            else:
                yield from self._end()
        if len(self._tail) > RECORD_BYTES_MAX:
            self._take(self._tail)
            self._tail = b""

    def finish(self) -> Iterator[Record]:
        """What is left when the stream has ended."""
        self._take(self._tail)
        self._tail = b""
        return self._end()

    def _take(self, part: bytes) -> None:
        self._size_bytes += len(part)
        if self._size_bytes <= RECORD_BYTES_MAX:
            self._parts.append(part)
        if self._has_quotes and part.count(b'"') % 2:
            self._is_quoted = not self._is_quoted

    def _end(self) -> Iterator[Record]:
        text = b"".join(self._parts).strip(b"\r\t ") if self._size_bytes <= RECORD_BYTES_MAX else None
        record = Record(self._start, text)
        self._parts, self._size_bytes, self._start = [], 0, self._line
        if text != b"":
            yield record
