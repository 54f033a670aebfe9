"""Format log lines: the document of a line, JSON and console text, masked credentials."""

import json
import re
import traceback
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from devops_api.errors import DevopsApiError

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_LEVEL_NAMES: Final = {value: name for name, value in LEVELS.items()}
# Credentials of a URL, its query string, and bearer tokens: libraries repeat all of them in their messages.
_SECRET: Final = re.compile(r"""(?<=://)[^\s/?#]+(?=@)|(?<=\?)[\w.~%+-]+=[^\s'")]*|(?i:(?<=bearer )[^\s'"]+)""")


class Line(NamedTuple):
    """A log line that is not formatted yet. `fields` holds only what the event declares."""

    time_s: float
    level: int
    event: str
    request_id: str | None
    trace_id: str | None
    span_id: str | None
    error: dict[str, str] | None
    fields: dict[str, Any]


def describe_line(line: Line) -> dict[str, Any]:
    """Return the line's document, in the order in which it is written."""
    document: dict[str, Any] = {
        "timestamp": _format_time(line.time_s),
        "level": _LEVEL_NAMES.get(line.level, "info"),
        "event": line.event,
    }
    ids = {"request_id": line.request_id, "trace_id": line.trace_id, "span_id": line.span_id}
    document |= {name: value for name, value in ids.items() if value is not None}
    document |= line.fields
    if line.error is not None:
        document["error"] = line.error
    return document


def describe_error(error: BaseException) -> dict[str, str]:
    """Return type and message, and the traceback unless the error is one of this package."""
    described = {"type": type(error).__qualname__, "message": mask(str(error))}
    if not isinstance(error, DevopsApiError):
        described["traceback"] = mask("".join(traceback.format_exception(error)))
    return described


def mask(text: str) -> str:
    """Replace credentials by `***`."""
    return _SECRET.sub("***", text)


def format_json(document: dict[str, Any]) -> bytes:
    """Return one line of JSON."""
    try:
        return orjson.dumps(document, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # A lone surrogate, or a number beyond 64 bits: clients send more than Unicode.
        return json.dumps(document, default=str).encode() + b"\n"


def format_console(document: dict[str, Any]) -> bytes:
    """Return a line for a terminal, followed by the traceback if there is one."""
    time_of_day = document["timestamp"][11:-1]
    error = document.get("error", {})
    fields = " ".join(
        f"{name}={value}" for name, value in document.items() if name not in {"timestamp", "level", "event", "error"}
    )
    message = f" {error['type']}: {error['message']}" if error else ""
    traceback_text: str = error.get("traceback", "")
    text = f"{time_of_day} {document['level']:<7} {document['event']:<20} {fields}{message}\n"
    return (text + traceback_text).encode("utf-8", "backslashreplace")


def _format_time(time_s: float) -> str:
    """Return RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
