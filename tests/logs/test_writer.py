"""The log must never slow a request, whoever reads it or does not; and it says what the catalogue says."""

import ast
import json
import logging
import os
import re
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from unittest.mock import ANY

import pytest

import devops_api
from devops_api.errors import StoreUnavailableError
from devops_api.items.events import EVENTS as ITEM_EVENTS
from devops_api.logs.events import SERVICE_EVENTS
from devops_api.logs.writer import PENDING_MAX, Logs, open_logs

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

EVENTS = {**SERVICE_EVENTS, **ITEM_EVENTS}


class Pipe:
    """A log whose reader reads when it is told to."""

    def __init__(self, log_format: str = "json", level: str = "debug") -> None:
        self.reading, self.writing = os.pipe()
        self.logs: Logs = open_logs(level, log_format, self.writing, ITEM_EVENTS)

    def read_all(self) -> bytes:
        """Close the log; everything that it had to say."""
        parts: list[bytes] = []

        def read() -> None:
            while part := os.read(self.reading, 1 << 20):
                parts.append(part)

        reader = threading.Thread(target=read)
        reader.start()
        self.logs.close(5)
        os.close(self.writing)
        reader.join()
        os.close(self.reading)
        return b"".join(parts)

    def read_lines(self) -> list[dict[str, Any]]:
        """See `read_all`."""
        return [json.loads(line) for line in self.read_all().splitlines()]


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


def test_a_line_is_one_json_object_of_the_schema(pipe: Pipe) -> None:
    pipe.logs.emit("item_created", request_id="r", trace_id=TRACE, span_id="00f067aa0ba902b7", item_id="i\n☃")
    pipe.logs.emit("item_deleted", request_id="r", item_id="j")
    created, deleted = pipe.read_lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created.pop("timestamp"))
    assert created == {
        "level": "info",
        "event": "item_created",
        "request_id": "r",
        "trace_id": TRACE,
        "span_id": "00f067aa0ba902b7",
        "item_id": "i\n☃",
    }
    assert set(deleted) == {"timestamp", "level", "event", "request_id", "item_id"}


def test_an_event_that_is_not_in_the_catalogue_is_refused(pipe: Pipe) -> None:
    with pytest.raises(KeyError):
        pipe.logs.emit("something_else")
    assert pipe.read_all() == b""


def test_a_field_that_its_event_does_not_declare_is_not_written(pipe: Pipe) -> None:
    pipe.logs.emit("item_created", item_id="i", password="s3cret")  # noqa: S106
    (line,) = pipe.read_lines()
    assert set(line) == {"timestamp", "level", "event", "item_id"}


def find_emitted() -> Iterator[tuple[str, str, set[str]]]:
    """Each place of the package that logs an event: where it is, the event and the fields that it gives."""
    for path in Path(devops_api.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "emit"):
                continue
            if call.args and isinstance(call.args[0], ast.Constant):
                yield f"{path.name}:{call.lineno}", call.args[0].value, {str(keyword.arg) for keyword in call.keywords}


def test_the_package_gives_each_event_the_fields_that_it_declares() -> None:
    emitted = list(find_emitted())
    assert {event for _, event, _ in emitted} == set(EVENTS)
    for place, event, fields in emitted:
        assert fields - {"request_id", "trace_id", "span_id", "level"} == set(EVENTS[event].fields), place


def test_errors_carry_their_traceback_unless_they_were_raised_on_purpose(pipe: Pipe) -> None:
    for error in (StoreUnavailableError("full"), KeyError("lost")):
        pipe.logs.emit("request_failed", error=error)
    on_purpose, crash = pipe.read_lines()
    assert on_purpose["error"] == {"type": "StoreUnavailableError", "message": "full"}
    assert crash["error"]["traceback"].strip().endswith("KeyError: 'lost'")
    assert (on_purpose["level"], crash["level"]) == ("error", "error")


def test_lines_below_the_level_are_left_out() -> None:
    pipe = Pipe(level="warning")
    pipe.logs.emit("item_created", item_id="i")
    pipe.logs.emit("open_to_network", host="0.0.0.0")  # noqa: S104
    assert [line["event"] for line in pipe.read_lines()] == ["open_to_network"]


def test_what_libraries_say_from_warnings_on_is_in_the_same_stream(pipe: Pipe) -> None:
    logging.getLogger("some.library").warning("careful, %s", "you")
    logging.getLogger("some.library").info("not this")
    pipe.logs._handler.handle(logging.LogRecord("some.library", logging.ERROR, "", 1, "%d", ("no number",), None))
    warning, error = pipe.read_lines()
    assert (warning["event"], warning["level"], warning["logger"]) == ("library", "warning", "some.library")
    assert warning["message"] == "careful, you"
    assert (error["level"], error["message"]) == ("error", "%d")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://me:s3cret@host:1/path failed", "GET https://***@host:1/path failed"),
        ("'postgresql://me:s3@cret@host/items' is away", "'postgresql://***@host/items' is away"),
        ("url: /v1/traces?api_key=s3cret&b=s3cret (Caused by me)", "url: /v1/traces?*** (Caused by me)"),
        ("{'authorization': 'Bearer s3cret'} was refused", "{'authorization': 'Bearer ***'} was refused"),
        ("who asked? http://host/a@b did", "who asked? http://host/a@b did"),
    ],
)
def test_no_secret_that_a_library_or_an_error_tells_is_written(pipe: Pipe, text: str, shown: str) -> None:
    logging.getLogger("some.library").warning("%s", text)
    try:
        raise OSError(text)  # noqa: TRY301 - one that has been somewhere
    except OSError as error:
        pipe.logs.emit("request_failed", error=error)
    library, failed = pipe.read_lines()
    assert library["message"] == failed["error"]["message"] == shown
    assert failed["error"]["traceback"].endswith(f"OSError: {shown}\n")


def test_what_a_library_says_after_the_end_goes_nowhere() -> None:
    """An exporter's thread outlives the log by a moment."""
    script = (
        "import logging, devops_api.logs.writer\n"
        "logs = devops_api.logs.writer.open_logs('info', 'json')\n"
        "logging.getLogger('some.library').warning('before')\n"
        "logs.close(5)\n"
        "logging.getLogger('some.library').warning('http://me:s3cret@host is away')\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(ended.stdout)["message"] == "before"
    assert ended.stderr == ""


def test_people_get_a_line_without_braces() -> None:
    pipe = Pipe("console")
    try:
        raise KeyError("lost")  # noqa: TRY301 - one that has been somewhere
    except KeyError as error:
        pipe.logs.emit("request_failed", error=error, request_id="r")
    text = pipe.read_all().decode()
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3} error   request_failed +request_id=r KeyError: 'lost'\nTraceback", text)


def test_auto_writes_json_where_nobody_sits(pipe: Pipe) -> None:
    pipe.read_all()
    pipe = Pipe("auto")
    pipe.logs.emit("item_deleted", item_id="i")
    assert pipe.read_lines()[0]["event"] == "item_deleted"


def test_a_reader_that_stops_costs_lines_that_are_counted_and_no_time(pipe: Pipe) -> None:
    """The pipe holds 64 KiB, the queue its maximum; everything beyond is dropped at once."""
    count = PENDING_MAX * 2
    longest_s = 0.0
    for number in range(count):
        started = monotonic()
        pipe.logs.emit("item_created", item_id=f"{number:0100d}")
        longest_s = max(longest_s, monotonic() - started)
    sleep(0.2)
    assert longest_s < 0.1
    assert PENDING_MAX / 2 < pipe.logs.dropped <= count - PENDING_MAX
    dropped = pipe.logs.dropped
    lines = pipe.read_lines()
    created = [line for line in lines if line["event"] == "item_created"]
    assert len(created) == count - dropped
    assert sum(line["count"] for line in lines if line["event"] == "log_dropped") == dropped


def test_threads_that_speak_at_once_lose_no_line_and_each_keeps_its_order(pipe: Pipe) -> None:
    """Lines are put into words some at a time, by whichever thread is at it."""
    count, speakers = PENDING_MAX // 8, range(4)

    def speak(speaker: int) -> None:
        for number in range(count):
            pipe.logs.emit("item_updated", item_id=str(speaker), version=number)

    threads = [threading.Thread(target=speak, args=(speaker,)) for speaker in speakers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = pipe.read_lines()
    for speaker in speakers:
        assert [line["version"] for line in lines if line["item_id"] == str(speaker)] == list(range(count))


def test_a_line_that_waits_keeps_nothing_alive_of_what_failed(pipe: Pipe) -> None:
    """An error holds its frames, and they hold bodies, rows and connections."""

    class FailedError(Exception):
        pass

    pipe.logs.sink = lambda _: None
    for _ in range(3_000):  # More than the pipe holds.
        pipe.logs.emit("item_created", item_id="i" * 100)
    error = FailedError("no")
    alive = weakref.ref(error)
    pipe.logs.emit("request_failed", error=error)
    del error
    assert alive() is None
    assert pipe.read_lines()[-1]["error"] == {"type": FailedError.__qualname__, "message": "no", "traceback": ANY}


def test_a_close_does_not_wait_for_a_reader_that_stopped(pipe: Pipe) -> None:
    for _ in range(3_000):
        pipe.logs.emit("item_created", item_id="i" * 100)
    started = monotonic()
    pipe.logs.close(0.3)
    assert monotonic() - started < 1
    pipe.read_all()


def test_a_pipe_that_does_not_block_loses_nothing() -> None:
    """Whoever shares standard output may have made it so."""
    pipe = Pipe()
    os.set_blocking(pipe.writing, False)
    for number in range(5_000):
        pipe.logs.emit("item_created", item_id=f"{number:0100d}")
    sleep(0.3)
    assert [line["item_id"] for line in pipe.read_lines()] == [f"{number:0100d}" for number in range(5_000)]


def test_a_reader_that_is_gone_ends_the_log_and_nothing_else() -> None:
    reading, writing = os.pipe()
    logs = open_logs("info", "json", writing, ITEM_EVENTS)
    os.close(reading)
    for _ in range(10):
        logs.emit("item_created", item_id="i")
    sleep(0.2)
    logs.emit("item_deleted", item_id="i")
    logs.close(1)
    os.close(writing)


def test_what_is_said_last_is_written(tmp_path: Path) -> None:
    for number in range(25):
        path = tmp_path / str(number)
        with path.open("wb", buffering=0) as file:
            logs = open_logs("info", "json", file.fileno(), ITEM_EVENTS)
            logs.emit("draining", in_flight=0)
            sleep(number / 500)
            logs.emit("stopped", is_complete=True)
            logs.close(5)
        assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["draining", "stopped"]


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_says_when_it_is_written(name: str) -> None:
    event = EVENTS[name]
    assert event.meaning.endswith(".")
    assert event.level in {"debug", "info", "warning", "error"}
