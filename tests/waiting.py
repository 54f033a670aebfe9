"""Waiting for a condition with a deadline, instead of sleeping and hoping."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(what: str, find: Callable[[], T], timeout_s: float = 20, pause_s: float = 0.02) -> T:
    """Return the first true result of `find`. AssertionError with the last result: none came in time."""
    deadline = time.monotonic() + timeout_s
    while not (found := find()):
        assert time.monotonic() < deadline, f"no {what} within {timeout_s:g} s; the last result is {found!r}"
        time.sleep(pause_s)
    return found


async def wait_until(what: str, find: Callable[[], T], timeout_s: float = 5, pause_s: float = 0.01) -> T:
    """Return the first true result of `find`, like `wait_for`, while the event loop runs on."""
    deadline = time.monotonic() + timeout_s
    while not (found := find()):
        assert time.monotonic() < deadline, f"no {what} within {timeout_s:g} s; the last result is {found!r}"
        await asyncio.sleep(pause_s)
    return found
