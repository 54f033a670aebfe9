"""A slow or stopped reader of the log must not slow a request, and every line that is lost must be counted."""

import json
import logging
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from pipes import Pipe
from time import monotonic, sleep
from unittest.mock import ANY

import pytest

from devops_api.items.events import EVENTS
from devops_api.logs.writer import PENDING_MAX, FormattedLine, open_logs


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


def run_script(*lines: str) -> "subprocess.CompletedProcess[str]":
    """Run Python code that opens a log on standard output as `logs`."""
    script = ("import logging", "from devops_api.logs.writer import open_logs", "logs = open_logs('info', 'json')")
    return subprocess.run(
        [sys.executable, "-c", "\n".join([*script, *lines])], capture_output=True, text=True, timeout=30, check=True
    )


def test_lines_below_the_level_are_not_written() -> None:
    pipe = Pipe(level="warning")
    pipe.logs.emit("item_created", item_id="i")
    pipe.logs.emit("open_to_network", host="0.0.0.0")  # noqa: S104
    assert [line["event"] for line in pipe.read_lines()] == ["open_to_network"]


def test_warnings_and_errors_of_libraries_are_logged(pipe: Pipe) -> None:
    logging.getLogger("some.library").warning("careful, %s", "you")
    logging.getLogger("some.library").info("not this")
    (warning,) = pipe.read_lines()
    assert (warning["event"], warning["level"], warning["logger"]) == ("library", "warning", "some.library")
    assert warning["message"] == "careful, you"


def test_a_message_of_a_library_whose_arguments_do_not_fit_is_logged_without_them() -> None:
    """In a process of its own: pytest's own log handler raises for such a message."""
    ended = run_script("logging.getLogger('some.library').error('%d', 'not a number')", "logs.close(5)")
    line = json.loads(ended.stdout)
    assert (line["event"], line["level"], line["message"]) == ("library", "error", "%d")
    assert ended.stderr == ""


def test_a_message_of_a_library_after_the_close_is_dropped_silently() -> None:
    """The thread of an exporter outlives the log by a moment."""
    ended = run_script(
        "logging.getLogger('some.library').warning('before')",
        "logs.close(5)",
        "logging.getLogger('some.library').warning('http://me:s3cret@host is away')",
    )
    assert json.loads(ended.stdout)["message"] == "before"
    assert ended.stderr == ""


def test_lines_that_a_stopped_reader_does_not_take_are_dropped_at_once_and_counted(pipe: Pipe) -> None:
    """The pipe holds 64 KiB and the queue its maximum; every further line is dropped."""
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


def test_concurrent_threads_lose_no_line_and_each_keeps_its_order(pipe: Pipe) -> None:
    """Any of the threads formats the queued lines, in batches."""
    count, numbers = PENDING_MAX // 8, range(4)

    def emit_all(thread: int) -> None:
        for number in range(count):
            pipe.logs.emit("item_updated", item_id=str(thread), version=number)

    threads = [threading.Thread(target=emit_all, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = pipe.read_lines()
    for number in numbers:
        assert [line["version"] for line in lines if line["item_id"] == str(number)] == list(range(count))


def test_a_queued_line_does_not_keep_its_error_alive(pipe: Pipe) -> None:
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


def test_closing_does_not_wait_for_a_stopped_reader(pipe: Pipe) -> None:
    for _ in range(3_000):
        pipe.logs.emit("item_created", item_id="i" * 100)
    started = monotonic()
    pipe.logs.close(0.3)
    assert monotonic() - started < 1
    pipe.read_all()


def test_a_non_blocking_pipe_loses_no_line(pipe: Pipe) -> None:
    """Another process that shares standard output can make it non-blocking."""
    os.set_blocking(pipe.writing, False)
    for number in range(5_000):
        pipe.logs.emit("item_created", item_id=f"{number:0100d}")
    sleep(0.3)
    assert [line["item_id"] for line in pipe.read_lines()] == [f"{number:0100d}" for number in range(5_000)]


def test_a_closed_reader_does_not_stop_the_log() -> None:
    """Lines still reach the sink, which exports them, and closing does not wait."""
    received: list[str] = []

    def sink(lines: Sequence[FormattedLine]) -> None:
        received.extend(line.event for line, _ in lines)

    reading, writing = os.pipe()
    logs = open_logs("info", "json", writing, EVENTS)
    logs.sink = sink
    os.close(reading)
    for _ in range(10):
        logs.emit("item_created", item_id="i")
    sleep(0.2)
    logs.emit("item_deleted", item_id="i")
    started = monotonic()
    logs.close(5)
    assert monotonic() - started < 1
    os.close(writing)
    assert received == ["item_created"] * 10 + ["item_deleted"]
    assert logs.dropped == 0


def test_the_last_lines_before_the_close_are_written(tmp_path: Path) -> None:
    for number in range(25):
        path = tmp_path / str(number)
        with path.open("wb", buffering=0) as file:
            logs = open_logs("info", "json", file.fileno(), EVENTS)
            logs.emit("draining", in_flight=0)
            sleep(number / 500)
            logs.emit("stopped", is_complete=True)
            logs.close(5)
        assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["draining", "stopped"]
