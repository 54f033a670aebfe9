"""The log: one line an event on standard output, written by a thread, so that a slow reader cannot slow a request.

Lines that do not fit into the bounded queue are dropped and counted.
"""

import logging
import os
import select
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Event as Signal
from threading import Lock, Thread
from time import time
from typing import Any, Final

from devops_api.logs.events import SERVICE_EVENTS, Event
from devops_api.logs.formats import LEVELS, Line, describe_error, describe_line, format_console, format_json, mask

PENDING_MAX: Final = 10_000
# Lines of this time are written together: each wake-up of the writer takes the interpreter from the requests.
GATHER_S: Final = 0.25
FLUSH_AT: Final = PENDING_MAX // 2
LINES_PER_WRITE: Final = 1_000
FORMAT_BATCH: Final = 16
STANDARD_OUTPUT: Final = 1

FormattedLine = tuple[Line, dict[str, Any]]
Sink = Callable[[Sequence[FormattedLine]], None]  # Must not raise.


class Logs:
    """Writes log lines to standard output. `emit` may be called from any thread and never waits.

    `sink`, if set, gets every line that is written, in the writer's thread. `dropped` counts lost lines.
    """

    def __init__(self, level: str, *, is_console: bool, fd: int, events: Mapping[str, Event]) -> None:
        self.dropped = 0
        self.sink: Sink | None = None
        self._threshold = LEVELS[level]
        self._levels = {name: LEVELS[event.level] for name, event in events.items()}
        self._fields = {name: frozenset(event.fields) for name, event in events.items()}
        self._format = format_console if is_console else format_json
        self._fd = fd
        self._queued: deque[Line] = deque()
        self._formatted: deque[tuple[bytes, FormattedLine | None]] = deque()
        self._format_lock = Lock()
        self._wake = Signal()
        self._flush_now = Signal()
        self._is_closing = False
        self._reported = 0
        self._handler = _LibraryHandler(self)
        logging.getLogger().addHandler(self._handler)
        self._thread = Thread(target=self._write_all, name="log-writer", daemon=True)
        self._thread.start()

    def emit(
        self,
        event: str,
        *,
        request_id: str | None = None,
        trace_id: str | None = None,
        span_id: str | None = None,
        error: BaseException | None = None,
        level: int | None = None,
        **fields: Any,
    ) -> None:
        """Log a catalogued event with the fields that it declares. KeyError: the catalogue does not have it."""
        severity = self._levels[event] if level is None else level
        if severity < self._threshold:
            return
        if len(self._queued) + len(self._formatted) >= PENDING_MAX:
            self.dropped += 1
            return
        try:
            described = None if error is None else describe_error(error)  # Now: an error keeps its frames alive.
        except Exception:  # noqa: BLE001 - `str(error)` may raise anything
            self.dropped += 1
            return
        declared = self._fields[event]
        kept = {name: value for name, value in fields.items() if name in declared}
        self._queued.append(Line(time(), severity, event, request_id, trace_id, span_id, described, kept))
        # Formatted on the emitting thread, in batches: the writer's thread would hold the interpreter as long, but in
        # one piece that requests wait for. A line of a batch costs 6 us (timed in place).
        if len(self._queued) >= FORMAT_BATCH:
            self._format_queued(blocking=False)
        if not self._wake.is_set():
            self._wake.set()
        if len(self._formatted) > FLUSH_AT:
            self._flush_now.set()

    def close(self, timeout_s: float) -> None:
        """Write what is pending, for at most `timeout_s`."""
        root = logging.getLogger()
        root.removeHandler(self._handler)
        if not root.handlers:  # Libraries would log to standard error from now on, unmasked.
            root.addHandler(logging.NullHandler())
        self._is_closing = True
        self._wake.set()
        self._flush_now.set()
        self._thread.join(timeout_s)

    def _format_queued(self, *, blocking: bool) -> None:
        """Format what is queued; with `blocking` wait for another thread that is doing so."""
        if not self._format_lock.acquire(blocking=blocking):
            return
        try:
            while self._queued:
                self._format_line(self._queued.popleft())
        finally:
            self._format_lock.release()

    def _format_line(self, line: Line) -> None:
        try:
            document = describe_line(line)
            text = self._format(document)
        except Exception:  # noqa: BLE001 - formatting a field may raise anything
            self.dropped += 1
            return
        self._formatted.append((text, None if self.sink is None else (line, document)))

    def _write_all(self) -> None:
        while not self._is_closing:
            self._wake.wait()
            self._wake.clear()
            self._write_pending()
            self._flush_now.wait(GATHER_S)
            self._flush_now.clear()
        self._write_pending()  # Lines that arrived while the last ones were written.

    def _write_pending(self) -> None:
        while self._queued or self._formatted:
            self._format_queued(blocking=True)
            lines = [self._formatted.popleft() for _ in range(min(len(self._formatted), LINES_PER_WRITE))]
            self._write(b"".join([text for text, _ in lines]))
            if self.sink is not None:
                self.sink([formatted for _, formatted in lines if formatted is not None])
        if self.dropped > self._reported:
            lost, self._reported = self.dropped - self._reported, self.dropped
            self.emit("log_dropped", count=lost)

    def _write(self, text: bytes) -> None:
        with suppress(OSError):  # A closed standard output ends the log, not the service.
            while text:
                try:
                    text = text[os.write(self._fd, text) :]
                except BlockingIOError:  # Another process that shares the descriptor made it non-blocking.
                    select.select([], [self._fd], [])


def open_logs(
    level: str, log_format: str, fd: int = STANDARD_OUTPUT, events: Mapping[str, Event] | None = None
) -> Logs:
    """Start the log. `auto` is console on a terminal and JSON elsewhere; `events` are those of the domain."""
    is_console = log_format == "console" or (log_format == "auto" and os.isatty(fd))
    return Logs(level, is_console=is_console, fd=fd, events={**SERVICE_EVENTS, **(events or {})})


class _LibraryHandler(logging.Handler):
    """Bring warnings and errors of libraries into the log, as the event `library`."""

    def __init__(self, logs: Logs) -> None:
        super().__init__(logging.WARNING)
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        error = record.exc_info[1] if record.exc_info else None
        level = LEVELS["error"] if record.levelno >= logging.ERROR else LEVELS["warning"]
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        self._logs.emit("library", level=level, error=error, logger=record.name, message=mask(message))
