"""`devops-api load`: a steady, realistic mix of requests, so that dashboards have something to show."""

import argparse
import asyncio
import random
import sys
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final

import aiohttp

from devops_api.cli.bulk import open_session, read_token

REPORT_INTERVAL_S: Final = 5.0
IDS_MAX: Final = 1_000
IN_FLIGHT_MAX: Final = 256
_WORDS: Final = ("red", "blue", "green", "oak", "steel", "small", "large", "chair", "table", "lamp", "shelf", "mug")
_TAGS: Final = ("new", "sale", "home", "office")

Send = Callable[[], Awaitable[int]]  # sends one request and returns the status of its response


class Load:
    """A client that sends `rate` requests a second. It mostly reads, and one request in fifty fails with a 4xx."""

    def __init__(self, session: aiohttp.ClientSession, rate: float) -> None:
        self._session = session
        self._rate = rate
        self._ids: deque[str] = deque(maxlen=IDS_MAX)
        self._counts: Counter[str] = Counter()
        self._running: set[asyncio.Task[None]] = set()
        self._percentages: dict[Send, int] = {
            self._get: 55,
            self._list: 18,
            self._search: 6,
            self._create: 14,
            self._patch: 4,
            self._delete: 1,
            self._get_missing: 1,
            self._create_invalid: 1,
        }

    async def run(self, duration_s: float) -> None:
        """Send requests for `duration_s`, and print the counts of responses every few seconds."""
        _print(f"sending {self._rate:g} requests/s")
        started = reported = monotonic()
        sent = 0
        while (now := monotonic()) - started < duration_s:
            while sent < (now - started) * self._rate:
                sent += 1
                self._start_request()
            if now - reported >= REPORT_INTERVAL_S:
                self._report(now - reported)
                reported = now
            await asyncio.sleep(min(1 / self._rate, 0.05))
        await asyncio.gather(*self._running)
        self._report(max(monotonic() - reported, 1e-3))

    def _start_request(self) -> None:
        if len(self._running) >= IN_FLIGHT_MAX:
            self._counts["skipped, too many in flight"] += 1
            return
        send = random.choices(list(self._percentages), list(self._percentages.values()))[0]  # noqa: S311 - no secret
        task = asyncio.create_task(self._count(send if self._ids else self._create))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _count(self, send: Send) -> None:
        try:
            status = await send()
        except (aiohttp.ClientError, TimeoutError):
            self._counts["no response"] += 1
        else:
            self._counts[f"{status // 100}xx"] += 1

    def _report(self, elapsed_s: float) -> None:
        counts, self._counts = self._counts, Counter()
        shown = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        _print(f"{counts.total() / elapsed_s:.1f} requests/s: {shown or 'none'}")

    async def _send(self, method: str, path: str, **options: Any) -> int:
        async with self._session.request(method, path, **options) as response:
            await response.read()
            return response.status

    async def _get(self) -> int:
        return await self._send("GET", f"/items/{random.choice(self._ids)}")  # noqa: S311

    async def _list(self) -> int:
        sort = random.choice(("-created_at", "price", "name"))  # noqa: S311
        return await self._send("GET", "/items", params={"limit": "20", "sort": sort})

    async def _search(self) -> int:
        return await self._send("GET", "/items", params={"q": random.choice(_WORDS), "limit": "20"})  # noqa: S311

    async def _create(self) -> int:
        async with self._session.post("/items", json=_make_item()) as response:
            if response.status == 201:  # noqa: PLR2004
                self._ids.append((await response.json())["id"])
            return response.status

    async def _patch(self) -> int:
        change = {"price": random.randrange(100, 100_000) / 100}  # noqa: S311
        return await self._send("PATCH", f"/items/{random.choice(self._ids)}", json=change)  # noqa: S311

    async def _delete(self) -> int:
        return await self._send("DELETE", f"/items/{self._ids.popleft()}")

    async def _get_missing(self) -> int:
        return await self._send("GET", "/items/01900000-0000-7000-8000-000000000000")

    async def _create_invalid(self) -> int:
        return await self._send("POST", "/items", json={"name": "", "price": -1})


def _make_item() -> dict[str, Any]:
    return {
        "name": " ".join(random.sample(_WORDS, 3)),
        "price": random.randrange(100, 100_000) / 100,  # noqa: S311
        "description": " ".join(random.sample(_WORDS, 6)),
        "tags": random.sample(_TAGS, 2),
    }


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run_load(options: argparse.Namespace) -> None:
    """Send requests to a service until the duration is over or the command is interrupted."""
    asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> None:
    async with open_session(options.url, read_token(options)) as session:
        await Load(session, options.rate).run(options.duration)
