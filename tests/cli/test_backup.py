"""A backup must bring back every item, and a restore must never harm a database in use."""

import asyncio
import json
import re
from pathlib import Path

from commands import LINES, PREFIX, Commands, create_rows, find_progress
from conftest import StartService


def test_a_restore_brings_back_the_items_of_the_backup(commands: Commands) -> None:
    commands.run("import", "-", text=LINES[0])
    done = commands.run("backup", "copy.db")
    assert done.returncode == 0, done.stderr
    commands.run("import", "-", text=LINES[1])
    assert commands.run("backup", "copy.db").returncode == 1
    done = commands.run("restore", "copy.db")
    assert done.returncode == 0, done.stderr
    exported = commands.run("export", "-").stdout.splitlines()
    assert [json.loads(line)["sku"] for line in exported] == ["C-1"]


async def test_a_restore_under_a_running_service_is_refused(
    commands: Commands, start_service: StartService, tmp_path: Path
) -> None:
    running = await start_service()
    environment = {f"{PREFIX}DATABASE_URL": f"sqlite:///{tmp_path}/items.db"}
    done = await asyncio.to_thread(commands.run, "backup", "copy.db", environment=environment)
    assert done.returncode == 0, done.stderr
    done = await asyncio.to_thread(commands.run, "restore", "copy.db", environment=environment)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    async with running.client.post("/items", json={"name": "Test", "price": 1}) as response:
        assert response.status == 201


def test_a_file_that_is_not_a_backup_is_refused(commands: Commands) -> None:
    commands.run("import", "-", text=LINES[0])
    (commands.folder / "notes.txt").write_text("not a database" * 100)
    done = commands.run("restore", "notes.txt")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert len(commands.run("export", "-").stdout.splitlines()) == 1


def test_a_terminal_shows_the_progress_of_a_backup(commands: Commands) -> None:
    commands.run("import", "-", text=create_rows(20_000))
    shown = commands.run_on_terminal("backup", "copy.db", environment={})
    assert re.search(find_progress(r"k? pages"), shown), shown
    assert "backup" in shown
