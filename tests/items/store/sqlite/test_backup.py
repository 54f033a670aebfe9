"""A restore must bring back a complete, checked database and never lose the one that it replaces."""

import asyncio
import shutil
from pathlib import Path

import apsw
import pytest

from devops_api.errors import StoreRefusedError, StoreUnavailableError
from devops_api.items.model import ItemFields
from devops_api.items.store.protocol import ItemQuery
from devops_api.items.store.sqlite.backup import backup_database, restore_database
from devops_api.items.store.sqlite.store import open_sqlite_store


def ignore(_: int, __: int) -> None:
    """Ignore the progress."""


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def fill(path: Path, names: list[str]) -> None:
    store = open_sqlite_store(path)
    await store.create_batch([ItemFields(name, 1, description="words") for name in names])
    await store.close()


async def read_names(path: Path) -> list[str]:
    store = open_sqlite_store(path)
    page = await store.find(ItemQuery(text="words", is_descending=False, limit=200))
    await store.close()
    return [item.fields.name for item in page.items]


async def test_backup_during_writes_holds_whole_transactions_and_reports_progress(tmp_path: Path) -> None:
    store = open_sqlite_store(tmp_path / "items.db")
    await store.create_batch([ItemFields(f"n{number}", 1, description="words " * 300) for number in range(5000)])
    steps: list[tuple[int, int]] = []
    copying = asyncio.create_task(
        asyncio.to_thread(
            backup_database,
            tmp_path / "items.db",
            tmp_path / "copy.db",
            lambda done, total: steps.append((done, total)),
        )
    )
    batches = 0
    while not copying.done():
        await store.create_batch([ItemFields("pair", 1), ItemFields("pair", 2)])
        batches += 1
    await copying
    await store.close()
    assert batches > 1
    assert len(steps) > 1
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    assert list_names(tmp_path) == ["copy.db", "items.db", "items.db.lock"]
    with apsw.Connection(str(tmp_path / "copy.db")) as copy:
        pairs = copy.execute("SELECT count(*) FROM items WHERE name = 'pair'").get
        assert pairs % 2 == 0
        assert copy.execute("SELECT item_count FROM state").get == 5000 + pairs
        copy.execute("INSERT INTO item_words (item_words, rank) VALUES ('integrity-check', 1)")


async def test_backup_never_replaces_a_file(tmp_path: Path) -> None:
    await fill(tmp_path / "items.db", ["a"])
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(StoreRefusedError, match="exists already"):
        backup_database(tmp_path / "items.db", tmp_path / "copy.db", ignore)
    assert (tmp_path / "copy.db").read_text() == "precious"


async def test_restore_installs_the_backup_and_keeps_the_old_database(tmp_path: Path) -> None:
    path, copy = tmp_path / "items.db", tmp_path / "copy.db"
    await fill(path, ["old"])
    backup_database(path, copy, ignore)
    await fill(path, ["new"])
    kept = restore_database(copy, path, ignore)
    assert kept is not None
    assert await read_names(path) == ["old"]
    assert await read_names(kept) == ["old", "new"]


async def test_restore_keeps_the_log_of_a_killed_service(tmp_path: Path) -> None:
    path, copy, killed = tmp_path / "items.db", tmp_path / "copy.db", tmp_path / "killed" / "items.db"
    await fill(path, ["old"])
    backup_database(path, copy, ignore)
    store = open_sqlite_store(path)
    await store.create(ItemFields("logged", 1, description="words"))
    killed.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{killed}{suffix}")
    await store.close()
    kept = restore_database(copy, killed, ignore)
    assert kept is not None
    assert await read_names(killed) == ["old"]
    assert await read_names(kept) == ["old", "logged"]


async def test_damaged_database_can_be_restored(tmp_path: Path) -> None:
    path, copy = tmp_path / "items.db", tmp_path / "copy.db"
    await fill(path, ["old"])
    backup_database(path, copy, ignore)
    path.write_bytes(b"rubbish" * 1000)
    (tmp_path / "items.db-wal").write_bytes(b"rubbish")
    restore_database(copy, path, ignore)
    assert await read_names(path) == ["old"]


async def test_restore_is_refused_while_a_service_uses_the_database(tmp_path: Path) -> None:
    path, copy = tmp_path / "items.db", tmp_path / "copy.db"
    await fill(path, ["old"])
    backup_database(path, copy, ignore)
    store = open_sqlite_store(path)
    with pytest.raises(StoreUnavailableError, match="in use"):
        restore_database(copy, path, ignore)
    await store.create(ItemFields("still", 1, description="words"))
    await store.close()
    assert await read_names(path) == ["old", "still"]


@pytest.mark.parametrize("kind", ["foreign", "newer", "torn", "text", "absent"])
async def test_invalid_backup_is_refused_and_the_database_stays(tmp_path: Path, kind: str) -> None:
    path, copy = tmp_path / "items.db", tmp_path / "copy.db"
    await fill(path, ["kept"])
    if kind == "foreign":
        with apsw.Connection(str(copy)) as foreign:
            foreign.execute("CREATE TABLE things (x)")
        foreign.close()
    elif kind == "text":
        copy.write_text("no database at all" * 100)
    elif kind != "absent":
        await fill(copy, [f"n{number}" for number in range(2000)])
        if kind == "newer":
            connection = apsw.Connection(str(copy))
            connection.execute("PRAGMA user_version = 99")
            connection.close()
        else:
            data = copy.read_bytes()
            copy.write_bytes(data[:40_000] + b"\xff" * 40_000 + data[80_000:])
    with pytest.raises(StoreRefusedError):
        restore_database(copy, path, ignore)
    assert await read_names(path) == ["kept"]
    assert not (tmp_path / "items.db.part").exists()
