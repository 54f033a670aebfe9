"""Imports and exports must say exactly what they did, above all when they are interrupted or fail."""

import asyncio
import contextlib
import csv
import io
import json
import os
import re
import select
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from commands import LINES, PREFIX, Commands, create_rows, find_progress
from conftest import StartService
from processes import run_process
from waiting import wait_for, wait_until

ROWS = 40_000


def count_items(folder: Path) -> int:
    """Return the number of items in the database of a folder; 0 if there is no database yet."""
    with contextlib.suppress(sqlite3.OperationalError):
        connection = sqlite3.connect(f"file:{folder}/data/items.db?mode=ro", uri=True)
        with contextlib.closing(connection):
            return int(connection.execute("SELECT item_count FROM state").fetchone()[0])
    return 0


def wait_until_reading(commands: Commands, process: "subprocess.Popen[str]") -> None:
    """Wait until an import has opened its database and waits for more of its standard input."""
    wait_for("open database", lambda: (commands.folder / "data" / "items.db-wal").exists() or process.poll())
    time.sleep(0.3)
    assert process.poll() is None


def test_items_are_imported_into_and_exported_from_the_database(commands: Commands) -> None:
    source = commands.folder / "items.ndjson"
    source.write_text("\n".join([*LINES, '{"name": "", "price": -1}', "nonsense"]))
    done = commands.run("import", "items.ndjson")
    assert done.returncode == 1
    assert "2 created, 0 updated, 2 rejected" in done.stdout
    assert "line 3: /name" in done.stderr
    assert "line 4:" in done.stderr
    assert commands.run("export", "items.csv").returncode == 0
    rows = list(csv.DictReader(io.StringIO((commands.folder / "items.csv").read_text())))
    assert {(row["sku"], row["price"]) for row in rows} == {("C-1", "129"), ("L-1", "9.99")}
    again = commands.run("import", "items.csv", "--upsert")
    assert (again.returncode, "0 created, 2 updated, 0 rejected" in again.stdout) == (0, True)
    assert not list(commands.folder.glob("*.part"))


async def test_items_are_imported_and_exported_through_a_service(
    commands: Commands, start_service: StartService
) -> None:
    running = await start_service()
    (commands.folder / "in.ndjson").write_text("\n".join(LINES))
    done = await asyncio.to_thread(commands.run, "import", "in.ndjson", "--url", running.url)
    assert (done.returncode, "2 created" in done.stdout) == (0, True), done.stderr
    done = await asyncio.to_thread(commands.run, "export", "-", "--url", running.url)
    assert {json.loads(line)["sku"] for line in done.stdout.splitlines()} == {"C-1", "L-1"}


def test_an_import_with_abort_stops_at_the_first_invalid_line(commands: Commands) -> None:
    done = commands.run("import", "-", "--abort", text="\n".join([LINES[0], "nonsense", LINES[1]]))
    assert done.returncode == 1
    assert "1 created, 0 updated, 1 rejected; processed through line 1" in done.stdout


def test_an_interrupted_import_reports_what_is_stored_and_an_upsert_completes_it(commands: Commands) -> None:
    (commands.folder / "rows.ndjson").write_text(create_rows(ROWS))
    with commands.start("import", "rows.ndjson") as process:
        wait_for("stored item", lambda: count_items(commands.folder) or process.poll(), pause_s=0.001)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=30)
    stored = count_items(commands.folder)
    assert process.returncode == 1
    assert f"interrupted; {stored} created, 0 updated, 0 rejected; processed through line {stored}\n" in printed
    assert "Traceback" not in printed
    assert 0 < stored < ROWS
    done = commands.run("import", "rows.ndjson", "--upsert")
    assert f"{ROWS - stored} created, {stored} updated, 0 rejected; processed through line {ROWS}" in done.stdout


def test_an_import_from_a_silent_pipe_can_be_interrupted(commands: Commands) -> None:
    with commands.start("import", "-", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(LINES[0] + "\n")
        process.stdin.flush()
        wait_until_reading(commands, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 1
        assert process.stderr.read() == (
            "devops-api: interrupted; 0 created, 0 updated, 0 rejected; processed through line 0\n"
        )


async def test_an_import_that_the_service_gives_up_fails_and_says_what_is_stored(
    commands: Commands, tmp_path: Path
) -> None:
    async with run_process(tmp_path, request_timeout_s=0.5) as process:
        importing = commands.start("import", "-", "--url", process.url, stdin=subprocess.PIPE)
        assert importing.stdin is not None
        importing.stdin.write(create_rows(1_500))
        importing.stdin.flush()
        await wait_until("exit of the import", lambda: importing.poll() is not None, timeout_s=20)
        output, errors = await asyncio.to_thread(importing.communicate)
    assert (importing.returncode, output) == (1, "")
    assert re.search(r"responded 408: .*; \d+ created, .*processed through line \d+", errors)


def test_an_import_reads_a_non_blocking_pipe_to_its_end(commands: Commands) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(writing, "w", buffering=1) as pipe, commands.start("import", "-", stdin=reading) as process:
        os.close(reading)
        pipe.write(LINES[0] + "\n")
        wait_until_reading(commands, process)
        pipe.write(LINES[1] + "\n")
        pipe.close()
        printed, _ = process.communicate(timeout=10)
    assert printed == "2 created, 0 updated, 0 rejected; processed through line 2\n"


def test_an_export_of_a_missing_database_is_refused_and_creates_none(commands: Commands) -> None:
    done = commands.run("export", "items.csv")
    assert (done.returncode, "data/items.db does not exist" in done.stderr) == (1, True)
    assert not list(commands.folder.iterdir())


async def test_an_export_that_breaks_off_leaves_no_file(commands: Commands, tmp_path: Path) -> None:
    """The file is a pipe that is not read, so the export cannot end before the service is killed."""
    rows = create_rows(10_000, description="x" * 2_000)  # more than the buffers of a connection hold
    part = commands.folder / "out.ndjson.part"
    os.mkfifo(part)
    with os.fdopen(os.open(part, os.O_RDONLY | os.O_NONBLOCK), "rb") as pipe:
        async with run_process(tmp_path) as process:
            done = await asyncio.to_thread(commands.run, "import", "-", "--url", process.url, text=rows)
            assert "10000 created" in done.stdout
            exporting = asyncio.create_task(
                asyncio.to_thread(commands.run, "export", "out.ndjson", "--url", process.url)
            )
            await wait_until("exported byte", lambda: select.select([pipe], [], [], 0)[0], timeout_s=20)
        os.set_blocking(pipe.fileno(), True)
        received = await asyncio.to_thread(pipe.read)
        done = await exporting
    assert 0 < len(received) < len(rows)
    assert (done.returncode, "the connection broke" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
    assert not list(commands.folder.glob("out*"))


@pytest.mark.parametrize("is_online", [True, False])
async def test_a_terminal_shows_the_progress_of_imports_and_exports(
    commands: Commands, start_service: StartService, tmp_path: Path, *, is_online: bool
) -> None:
    (commands.folder / "rows.ndjson").write_text(create_rows(20_000))
    running = await start_service()
    target = ("--url", running.url) if is_online else ()
    environment = {f"{PREFIX}DATABASE_URL": f"sqlite:///{tmp_path}/items.db"}
    for arguments, unit in ((("import", "rows.ndjson"), r"[kM]?B"), (("export", "out.csv"), r"k? items")):
        shown = await asyncio.to_thread(commands.run_on_terminal, *arguments, *target, environment=environment)
        assert re.search(find_progress(unit), shown), shown
        assert arguments[0] in shown


def test_no_progress_is_shown_without_a_terminal(commands: Commands) -> None:
    done = commands.run("import", "-", text=LINES[0])
    assert done.stderr == ""


def test_an_unreachable_service_is_reported_without_a_traceback(commands: Commands) -> None:
    done = commands.run("export", "out.csv", "--url", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(commands.folder.iterdir())


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        (("export", "-"), "http://127.0.0.1:x"),
        (("export", "-"), "http://127.0.0.1/x"),
        (("import", "-"), "nonsense"),
        (("import", "-"), ""),
        (("load", "--duration", "1"), "ftp://a"),
    ],
)
def test_an_invalid_url_is_reported_without_a_traceback(
    commands: Commands, arguments: tuple[str, ...], url: str
) -> None:
    done = commands.run(*arguments, "--url", url, text="")
    assert (done.returncode, done.stderr) == (
        1,
        f"devops-api: --url must be a service's URL without a path, such as http://127.0.0.1:8000, not {url!r}\n",
    )
