"""The command line is the first thing a stranger meets and the last thing an operator trusts: it runs for real here."""

import asyncio
import contextlib
import csv
import io
import json
import os
import pty
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import StartService

from devops_api.items.settings import IDENTITY, Settings
from devops_api.settings.reading import list_variables

PREFIX = IDENTITY.settings_prefix
LINES = [
    '{"name": "Oak chair", "price": 129, "sku": "C-1", "tags": ["new", "home"]}',
    '{"name": "Lamp", "price": 9.99, "sku": "L-1", "description": "two\\nlines, \\"quoted\\""}',
]


class Commands:
    """Runs `devops-api` in a process of its own, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(
        self, *words: str, text: str | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("DEVOPS_API_", "OTEL_"))}
        return subprocess.run(
            [sys.executable, "-m", "devops_api", *words],
            cwd=self.folder,
            env=clean | dict(environment or {}),
            input=text,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )

    def run_on_terminal(self, *words: str, environment: Mapping[str, str]) -> str:
        """Run one command to its good end, and give what its terminal was sent by way of standard error."""
        master, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 100))
        shown = bytearray()

        def read() -> None:
            with contextlib.suppress(OSError):  # as a terminal ends
                while part := os.read(master, 65_536):
                    shown.extend(part)

        reader = threading.Thread(target=read)
        reader.start()
        done = subprocess.run(
            [sys.executable, "-m", "devops_api", *words],
            cwd=self.folder,
            env=os.environ | dict(environment),
            stdout=subprocess.DEVNULL,
            stderr=terminal,
            timeout=60,
            check=False,
        )
        os.close(terminal)
        reader.join()
        os.close(master)
        text = shown.decode()
        assert done.returncode == 0, text
        return text


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


def test_help_names_every_command_and_first_steps(commands: Commands) -> None:
    shown = commands.run("--help").stdout
    for name in ("serve", "healthcheck", "ping", "token", "import", "export", "backup", "restore", "load"):
        assert re.search(rf"^\s+{name}\s", shown, re.MULTILINE), name
        assert commands.run(name, "--help").returncode == 0
    assert "curl" in shown


def test_help_of_serve_lists_every_setting(commands: Commands) -> None:
    shown = commands.run("serve", "--help").stdout
    assert all(variable.name in shown for variable in list_variables(Settings, PREFIX))


def test_without_a_command_the_help_is_shown_and_the_exit_code_is_2(commands: Commands) -> None:
    done = commands.run()
    assert (done.returncode, "commands:" in done.stdout) == (2, True)


def test_wrong_settings_are_all_named_and_the_exit_code_is_2(commands: Commands) -> None:
    wrong = {f"{PREFIX}PORT": "x", f"{PREFIX}LOG_LEVEL": "loud", "OTEL_TRACES_SAMPLER_ARG": "2"}
    done = commands.run("serve", environment=wrong)
    assert done.returncode == 2
    assert all(name in done.stderr for name in wrong)
    assert "Traceback" not in done.stderr
    assert not list(commands.folder.iterdir())


def test_a_port_in_use_is_named_and_the_exit_code_is_1(commands: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = commands.run("serve", environment={f"{PREFIX}PORT": port})
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


async def test_healthcheck_tells_a_well_service_from_none(commands: Commands, start_service: StartService) -> None:
    running = await start_service()
    environment = {f"{PREFIX}PORT": running.url.rpartition(":")[2]}
    done = await asyncio.to_thread(commands.run, "healthcheck", environment=environment)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "ok")
    done = commands.run("healthcheck", environment={f"{PREFIX}PORT": "1"})
    assert (done.returncode, done.stdout) == (1, "")
    assert "refused" in done.stderr


def test_the_probes_import_next_to_nothing(commands: Commands) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "devops_api", "ping", "127.0.0.1:1"]
    done = subprocess.run(words, cwd=commands.folder, capture_output=True, text=True, timeout=60, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert "devops_api.cli.probe" in imported
    assert not {"asyncio", "aiohttp", "argparse", "http.client", "json", "ssl", "opentelemetry"} & imported


def test_ping_times_a_connection_and_says_what_refused(commands: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = commands.run("ping", f"127.0.0.1:{server.getsockname()[1]}")
    assert done.returncode == 0
    assert "answered in" in done.stdout
    assert commands.run("ping", "127.0.0.1:1").returncode == 1
    assert commands.run("ping", "nowhere").returncode == 2


def test_a_token_is_shown_once_and_its_line_is_what_the_file_wants(commands: Commands) -> None:
    done = commands.run("token", "ops", "read")
    line = done.stderr.splitlines()[-1]
    assert re.fullmatch(r"ops read [0-9a-f]{64}", line)
    assert done.stdout.strip() not in done.stderr
    (commands.folder / "tokens").write_text(line)
    done = commands.run("import", "-", text=LINES[0], environment={f"{PREFIX}TOKENS_FILE": "tokens"})
    assert done.returncode == 0, done.stderr


def test_items_go_in_and_come_out_straight_on_the_database(commands: Commands) -> None:
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


def test_an_import_told_to_abort_says_what_is_stored(commands: Commands) -> None:
    done = commands.run("import", "-", "--abort", text="\n".join([LINES[0], "nonsense", LINES[1]]))
    assert done.returncode == 1
    assert "1 created, 0 updated, 1 rejected; dealt with through line 1" in done.stdout


def test_an_import_that_is_interrupted_says_what_is_stored_and_its_repeat_mends_it(commands: Commands) -> None:
    lines = "".join(f'{{"name": "row {number}", "price": 1, "sku": "s{number}"}}\n' for number in range(40_000))
    (commands.folder / "rows.ndjson").write_text(lines)
    with subprocess.Popen(
        [sys.executable, "-m", "devops_api", "import", "rows.ndjson"],
        cwd=commands.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not count_items(commands.folder):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    stored = count_items(commands.folder)
    assert process.returncode == 1
    assert f"interrupted; {stored} created, 0 updated, 0 rejected; dealt with through line {stored}\n" in said
    assert "Traceback" not in said
    assert 0 < stored < 40_000
    done = commands.run("import", "rows.ndjson", "--upsert")
    assert f"{40_000 - stored} created, {stored} updated, 0 rejected; dealt with through line 40000" in done.stdout


def test_an_import_from_a_pipe_that_is_silent_can_be_interrupted(commands: Commands) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "devops_api", "import", "-"],
        cwd=commands.folder,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(LINES[0] + "\n")
        process.stdin.flush()
        while not (commands.folder / "data" / "items.db-wal").exists():
            assert process.poll() is None
        time.sleep(0.3)  # for it to be waiting for more
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 1
        assert process.stderr.read() == (
            "devops-api: interrupted; 0 created, 0 updated, 0 rejected; dealt with through line 0\n"
        )


def test_an_import_from_a_pipe_that_does_not_wait_reads_it_to_its_end(commands: Commands) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with (
        os.fdopen(writing, "w", buffering=1) as pipe,
        subprocess.Popen(
            [sys.executable, "-m", "devops_api", "import", "-"],
            cwd=commands.folder,
            stdin=reading,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        os.close(reading)
        pipe.write(LINES[0] + "\n")
        while not (commands.folder / "data" / "items.db-wal").exists():
            assert process.poll() is None
        time.sleep(0.3)  # for it to be waiting for more
        pipe.write(LINES[1] + "\n")
        pipe.close()
        said, _ = process.communicate(timeout=10)
    assert said == "2 created, 0 updated, 0 rejected; dealt with through line 2\n"


def count_items(folder: Path) -> int:
    """How many items the database in a folder holds; 0 where there is none yet."""
    with contextlib.suppress(sqlite3.OperationalError):
        connection = sqlite3.connect(f"file:{folder}/data/items.db?mode=ro", uri=True)
        with contextlib.closing(connection):
            return int(connection.execute("SELECT item_count FROM state").fetchone()[0])
    return 0


def test_an_export_of_a_database_that_is_not_there_is_refused_and_makes_none(commands: Commands) -> None:
    done = commands.run("export", "items.csv")
    assert (done.returncode, "data/items.db does not exist" in done.stderr) == (1, True)
    assert not list(commands.folder.iterdir())


@pytest.mark.parametrize("is_online", [True, False])
async def test_a_terminal_sees_how_far_it_is_how_fast_and_how_long_it_will_take(
    commands: Commands, start_service: StartService, tmp_path: Path, *, is_online: bool
) -> None:
    lines = "".join(f'{{"name": "row {number}", "price": 1}}\n' for number in range(20_000))
    (commands.folder / "rows.ndjson").write_text(lines)
    running = await start_service()
    where = ("--url", running.url) if is_online else ()
    environment = {f"{PREFIX}DATABASE_URL": f"sqlite:///{tmp_path}/items.db"}
    for words, unit in (
        (("import", "rows.ndjson", *where), r"[kM]?B"),
        (("export", "out.csv", *where), r"k? items"),
        (("backup", f"copy-{is_online}.db"), r"k? pages"),
    ):
        shown = await asyncio.to_thread(commands.run_on_terminal, *words, environment=environment)
        counted = rf"100%\|█+\| *([\d.]+[kM]?)/\1 \[\d\d:\d\d<\d\d:\d\d, *[\d.]+{unit}/s\]"
        assert re.search(counted, shown), shown
        assert words[0] in shown


def test_what_is_no_terminal_is_not_drawn_on(commands: Commands) -> None:
    done = commands.run("import", "-", text=LINES[0])
    assert done.stderr == ""


async def test_items_go_in_and_come_out_through_a_service(commands: Commands, start_service: StartService) -> None:
    running = await start_service()
    (commands.folder / "in.ndjson").write_text("\n".join(LINES))
    done = await asyncio.to_thread(commands.run, "import", "in.ndjson", "--url", running.url)
    assert (done.returncode, "2 created" in done.stdout) == (0, True), done.stderr
    done = await asyncio.to_thread(commands.run, "export", "-", "--url", running.url)
    assert {json.loads(line)["sku"] for line in done.stdout.splitlines()} == {"C-1", "L-1"}


def test_a_service_that_is_not_there_is_named_without_a_traceback(commands: Commands) -> None:
    done = commands.run("export", "out.csv", "--url", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(commands.folder.iterdir())


@pytest.mark.parametrize(
    ("words", "url"),
    [
        (("export", "-"), "http://127.0.0.1:x"),
        (("export", "-"), "http://127.0.0.1/x"),
        (("import", "-"), "nonsense"),
        (("import", "-"), ""),
        (("load", "--duration", "1"), "ftp://a"),
    ],
)
def test_a_url_that_is_none_is_named_without_a_traceback(commands: Commands, words: tuple[str, ...], url: str) -> None:
    done = commands.run(*words, "--url", url, text="")
    assert (done.returncode, done.stderr) == (
        1,
        f"devops-api: {url} is not where a service is, such as http://127.0.0.1:8000\n",
    )


async def test_an_export_that_breaks_off_leaves_no_file_that_looks_whole(
    commands: Commands, start_service: StartService
) -> None:
    running = await start_service(export_timeout_s=0.05)
    lines = "".join(f'{{"name": "row {number}", "price": 1}}\n' for number in range(20_000))
    done = await asyncio.to_thread(commands.run, "import", "-", "--url", running.url, text=lines)
    assert "20000 created" in done.stdout
    done = await asyncio.to_thread(commands.run, "export", "out.ndjson", "--url", running.url)
    assert (done.returncode, "broke off" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
    assert not list(commands.folder.glob("out*"))


def test_a_backup_brings_back_what_was_there(commands: Commands) -> None:
    commands.run("import", "-", text=LINES[0])
    done = commands.run("backup", "copy.db")
    assert done.returncode == 0, done.stderr
    commands.run("import", "-", text=LINES[1])
    assert commands.run("backup", "copy.db").returncode == 1
    done = commands.run("restore", "copy.db")
    assert done.returncode == 0, done.stderr
    exported = commands.run("export", "-").stdout.splitlines()
    assert [json.loads(line)["sku"] for line in exported] == ["C-1"]


async def test_restoring_under_a_running_service_is_refused(
    commands: Commands, start_service: StartService, tmp_path: Path
) -> None:
    running = await start_service()
    environment = {f"{PREFIX}DATABASE_URL": f"sqlite:///{tmp_path}/items.db"}
    done = await asyncio.to_thread(commands.run, "backup", "copy.db", environment=environment)
    assert done.returncode == 0, done.stderr
    done = await asyncio.to_thread(commands.run, "restore", "copy.db", environment=environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    async with running.client.post("/items", json={"name": "Test", "price": 1}) as reply:
        assert reply.status == 201


def test_something_else_is_not_taken_for_a_backup(commands: Commands) -> None:
    commands.run("import", "-", text=LINES[0])
    (commands.folder / "notes.txt").write_text("not a database" * 100)
    done = commands.run("restore", "notes.txt")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert len(commands.run("export", "-").stdout.splitlines()) == 1


async def test_a_load_calls_and_says_how_it_goes(commands: Commands, start_service: StartService) -> None:
    running = await start_service()
    words = ("load", "--url", running.url, "--rate", "100", "--duration", "2")
    done = await asyncio.to_thread(commands.run, *words)
    assert done.returncode == 0, done.stderr
    assert re.search(r"calls/s: .*\d+ 2xx", done.stdout)
    assert "5xx" not in done.stdout
    assert "no answer" not in done.stdout
