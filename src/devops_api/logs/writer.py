"""The log: one JSON object a line on standard output, from a thread of its own, so that no reader can slow a request.

An event is what the catalogue says: one that is not in it cannot be emitted, and a field that it does not declare is
not written. What does not fit into the bounded queue is dropped and counted.
"""

import json
import logging
import os
import re
import select
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event as Signal
from threading import Lock, Thread
from time import time
from typing import Any, Final, NamedTuple

import orjson

from devops_api.items.model import format_time

PENDING_MAX: Final = 10_000
# What arrives within it is written at once: each waking of the writer takes the interpreter from the requests.
GATHER_S: Final = 0.25
HURRY_AT: Final = PENDING_MAX // 2
LINES_AT_ONCE: Final = 1_000
WORDED_AT_ONCE: Final = 16
STANDARD_OUTPUT: Final = 1
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_NAMES: Final = {value: name for name, value in _LEVELS.items()}
# What comes before a URL's host, what a URL asks with, and a token of a header: libraries put all of them into what
# they complain of.
_SECRET: Final = re.compile(r"""(?<=://)[^\s/?#]+(?=@)|(?<=\?)[\w.~%+-]+=[^\s'")]*|(?i:(?<=bearer )[^\s'"]+)""")


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of line: its level, its fields and a sentence that says when it is written."""

    level: str
    fields: tuple[str, ...]
    meaning: str


EVENTS: Final[Mapping[str, Event]] = {
    "started": Event("info", ("version", "host", "ports"), "The service listens."),
    "open_to_network": Event(
        "warning",
        ("host",),
        "The service listens beyond loopback and has no tokens: whoever reaches it may read and write.",
    ),
    "draining": Event("info", ("in_flight",), "The service was told to stop and takes its leave."),
    "stopped": Event("info", ("is_complete",), "The service has ended; whether every request was answered before."),
    "item_created": Event("info", ("item_id",), "An item was created."),
    "item_updated": Event("info", ("item_id", "version"), "An item was replaced or patched."),
    "item_deleted": Event("info", ("item_id",), "An item was deleted."),
    "items_batch_created": Event("info", ("count",), "A batch was created."),
    "items_imported": Event(
        "info",
        ("created", "updated", "rejected", "stored_through_line", "is_complete"),
        "An import ended, well or not.",
    ),
    "items_exported": Event("info", ("count", "is_complete"), "An export ended, well or not."),
    "request": Event(
        "info", ("method", "route", "status", "duration_ms"), "A request was slow or sampled, or all are logged."
    ),
    "request_failed": Event("error", ("error",), "A request was answered with a 5xx."),
    "library": Event("warning", ("logger", "message", "error"), "A library had something to say."),
    "metrics_stale": Event("error", ("error",), "What a metric shows of the service's state could not be asked for."),
    "log_dropped": Event("warning", ("count",), "Lines were lost because standard output was not read in time."),
}


class Line(NamedTuple):
    """A line on its way to the writer."""

    time_s: float
    level: int
    event: str
    request_id: str | None
    trace_id: str | None
    span_id: str | None
    error: dict[str, str] | None
    fields: dict[str, Any]


Described = tuple[Line, dict[str, Any]]
Sink = Callable[[Sequence[Described]], None]  # Must not raise.


class Logs:
    """The way to standard output. `emit` may be called from any thread and never waits."""

    def __init__(self, level: str, *, is_console: bool, fd: int) -> None:
        self.dropped = 0
        self.sink: Sink | None = None
        self._least = _LEVELS[level]
        self._levels = {name: _LEVELS[event.level] for name, event in EVENTS.items()}
        self._format = _format_console if is_console else _format_json
        self._fd = fd
        self._said: deque[Line] = deque()
        self._pending: deque[tuple[bytes, Described | None]] = deque()
        self._wording = Lock()
        self._wake = Signal()
        self._hurry = Signal()
        self._is_closing = False
        self._reported = 0
        self._bridge = _Bridge(self)
        logging.getLogger().addHandler(self._bridge)
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
        """Write an event of the catalogue. KeyError where it is none."""
        severity = self._levels[event] if level is None else level
        if severity < self._least:
            return
        if len(self._said) + len(self._pending) >= PENDING_MAX:
            self.dropped += 1
            return
        try:
            described = None if error is None else _describe_error(error)  # At once, for an error holds its frames.
        except Exception:  # noqa: BLE001 - an error may fail to say what it is
            self.dropped += 1
            return
        self._said.append(Line(time(), severity, event, request_id, trace_id, span_id, described, fields))
        # Put into words by whoever speaks: the writer would take the interpreter as long, but in one piece that
        # requests wait for. Some at a time, for one alone finds none of its code in the processor's caches.
        if len(self._said) >= WORDED_AT_ONCE:
            self._put_into_words(waits=False)
        if not self._wake.is_set():
            self._wake.set()
        if len(self._pending) > HURRY_AT:
            self._hurry.set()

    def close(self, timeout_s: float) -> None:
        """Write what is pending, for at most `timeout_s`."""
        root = logging.getLogger()
        root.removeHandler(self._bridge)
        if not root.handlers:  # What a library says from now on would go to standard error, secrets and all.
            root.addHandler(logging.NullHandler())
        self._is_closing = True
        self._wake.set()
        self._hurry.set()
        self._thread.join(timeout_s)

    def _put_into_words(self, *, waits: bool) -> None:
        """Bring what was said into the form that is written; `waits` where another thread is about it."""
        if not self._wording.acquire(blocking=waits):
            return
        try:
            while self._said:
                self._word(self._said.popleft())
        finally:
            self._wording.release()

    def _word(self, line: Line) -> None:
        try:
            document = _describe(line)
            text = self._format(document)
        except Exception:  # noqa: BLE001 - fields are anything, and so is what goes wrong with them
            self.dropped += 1
            return
        self._pending.append((text, None if self.sink is None else (line, document)))

    def _write_all(self) -> None:
        while not self._is_closing:
            self._wake.wait()
            self._wake.clear()
            self._write_pending()
            self._hurry.wait(GATHER_S)
            self._hurry.clear()
        self._write_pending()  # What came between the last look and the closing, such as the count of what was lost.

    def _write_pending(self) -> None:
        while self._said or self._pending:
            self._put_into_words(waits=True)
            lines = [self._pending.popleft() for _ in range(min(len(self._pending), LINES_AT_ONCE))]
            self._write(b"".join([text for text, _ in lines]))
            if self.sink is not None:
                self.sink([described for _, described in lines if described is not None])
        if self.dropped > self._reported:
            lost, self._reported = self.dropped - self._reported, self.dropped
            self.emit("log_dropped", count=lost)

    def _write(self, text: bytes) -> None:
        with suppress(OSError):  # A closed standard output ends the log, not the service.
            while text:
                try:
                    text = text[os.write(self._fd, text) :]
                except BlockingIOError:  # Whoever shares the descriptor has made it so.
                    select.select([], [self._fd], [])


def open_logs(level: str, log_format: str, fd: int = STANDARD_OUTPUT) -> Logs:
    """Start the log; `auto` writes for people where `fd` is a terminal, and JSON elsewhere."""
    is_console = log_format == "console" or (log_format == "auto" and os.isatty(fd))
    return Logs(level, is_console=is_console, fd=fd)


def _describe(line: Line) -> dict[str, Any]:
    document: dict[str, Any] = {
        "timestamp": format_time(int(line.time_s * 1e3)),
        "level": _NAMES.get(line.level, "info"),
        "event": line.event,
    }
    ids = {"request_id": line.request_id, "trace_id": line.trace_id, "span_id": line.span_id}
    document |= {name: value for name, value in ids.items() if value is not None}
    declared = EVENTS[line.event].fields
    document |= {name: value for name, value in line.fields.items() if name in declared}
    if line.error is not None:
        document["error"] = line.error
    return document


def _describe_error(error: BaseException) -> dict[str, str]:
    """The type and what it says, and the way there where it is no error that this package raises on purpose."""
    described = {"type": type(error).__qualname__, "message": _mask(str(error))}
    if not type(error).__module__.startswith("devops_api."):
        described["traceback"] = _mask("".join(traceback.format_exception(error)))
    return described


def _mask(text: str) -> str:
    """The text without what opens doors."""
    return _SECRET.sub("***", text)


def _format_json(document: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(document, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # Half a surrogate pair, or a number beyond 64 bits: what clients send is not always Unicode.
        return json.dumps(document, default=str).encode() + b"\n"


def _format_console(document: dict[str, Any]) -> bytes:
    time_of_day = document["timestamp"][11:-1]
    error = document.get("error", {})
    fields = " ".join(
        f"{name}={value}" for name, value in document.items() if name not in {"timestamp", "level", "event", "error"}
    )
    said = f" {error['type']}: {error['message']}" if error else ""
    traceback_text: str = error.get("traceback", "")
    text = f"{time_of_day} {document['level']:<7} {document['event']:<20} {fields}{said}\n"
    return (text + traceback_text).encode("utf-8", "backslashreplace")


class _Bridge(logging.Handler):
    """Brings what libraries log into the same stream, from warnings on."""

    def __init__(self, logs: Logs) -> None:
        super().__init__(logging.WARNING)
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        """Write it as the event `library`."""
        error = record.exc_info[1] if record.exc_info else None
        level = _LEVELS["error"] if record.levelno >= logging.ERROR else _LEVELS["warning"]
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        self._logs.emit("library", level=level, error=error, logger=record.name, message=_mask(message))
