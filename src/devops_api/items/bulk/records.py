"""Splitting a stream of bytes into lines or CSV records, in constant memory."""

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final, NamedTuple

RECORD_BYTES_MAX: Final = 64 * 1024  # The longest item with every character escaped takes about 30 KiB.
_BLANKS: Final = b"\r\t "


class _State(Enum):
    """Where in a CSV record the splitter is. CLOSED is after a quote that ends the cell, unless another follows."""

    START = auto()
    PLAIN = auto()
    QUOTED = auto()
    CLOSED = auto()


class Record(NamedTuple):
    """One record and the line on which it starts, from 1; `text` is None if it is too long for an item."""

    line: int
    text: bytes | None


class RecordSplitter:
    """Splits at line ends; with `has_quotes`, only at those outside of CSV quotes. Skips blank records."""

    def __init__(self, *, has_quotes: bool) -> None:
        self._has_quotes = has_quotes
        self._tail = b""
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._state = _State.START
        self._line = self._start = 1

    def feed(self, data: bytes) -> Iterator[Record]:
        """Yield the records that `data` completes."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        for line in lines:
            self._take(line)
            self._line += 1
            if self._state is _State.QUOTED:
                self._take(b"\n")
            else:
                yield from self._end()
        if len(self._tail) > RECORD_BYTES_MAX:
            self._take(self._tail)
            self._tail = b""

    def finish(self) -> Iterator[Record]:
        """Yield the last record after the end of the stream."""
        self._take(self._tail)
        self._tail = b""
        return self._end()

    def _take(self, part: bytes) -> None:
        if self._has_quotes and (b'"' in part or len(part) > RECORD_BYTES_MAX):
            self._state = _follow_quotes(part if self._size_bytes else part.lstrip(_BLANKS), self._state)
        self._size_bytes += len(part)
        if self._size_bytes <= RECORD_BYTES_MAX:
            self._parts.append(part)

    def _end(self) -> Iterator[Record]:
        text = b"".join(self._parts).strip(_BLANKS) if self._size_bytes <= RECORD_BYTES_MAX else None
        record = Record(self._start, text)
        self._parts, self._size_bytes, self._start = [], 0, self._line
        self._state = _State.START
        if text != b"":
            yield record


def _follow_quotes(part: bytes, state: _State) -> _State:
    """Return the state after a part; a quote opens a cell only as its first byte (RFC 4180)."""
    index = 0
    while index < len(part):
        if state in _OPENS and part.startswith(b'"', index):
            state, index = _State.QUOTED, index + 1
            continue
        end, following, unfinished = _ENDS[state]
        index = part.find(end, index) + 1
        if not index:
            return unfinished
        state = following
    return state


# For each state: the byte that ends it, the state after that byte, and the state if the part does not contain it.
_OPENS: Final = (_State.START, _State.CLOSED)
_QUOTED_END: Final = (b'"', _State.CLOSED, _State.QUOTED)
_CELL_END: Final = (b",", _State.START, _State.PLAIN)
_ENDS: Final = {
    _State.START: _CELL_END,
    _State.PLAIN: _CELL_END,
    _State.QUOTED: _QUOTED_END,
    _State.CLOSED: _CELL_END,
}
