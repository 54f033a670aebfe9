"""Measure the SQLite store, in ratios that hold on any machine: `python benchmarks/store.py --help`."""

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from time import perf_counter, process_time

import uvloop

from devops_api.items.model import ItemFields
from devops_api.items.store.protocol import ItemQuery
from devops_api.items.store.sqlite.store import SqliteStore, open_sqlite_store

CHUNK_ROWS = 1_000
WORDS = 20_000


def main() -> None:
    """Run the benchmark in a temporary folder. Its disk determines the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the databases are made (default: the temporary folder)")
    parser.add_argument(
        "--items", type=int, default=1_000_000, help="size of the large database (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="for each side of a comparison (default: %(default)s)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        uvloop.run(_run(Path(folder), options.items, options.seconds))


async def _run(folder: Path, items: int, seconds: float) -> None:
    await _compare_commits(folder / "commits.db", seconds)
    small = open_sqlite_store(folder / "small.db")
    await _import(small, 1_000)
    large = open_sqlite_store(folder / "large.db")
    await _import(large, items)
    await _compare_reads(small, large, seconds)
    await small.close()
    await large.close()


async def _compare_commits(path: Path, seconds: float) -> None:
    """Compare 256 clients that share commits with 256 clients that each wait for a commit of their own."""
    store = open_sqlite_store(path)
    turn = asyncio.Lock()

    async def create_alone() -> None:
        async with turn:
            await store.create(ItemFields("Test", 999))

    async def create_together() -> None:
        await store.create(ItemFields("Test", 999))

    rates: dict[str, list[float]] = {"alone": [], "together": []}
    for _ in range(3):
        rates["alone"].append(await _rate(create_alone, clients=256, seconds=seconds / 3))
        rates["together"].append(await _rate(create_together, clients=256, seconds=seconds / 3))
    await store.close()
    alone, together = max(rates["alone"]), max(rates["together"])
    print(f"create, a commit each        {alone:10,.0f} /s")
    print(f"create, group commit         {together:10,.0f} /s   {together / alone:.1f} times (at least 2.5)")


async def _rate(create: Callable[[], Awaitable[None]], *, clients: int, seconds: float) -> float:
    ends = perf_counter() + seconds

    async def client() -> int:
        done = 0
        while perf_counter() < ends:
            await create()
            done += 1
        return done

    started = perf_counter()
    done = sum(await asyncio.gather(*(client() for _ in range(clients))))
    return done / (perf_counter() - started)


async def _import(store: SqliteStore, count: int) -> None:
    """Import items with words and two tags, half of them with a sku. The time to generate them is not counted."""
    taken = busy = 0.0
    for first in range(0, count, CHUNK_ROWS):
        rows = _create_rows(first, min(CHUNK_ROWS, count - first))
        started, was_busy = perf_counter(), process_time()
        await store.import_chunk(rows, is_upsert=False, stop_at_rejection=False)
        taken += perf_counter() - started
        busy += process_time() - was_busy
        if first % 50_000 == 0 and sys.stderr.isatty():
            print(f"\rimporting {first:,} of {count:,}", end="\r", file=sys.stderr, flush=True)
    size = store.database_bytes() / count
    print(
        f"import of {count:9,} items   {count / taken:10,.0f} /s   (at least 15,000; aim for 30,000)   "
        f"{busy / count * 1e6:.0f} us of CPU and {size:.0f} bytes an item"
    )


def _create_rows(first: int, count: int) -> list[ItemFields]:
    chance = random.Random(first)
    rows = []
    for number in range(first, first + count):
        words = chance.choices(_VOCABULARY, cum_weights=_WEIGHTS, k=11)
        sku = f"sku-{number}" if number % 2 else None
        rows.append(
            ItemFields(
                name=" ".join(words[:3]),
                price=chance.randrange(10**6),
                sku=sku,
                description=" ".join(words[3:]),
                tags=("red", f"t{number % 97}"),
            )
        )
    return rows


async def _compare_reads(small: SqliteStore, large: SqliteStore, seconds: float) -> None:
    for name, read in (("get", _get_one), ("first page", _find_first), ("first page by price", _find_by_price)):
        times: dict[str, list[float]] = {"small": [], "large": []}
        for _ in range(3):
            times["small"] += await _time(small, read, seconds / 6)
            times["large"] += await _time(large, read, seconds / 6)
        p99 = {size: sorted(measured)[len(measured) * 99 // 100] for size, measured in times.items()}
        p50 = {size: sorted(measured)[len(measured) // 2] for size, measured in times.items()}
        print(
            f"{name:20s} p50 {p50['small'] * 1e6:6.1f} and {p50['large'] * 1e6:6.1f} us, "
            f"p99 {p99['small'] * 1e6:6.1f} and {p99['large'] * 1e6:6.1f} us   "
            f"{p99['large'] / p99['small']:.2f} times (at most 1.5)"
        )


async def _time(
    store: SqliteStore, read: Callable[[SqliteStore, str], Awaitable[object]], seconds: float
) -> list[float]:
    ids = await _sample_ids(store)
    times = []
    ends = perf_counter() + seconds
    for item_id in itertools.cycle(ids):
        started = perf_counter()
        await read(store, item_id)
        ended = perf_counter()
        times.append(ended - started)
        if ended > ends:
            return times
    return times


async def _sample_ids(store: SqliteStore) -> Sequence[str]:
    ids = []
    for tag in range(97):
        page = await store.find(ItemQuery(filters={"tag": (f"t{tag}",)}, limit=100))
        ids += [item.id for item in page.items]
    random.Random(1).shuffle(ids)
    return ids


async def _get_one(store: SqliteStore, item_id: str) -> object:
    return await store.get(item_id)


async def _find_first(store: SqliteStore, _: str) -> object:
    return await store.find(ItemQuery())


async def _find_by_price(store: SqliteStore, _: str) -> object:
    return await store.find(ItemQuery(sort="price"))


_VOCABULARY = ["".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=3 + n % 7)) for n in range(WORDS)]
_WEIGHTS = list(itertools.accumulate(1 / (n + 10) for n in range(WORDS)))

if __name__ == "__main__":
    main()
