"""A full, read-only, locked or damaged disk must cause clear errors and never lose an item."""

import asyncio
import contextlib
import io
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import apsw
import pytest
import pytest_asyncio
from conftest import StartService

from devops_api.errors import StoreUnavailableError
from devops_api.items.model import Item, ItemFields
from devops_api.items.store.protocol import Created, ItemQuery
from devops_api.items.store.sqlite.backup import backup_database
from devops_api.items.store.sqlite.store import SqliteStore, open_sqlite_store

DISK_MIB = 4
NOBODY = 65534


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A separate file system of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        run("mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(disk))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a file system of its own cannot be mounted here: {error}")
    yield disk
    run("umount", "-l", str(disk))


@pytest_asyncio.fixture
async def store(small_disk: Path) -> AsyncIterator[SqliteStore]:
    opened = open_sqlite_store(small_disk / "items.db")
    yield opened
    await opened.close()


def big(number: int) -> ItemFields:
    return ItemFields(f"n{number}", number, sku=f"s{number}", description="x" * 2000)


async def fill_disk(store: SqliteStore) -> list[Item]:
    """Create items until the disk is full; return the acknowledged ones."""
    created: list[Item] = []
    while True:
        try:
            created.append((await store.create(big(len(created)))).item)
        except StoreUnavailableError as error:
            if "full" in str(error):
                return created
            raise


async def wait_for_age(seconds: float) -> None:
    """Wait until the last commit is too old to prove that writing works."""
    await asyncio.sleep(seconds)


async def test_full_disk_rejects_writes_serves_reads_and_recovers(store: SqliteStore, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (DISK_MIB << 19))
    created = await fill_disk(store)
    assert len(created) > 20
    results = await asyncio.gather(*(store.create(big(50_000 + n)) for n in range(20)), return_exceptions=True)
    assert all(isinstance(result, StoreUnavailableError) for result in results)
    assert len(set(map(id, results))) == 20
    with pytest.raises(StoreUnavailableError, match="full"):
        await store.ping()
    assert await store.get(created[-1].id) == created[-1]
    assert await store.count() == len(created)
    ballast.unlink()
    await store.ping()
    after = (await store.create(big(99_999))).item
    found = [item async for chunk in store.export(ItemQuery(is_descending=False)) for item in chunk]
    assert found == [*created, after]


async def test_writes_acknowledged_before_the_disk_was_full_survive_a_restart(small_disk: Path) -> None:
    store = open_sqlite_store(small_disk / "items.db")
    created = await fill_disk(store)
    shutil.copytree(small_disk, small_disk.parent / "as-after-a-crash")
    await store.close()
    store = open_sqlite_store(small_disk.parent / "as-after-a-crash" / "items.db")
    assert [item async for chunk in store.export(ItemQuery(is_descending=False)) for item in chunk] == created
    await store.close()


async def test_backup_without_disk_space_fails_and_leaves_nothing(small_disk: Path, tmp_path: Path) -> None:
    store = open_sqlite_store(tmp_path / "items.db")
    await store.create_batch([big(number) for number in range(3000)])
    with pytest.raises(StoreUnavailableError, match="full"):
        await asyncio.to_thread(backup_database, tmp_path / "items.db", small_disk / "copy.db", lambda *_: None)
    await store.close()
    assert not list_names(small_disk)


def list_names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_read_only_disk_is_reported_at_start(small_disk: Path) -> None:
    await open_sqlite_store(small_disk / "items.db").close()
    run("mount", "-o", "remount,ro", str(small_disk))
    with pytest.raises(StoreUnavailableError, match=r"[Rr]ead-only"):
        open_sqlite_store(small_disk / "items.db")


async def test_lock_of_another_process_rejects_writes_and_serves_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devops_api.items.store.sqlite.file.BUSY_TIMEOUT_MS", 200)
    path = tmp_path / "items.db"
    store = open_sqlite_store(path)
    item = (await store.create(ItemFields("a", 1))).item
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="locked"):
        await store.create(ItemFields("b", 1))
    await wait_for_age(1.0)
    with pytest.raises(StoreUnavailableError, match="locked"):
        await store.ping()
    assert await store.get(item.id) == item
    other.execute("ROLLBACK")
    other.close()
    await store.ping()
    await store.create(ItemFields("c", 1))
    assert await store.count() == 2
    await store.close()


def test_database_locked_at_start_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devops_api.items.store.sqlite.file.BUSY_TIMEOUT_MS", 100)
    path = tmp_path / "items.db"
    asyncio.run(open_sqlite_store(path).close())
    other = apsw.Connection(str(path))
    other.pragma("journal_mode", "DELETE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailableError, match="locked"):
        open_sqlite_store(path)
    other.close()
    asyncio.run(open_sqlite_store(path).close())


async def test_damage_found_while_serving_is_reported_clearly(tmp_path: Path) -> None:
    path = tmp_path / "items.db"
    store = open_sqlite_store(path)
    items = await store.create_batch([big(number) for number in range(3000)])
    await store.close()
    damage_items(path)
    store = open_sqlite_store(path)
    refused = 0
    for item in items[::50]:
        try:
            found = await store.get(item.id)
        except StoreUnavailableError as error:
            refused += "damaged" in str(error)
        else:
            assert found == item
    assert refused > 0
    results = await asyncio.gather(
        *(store.update(item.id, lambda _: ItemFields("new", 1)) for item in items[1000:1200]),
        store.create(ItemFields("sound", 1)),
        return_exceptions=True,
    )
    assert {type(result) for result in results} == {Item, StoreUnavailableError, Created}
    with pytest.raises(StoreUnavailableError, match="damaged"):
        async for _ in store.export(ItemQuery()):
            pass
    with pytest.raises(StoreUnavailableError, match="damaged"):
        await store.ping()
    await store.close()


async def ask(client: aiohttp.ClientSession, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
    """Return the status and the document of a response; a 503 must have `Retry-After`."""
    async with client.request(method, path, **options) as reply:
        document: dict[str, Any] = await reply.json(content_type=None)
        if reply.status == 503 and "type" in document:
            assert (document["type"], reply.headers["Retry-After"]) == ("/docs#unavailable", "1")
        return reply.status, document


async def read_health(client: aiohttp.ClientSession) -> tuple[int, int, int, str]:
    """Return the statuses of readiness, health and liveness, and the detail of the store's check."""
    health, document = await ask(client, "GET", "/health")
    statuses = [(await ask(client, "GET", path))[0] for path in ("/readyz", "/livez")]
    return statuses[0], health, statuses[1], document["checks"]["store"].get("detail", "")


async def test_clients_get_503_while_the_disk_is_full(start_service: StartService, small_disk: Path) -> None:
    client = (await start_service(database_url=f"sqlite:///{small_disk}/items.db")).client
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (DISK_MIB << 19))
    assert await read_health(client) == (200, 200, 200, "")
    lines = [
        {"name": f"n{number}", "price": 1, "sku": f"s{number}", "description": "x" * 900} for number in range(9000)
    ]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    headers = {"Content-Type": "application/x-ndjson"}
    status, report = await ask(client, "POST", "/items/import", data=io.BytesIO(body), headers=headers)
    assert (status, report["detail"]) == (503, "The disk that holds the database is full")
    item = {"name": "a", "price": 1, "description": "x" * 2000}
    created = report["created"]
    while (answer := await ask(client, "POST", "/items", json=item))[0] == 201:
        created += 1
    assert (answer[0], answer[1]["detail"]) == (503, report["detail"])
    assert await read_health(client) == (503, 503, 200, report["detail"])
    _, page = await ask(client, "GET", "/items?count=exact&sort=created_at&limit=1")
    assert (page["total"], report["stored_through_line"]) == (created, report["created"])
    ballast.unlink()
    assert await read_health(client) == (200, 200, 200, "")
    assert (await ask(client, "POST", "/items", json=item))[0] == 201


async def test_clients_get_503_while_the_database_is_locked(
    start_service: StartService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devops_api.items.store.sqlite.file.BUSY_TIMEOUT_MS", 200)
    client = (await start_service()).client
    _, item = await ask(client, "POST", "/items", json={"name": "a", "price": 1})
    other = apsw.Connection(str(tmp_path / "items.db"))
    other.execute("BEGIN IMMEDIATE")
    await wait_for_age(1.0)
    status, problem = await ask(client, "PUT", f"/items/{item['id']}", json={"name": "b", "price": 1})
    assert (status, problem["detail"]) == (503, "The database is locked by another process")
    assert await read_health(client) == (503, 503, 200, problem["detail"])
    assert await ask(client, "GET", f"/items/{item['id']}") == (200, item)
    other.execute("ROLLBACK")
    other.close()
    assert await read_health(client) == (200, 200, 200, "")
    assert (await ask(client, "PUT", f"/items/{item['id']}", json={"name": "b", "price": 1}))[0] == 200


def test_unwritable_file_is_refused_with_what_to_do(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Runs as a user whose permissions are checked, unlike those of root."""
    folder = tmp_path_factory.mktemp("owned")
    path = folder / "items.db"
    asyncio.run(open_sqlite_store(path).close())
    path.chmod(0o444)
    with (
        without_privileges(folder),
        pytest.raises(StoreUnavailableError, match="is read-only; the service's user must"),
    ):
        open_sqlite_store(path)
    path.chmod(0o644)
    asyncio.run(open_sqlite_store(path).close())


@contextlib.contextmanager
def without_privileges(folder: Path) -> Iterator[None]:
    """If this is root, become a user who owns the folder and can reach it."""
    if os.geteuid() != 0:
        yield
        return
    opened = [parent for parent in folder.parents if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o010]
    for entry in (folder, *folder.iterdir()):
        os.chown(entry, NOBODY, -1)
    for parent in opened:
        parent.chmod(parent.stat().st_mode | 0o011)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        for parent in opened:
            parent.chmod(parent.stat().st_mode & ~0o011)


def damage_items(path: Path) -> None:
    """Overwrite pages in the middle of the file, which hold items."""
    with path.open("r+b") as file:
        for page in range(700, 900):
            file.seek(page * 4096)
            file.write(b"\xee" * 4096)


async def test_moved_database_file_fails_the_check(tmp_path: Path) -> None:
    path = tmp_path / "items.db"
    store = open_sqlite_store(path)
    await store.ping()
    path.rename(tmp_path / "elsewhere.db")
    with pytest.raises(StoreUnavailableError, match="moved"):
        await store.ping()
    await store.close()
