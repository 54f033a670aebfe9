"""An acknowledged write must survive, even if the process is killed immediately afterwards."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import msgspec

from devops_api.errors import NotFoundError
from devops_api.items.encoding import load_item
from devops_api.items.model import Item
from devops_api.items.store.protocol import ItemQuery
from devops_api.items.store.sqlite.store import open_sqlite_store

KILLS = 20
LOAD = """
import asyncio, itertools, os, random, sys
from pathlib import Path
import msgspec
from devops_api.items.model import ItemFields
from devops_api.items.store.protocol import IdempotencyKey
from devops_api.items.store.sqlite.store import open_sqlite_store

def acknowledge(kind, value):
    os.write(1, kind + b" " + msgspec.json.encode(value) + b"\\n")

async def client(store, name):
    mine = []
    for turn in itertools.count():
        kind = random.random()
        words = "words " * random.randrange(40)
        fields = ItemFields(f"{name} {turn}", turn, sku=f"{name}/{turn}", description=words, tags=("t",))
        if kind < 0.5 or not mine:
            item = (await store.create(fields)).item
        elif kind < 0.6:
            item = (await store.create(fields, IdempotencyKey(f"{name} {turn}", b"d"))).item
            acknowledge(b"key", [f"{name} {turn}", item])
        elif kind < 0.7:
            pair = [ItemFields(f"{half} {name} {turn}", 1) for half in ("left", "right")]
            for item in await store.create_batch(pair):
                acknowledge(b"item", item)
            continue
        elif kind < 0.9:
            mine.remove(item := random.choice(mine))
            acknowledge(b"touch", item.id)
            item = await store.update(item.id, lambda _: fields)
        else:
            mine.remove(item := random.choice(mine))
            acknowledge(b"touch", item.id)
            await store.delete(item.id)
            acknowledge(b"gone", item.id)
            continue
        mine.append(item)
        acknowledge(b"item", item)

async def main():
    store = open_sqlite_store(Path(sys.argv[1]))
    os.write(1, b"ready\\n")
    await asyncio.gather(*(client(store, f"{sys.argv[2]}-{number}") for number in range(32)))

asyncio.run(main())
"""


def kill_under_load(path: Path, life: int, output: Path) -> list[bytes]:
    """Let 32 clients change items, kill their process, and return the complete lines that they wrote."""
    with output.open("wb") as lines:
        process = subprocess.Popen([sys.executable, "-c", LOAD, str(path), str(life)], stdout=lines)
        try:
            while not output.read_bytes().startswith(b"ready\n"):
                assert process.poll() is None, "the load ended by itself"
                os.sched_yield()
            signal.sigtimedwait([], random.uniform(0.05, 0.4))  # noqa: S311
        finally:
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    return output.read_bytes().split(b"\n")[1:-1]


class Witness:
    """What was acknowledged to the clients of every process, in order."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.gone: set[str] = set()
        self.uncertain: set[str] = set()
        self.keys: dict[str, Item] = {}

    def hear(self, line: bytes) -> None:
        """Record one line of the load."""
        kind, _, text = line.partition(b" ")
        if kind == b"item":
            item = msgspec.json.decode(text, type=Item)
            self.items[item.id] = item
            self.uncertain.discard(item.id)
        elif kind == b"key":
            key, item = msgspec.json.decode(text, type=tuple[str, Item])
            self.keys[key] = item
        elif kind == b"touch":
            self.uncertain.add(msgspec.json.decode(text, type=str))
        else:
            item_id = msgspec.json.decode(text, type=str)
            self.gone.add(item_id)
            self.items.pop(item_id, None)
            self.uncertain.discard(item_id)


async def check_items(path: Path, witness: Witness) -> None:
    """Check that acknowledged items are stored, deleted ones are not, and unacknowledged changes are old or new."""
    store = open_sqlite_store(path)
    stored = {item.id: item async for chunk in store.export(ItemQuery()) for item in chunk}
    for item_id, item in witness.items.items():
        if item_id not in witness.uncertain:
            assert stored[item_id] == item
        elif item_id in stored and stored[item_id] != item:
            assert stored[item_id].version == item.version + 1
    assert not witness.gone & stored.keys()
    for item_id in witness.uncertain:
        try:
            witness.items[item_id] = await store.get(item_id)
        except NotFoundError:
            witness.items.pop(item_id, None)
    witness.uncertain.clear()
    assert await store.count() == len(stored)
    await store.close()


def check_file(path: Path, keys: dict[str, Item]) -> None:
    """Check the integrity of the file, that its tables agree, and that batches are complete."""
    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    connection.execute("INSERT INTO item_words (item_words, rank) VALUES ('integrity-check', 1)")
    assert (
        connection.execute("SELECT count(*) FROM items").get == connection.execute("SELECT item_count FROM state").get
    )
    halves: Any = connection.execute("SELECT name FROM items WHERE name GLOB '[lr][ei]*'").fetchall()
    pairs = {
        half: {name.removeprefix(half) for (name,) in halves if name.startswith(half)} for half in ("left", "right")
    }
    assert pairs["left"] == pairs["right"] != set()
    tags = set(connection.execute("SELECT tag, sequence FROM item_tags").fetchall())
    assert tags == {(row[1], row[0]) for row in connection.execute("SELECT sequence, tags FROM items WHERE tags != ''")}
    rows: Any = connection.execute("SELECT key, item FROM idempotency_keys").fetchall()
    kept = dict(rows)
    for key, item in keys.items():
        assert load_item(kept[key]) == item
    connection.close()


def test_twenty_kills_lose_no_acknowledged_write_and_show_no_partial_one(tmp_path: Path) -> None:
    path = tmp_path / "items.db"
    witness = Witness()
    for life in range(KILLS):
        for line in kill_under_load(path, life, tmp_path / "acknowledged"):
            witness.hear(line)
        asyncio.run(check_items(path, witness))
        check_file(path, witness.keys)
    assert len(witness.items) > 20 * KILLS
    assert witness.gone
