"""Changes that arrive together share a commit, and one that fails must not take the others with it."""

import asyncio
from pathlib import Path

import apsw

from devops_api.items.model import ItemFields
from devops_api.items.store.sqlite.file import Diagnosis, open_writer
from devops_api.items.store.sqlite.store import open_sqlite_store
from devops_api.items.store.sqlite.writer import SilentObserver, Writer


class Recorder:
    """An observer that keeps what it learns."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, float, float]] = []

    def batch(self, size: int, wait_s: float, commit_s: float) -> None:
        """Keep a commit."""
        self.batches.append((size, wait_s, commit_s))


async def test_concurrent_changes_share_commits_and_the_observer_learns_of_each(tmp_path: Path) -> None:
    recorder = Recorder()
    store = open_sqlite_store(tmp_path / "items.db", recorder)
    creating = asyncio.gather(*(store.create(ItemFields("n", 1)) for _ in range(200)))
    await asyncio.sleep(0)
    assert store.writer_queue_length == 200
    await creating
    assert store.writer_queue_length == 0
    await store.close()
    assert sum(size for size, _, _ in recorder.batches) == 200
    assert len(recorder.batches) < 20
    assert all(wait_s >= 0 and commit_s > 0 for _, wait_s, commit_s in recorder.batches)


async def test_change_that_raises_is_rolled_back_alone(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "items.db")
    writer = Writer(connection, SilentObserver(), Diagnosis())

    def fail(connection: apsw.Connection) -> None:
        connection.execute("UPDATE state SET item_count = 99")
        raise ValueError("failed")

    results = await asyncio.gather(
        writer.submit_item(ItemFields("a", 1)),
        writer.submit(fail),
        writer.submit_item(ItemFields("b", 1)),
        return_exceptions=True,
    )
    await writer.stop()
    assert isinstance(results[1], ValueError)
    assert connection.execute("SELECT item_count FROM state").get == 2
    connection.close()
