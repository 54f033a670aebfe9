"""Admission: a bound on the requests in flight, their deadlines, and whether the service drains.

One periodic sweep checks all deadlines: a timer for each request costs ten times what the rest of admission does.
"""

import asyncio
from time import monotonic
from typing import Final

from devops_api.errors import OverloadedError

SWEEPS_PER_TIMEOUT: Final = 10
SWEEP_MAX_S: Final = 0.25
POLL_S: Final = 0.01


class Admission:
    """Admit requests up to a limit. Belongs to one event loop.

    `is_draining`: readiness fails and connections are closed after their response. `is_stopping`: streams must end at
    their next chunk.
    """

    def __init__(self, *, limit: int, timeout_s: float) -> None:
        self.limit = limit
        self.timeout_s = timeout_s
        self.is_draining = False
        self.is_stopping = False
        self.shed_total = 0
        self._deadlines: dict[asyncio.Task[object], float] = {}
        self._expired: set[asyncio.Task[object]] = set()

    @property
    def in_flight(self) -> int:
        """Number of requests that entered and have not left."""
        return len(self._deadlines)

    def enter(self, task: asyncio.Task[object], timeout_s: float) -> None:
        """Admit a request and cancel it after `timeout_s`. OverloadedError: too many are in flight."""
        if len(self._deadlines) >= self.limit:
            self.shed_total += 1
            raise OverloadedError(f"The service has {self.limit} requests in flight and admits no more now")
        self._deadlines[task] = monotonic() + timeout_s

    def leave(self, task: asyncio.Task[object]) -> None:
        """Release the place of an admitted request; ignore any other."""
        self._deadlines.pop(task, None)

    def take_expiry(self, task: asyncio.Task[object]) -> bool:
        """Return whether admission cancelled this request; if so, undo the cancellation."""
        if task not in self._expired:
            return False
        self._expired.remove(task)
        task.uncancel()
        return True

    async def sweep(self) -> None:
        """Cancel requests whose deadline has passed, until this task is cancelled itself."""
        while True:
            await asyncio.sleep(min(self.timeout_s / SWEEPS_PER_TIMEOUT, SWEEP_MAX_S))
            now = monotonic()
            for task in [task for task, deadline in self._deadlines.items() if deadline < now]:
                self._deadlines[task] = float("inf")
                self._expired.add(task)
                task.cancel()

    async def wait_empty(self, timeout_s: float) -> bool:
        """Wait until no request is in flight; return False if that takes longer than `timeout_s`."""
        deadline = monotonic() + timeout_s
        while self._deadlines and monotonic() < deadline:  # noqa: ASYNC110 - an event would cost every request
            await asyncio.sleep(POLL_S)
        return not self._deadlines
