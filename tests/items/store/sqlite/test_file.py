"""Opening a database must bring any earlier one up to date, and refuse any other file without touching it."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Final

import apsw
import pytest

from devops_api.errors import StoreRefusedError, StoreUnavailableError
from devops_api.items.model import Item, ItemFields
from devops_api.items.store.protocol import IdempotencyKey, ItemQuery
from devops_api.items.store.sqlite.file import APPLICATION_ID, list_migrations, migrate, open_writer
from devops_api.items.store.sqlite.store import open_sqlite_store

OAK: Final = Item(
    id="0192f5c0-0000-7000-8000-000000000000",
    fields=ItemFields("old oak", 5, sku="O-1", description="rings", tags=("wood", "old")),
    created_at_ms=0x192F5C00000,
    updated_at_ms=0x192F5C00001,
    version=2,
)
# What each version wrote for one item that was created with an idempotency key, and updated.
ROWS: Final[dict[int, str]] = {
    1: """
INSERT INTO items VALUES
(0x192f5c00000000, '0192f5c0-0000-7000-8000-000000000000', 'old oak', 5, 'O-1', 'rings', 'wood old', 0x192f5c00001, 2);
INSERT INTO item_tags VALUES ('wood', 0x192f5c00000000), ('old', 0x192f5c00000000);
""",
    2: "INSERT INTO item_words (rowid, text) VALUES (0x192f5c00000000, 'old oak' || char(10) || 'rings')",
    3: """
INSERT INTO idempotency_keys VALUES ('me' || char(10) || 'key', x'0d',
'{"id":"0192f5c0-0000-7000-8000-000000000000","name":"young oak","price":4,"sku":"O-1","description":null,'
|| '"tags":["wood"],"created_at_ms":1730699853824,"updated_at_ms":1730699853824,"version":1}', 32503680000000)
""",
}
VERSIONS: Final = range(len(list_migrations()) + 1)


def create_database(path: Path, version: int) -> None:
    """Create the database of an earlier version, with the rows that it wrote."""
    connection = apsw.Connection(str(path))
    migrate(connection, path, list_migrations()[:version])
    for number in range(1, version + 1):
        connection.execute(ROWS.get(number, ""))
    connection.close()


def test_rows_of_every_version_are_known() -> None:
    assert len(list_migrations()) == len(ROWS), "add to ROWS what the new version writes"


@pytest.mark.parametrize("version", VERSIONS)
async def test_database_of_every_version_keeps_its_items(tmp_path: Path, version: int) -> None:
    create_database(tmp_path / "items.db", version)
    store = open_sqlite_store(tmp_path / "items.db")
    new = (await store.create(ItemFields("new oak", 1))).item
    old = [OAK] if version else []
    assert (await store.find(ItemQuery(text="oak", has_total=True))) == ([new, *old], None, len(old) + 1)
    for query in (ItemQuery(filters={"tag": ("wood", "old")}), ItemQuery(text="ring", filters={"sku": "O-1"})):
        assert (await store.find(query)).items == old
    assert await store.count() == len(old) + 1
    await store.close()
    connection = apsw.Connection(str(tmp_path / "items.db"))
    assert connection.pragma("user_version") == len(list_migrations())
    assert connection.pragma("application_id") == APPLICATION_ID
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


@pytest.mark.parametrize("version", [version for version in VERSIONS if version >= 3])
async def test_idempotency_key_of_every_version_replays_the_created_item(tmp_path: Path, version: int) -> None:
    create_database(tmp_path / "items.db", version)
    store = open_sqlite_store(tmp_path / "items.db")
    replayed = await store.create(ItemFields("young oak", 4), IdempotencyKey("me\nkey", b"\r"))
    await store.close()
    assert replayed.is_replay
    assert replayed.item == Item(
        id=OAK.id,
        fields=ItemFields("young oak", 4, sku="O-1", tags=("wood",)),
        created_at_ms=1730699853824,
        updated_at_ms=1730699853824,
        version=1,
    )


def test_commits_wait_for_the_disk(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "items.db")
    full = 2
    assert (connection.pragma("synchronous"), connection.pragma("journal_mode")) == (full, "wal")
    connection.close()


def test_failed_migration_changes_nothing_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "items.db"
    connection = apsw.Connection(str(path))
    with pytest.raises(StoreRefusedError, match="0002_wrong"):
        migrate(
            connection, path, [list_migrations()[0], ("0002_wrong.sql", "CREATE TABLE a (x); CREATE TABLE items (x)")]
        )
    assert connection.pragma("user_version") == 1
    assert not connection.table_exists(None, "a")
    connection.close()


def test_migrations_are_numbered_without_gaps() -> None:
    assert [name[:4] for name, _ in list_migrations()] == [f"{n + 1:04d}" for n in range(len(list_migrations()))]


async def test_services_that_start_together_migrate_a_new_file_once(tmp_path: Path) -> None:
    stores = await asyncio.gather(*(asyncio.to_thread(open_sqlite_store, tmp_path / "items.db") for _ in range(4)))
    for store in stores:
        await store.create(ItemFields("a", 1))
        await store.close()


@pytest.mark.parametrize("kind", ["newer", "foreign", "text", "torn"])
def test_unusable_file_is_refused_untouched_with_what_to_do(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "items.db"
    asyncio.run(open_sqlite_store(path).close())
    if kind == "text":
        path.write_text("Dear diary" * 1000)
    elif kind == "torn":
        data = bytearray(path.read_bytes())
        data[100:4096] = b"\xff" * 3996
        path.write_bytes(data)
    else:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99" if kind == "newer" else "PRAGMA application_id = 7")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.close()
    before = path.read_bytes()
    wanted = {"newer": "newer devops-api", "foreign": "another program", "text": "not an SQLite", "torn": "damaged"}[
        kind
    ]
    with pytest.raises(StoreRefusedError, match=wanted):
        open_sqlite_store(path)
    assert path.read_bytes() == before


def test_path_that_cannot_be_opened_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError, match="cannot be opened"):
        open_sqlite_store(tmp_path / "file" / "items.db")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StoreUnavailableError, match="cannot be opened"):
        open_sqlite_store(tmp_path / "folder.db")
