"""Cutting a stream of bytes into lines or CSV records, in constant memory."""

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, NamedTuple

RECORD_BYTES_MAX: Final = 64 * 1024  # an item at its longest, every character escaped, is about 30 KiB
_BLANKS: Final = b"\r\t "


class _Place(Enum):
    """A place in a CSV record; CLOSED is behind a quote that ends the cell, unless another follows."""

    START = auto()
    PLAIN = auto()
    QUOTED = auto()
    CLOSED = auto()


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
        self._place = _Place.START
        self._line = self._start = 1

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that `data` completes."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        for line in lines:
            self._take(line)
            self._line += 1
            if self._place is _Place.QUOTED:
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
        if self._has_quotes and (b'"' in part or len(part) > RECORD_BYTES_MAX):
            self._place = _follow_quotes(part if self._size_bytes else part.lstrip(_BLANKS), self._place)
        self._size_bytes += len(part)
        if self._size_bytes <= RECORD_BYTES_MAX:
            self._parts.append(part)

    def _end(self) -> Iterator[Record]:
        text = b"".join(self._parts).strip(_BLANKS) if self._size_bytes <= RECORD_BYTES_MAX else None
        record = Record(self._start, text)
        self._parts, self._size_bytes, self._start = [], 0, self._line
        self._place = _Place.START
        if text != b"":
            yield record


def _follow_quotes(part: bytes, place: _Place) -> _Place:
    """Where in a cell a part ends that begins at `place`; a quote opens a cell only as its first byte (RFC 4180)."""
    at = 0
    while at < len(part):
        if place is _Place.QUOTED:
            at = part.find(b'"', at) + 1
            if not at:
                return place
            place = _Place.CLOSED
        elif place is not _Place.PLAIN and part.startswith(b'"', at):
            place, at = _Place.QUOTED, at + 1
        else:
            at = part.find(b",", at) + 1
            if not at:
                return _Place.PLAIN
            place = _Place.START
    return place
