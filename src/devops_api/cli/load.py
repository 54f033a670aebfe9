"""`devops-api load`: a steady, realistic mix of calls, so that dashboards have something to show."""

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
KNOWN_MAX: Final = 1_000
IN_FLIGHT_MAX: Final = 256
_WORDS: Final = ("red", "blue", "green", "oak", "steel", "small", "large", "chair", "table", "lamp", "shelf", "mug")
_TAGS: Final = ("new", "sale", "home", "office")

Action = Callable[[], Awaitable[int]]


class Load:
    """A client that reads more than it writes and makes a mistake now and then, at `rate` calls a second."""

    def __init__(self, session: aiohttp.ClientSession, rate: float) -> None:
        self._session = session
        self._rate = rate
        self._known: deque[str] = deque(maxlen=KNOWN_MAX)
        self._counts: Counter[str] = Counter()
        self._running: set[asyncio.Task[None]] = set()
        # Shares of a hundred calls.
        self._mix: dict[Action, int] = {
            self._get: 55,
            self._list: 18,
            self._search: 6,
            self._create: 14,
            self._patch: 4,
            self._delete: 1,
            self._ask_for_nothing: 1,
            self._send_nonsense: 1,
        }

    async def run(self, duration_s: float) -> None:
        """Action until `duration_s` is over, saying every few seconds how it goes."""
        self._say(f"{self._rate:g} calls/s from now on")
        started = reported = monotonic()
        calls = 0
        while (now := monotonic()) - started < duration_s:
            while calls < (now - started) * self._rate:
                calls += 1
                self._start_call()
            if now - reported >= REPORT_INTERVAL_S:
                self._report(now - reported)
                reported = now
            await asyncio.sleep(min(1 / self._rate, 0.05))
        await asyncio.gather(*self._running)
        self._report(max(monotonic() - reported, 1e-3))

    def _start_call(self) -> None:
        if len(self._running) >= IN_FLIGHT_MAX:
            self._counts["left out, too many open"] += 1
            return
        call = random.choices(list(self._mix), list(self._mix.values()))[0]  # noqa: S311 - a mix, not a secret
        task = asyncio.create_task(self._count(call if self._known else self._create))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _count(self, call: Action) -> None:
        try:
            status = await call()
        except (aiohttp.ClientError, TimeoutError):
            self._counts["no answer"] += 1
        else:
            self._counts[f"{status // 100}xx"] += 1

    def _report(self, elapsed_s: float) -> None:
        counts, self._counts = self._counts, Counter()
        shown = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        self._say(f"{counts.total() / elapsed_s:.1f} calls/s: {shown or 'none'}")

    def _say(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    async def _send(self, method: str, path: str, **options: Any) -> int:
        async with self._session.request(method, path, **options) as reply:
            await reply.read()
            return reply.status

    async def _get(self) -> int:
        return await self._send("GET", f"/items/{random.choice(self._known)}")  # noqa: S311

    async def _list(self) -> int:
        sort = random.choice(("-created_at", "price", "name"))  # noqa: S311
        return await self._send("GET", "/items", params={"limit": "20", "sort": sort})

    async def _search(self) -> int:
        return await self._send("GET", "/items", params={"q": random.choice(_WORDS), "limit": "20"})  # noqa: S311

    async def _create(self) -> int:
        async with self._session.post("/items", json=_make_item()) as reply:
            if reply.status == 201:  # noqa: PLR2004
                self._known.append((await reply.json())["id"])
            return reply.status

    async def _patch(self) -> int:
        change = {"price": random.randrange(100, 100_000) / 100}  # noqa: S311
        return await self._send("PATCH", f"/items/{random.choice(self._known)}", json=change)  # noqa: S311

    async def _delete(self) -> int:
        return await self._send("DELETE", f"/items/{self._known.popleft()}")

    async def _ask_for_nothing(self) -> int:
        return await self._send("GET", "/items/01900000-0000-7000-8000-000000000000")

    async def _send_nonsense(self) -> int:
        return await self._send("POST", "/items", json={"name": "", "price": -1})


def _make_item() -> dict[str, Any]:
    return {
        "name": " ".join(random.sample(_WORDS, 3)),
        "price": random.randrange(100, 100_000) / 100,  # noqa: S311
        "description": " ".join(random.sample(_WORDS, 6)),
        "tags": random.sample(_TAGS, 2),
    }


def run_load(options: argparse.Namespace) -> None:
    """`devops-api load`."""
    asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> None:
    async with open_session(options.url, read_token(options)) as session:
        await Load(session, options.rate).run(options.duration)
