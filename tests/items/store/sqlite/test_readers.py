"""Reads must see one state of the database, and stop when their task is cancelled."""

import asyncio
from pathlib import Path

import apsw

from devops_api.items.model import ItemFields
from devops_api.items.store.protocol import ItemQuery
from devops_api.items.store.sqlite.file import Diagnosis
from devops_api.items.store.sqlite.readers import THREADS, Readers
from devops_api.items.store.sqlite.store import open_sqlite_store

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


async def test_cancelled_read_stops_and_frees_its_thread(tmp_path: Path) -> None:
    await open_sqlite_store(tmp_path / "items.db").close()
    readers = Readers(tmp_path / "items.db", Diagnosis())

    def read_endlessly(connection: apsw.Connection) -> object:
        return connection.execute(ENDLESS).fetchall()

    reads = [asyncio.create_task(readers.run(read_endlessly)) for _ in range(2 * THREADS)]
    await asyncio.sleep(0.1)
    for read in reads:
        read.cancel()
    async with asyncio.timeout(5):
        assert await readers.run(lambda connection: connection.execute("SELECT 1").get) == 1
    await readers.close()


async def test_reads_of_one_turn_of_the_loop_share_a_snapshot_that_blocks_no_checkpoint(tmp_path: Path) -> None:
    store = open_sqlite_store(tmp_path / "items.db")
    item = (await store.create(ItemFields("Ash", 100))).item
    other = apsw.Connection(str(tmp_path / "items.db"))
    before = await store.get(item.id)
    other.execute("UPDATE items SET price = 200, version = 2")
    same_turn = await store.get(item.id)
    page = await store.find(ItemQuery(sort="price"))
    await asyncio.sleep(0)
    after = await store.get(item.id)
    busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
    await asyncio.sleep(0)
    idle, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
    other.close()
    await store.close()
    assert [item.fields.price for item in (before, same_turn, page.items[0], after)] == [100, 100, 100, 200]
    assert (busy, idle) == (1, 0), "the log can be emptied as soon as the turn has ended"
