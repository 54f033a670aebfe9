"""A service that takes more than it can do does nothing for anybody: the bound and the deadlines hold."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio

from devops_api.errors import OverloadedError
from devops_api.gate import Gate


@pytest_asyncio.fixture
async def gate() -> AsyncIterator[Gate]:
    """A gate for two, with 0.1 s for each."""
    made = Gate(limit=2, timeout_s=0.1)
    sweeping = asyncio.create_task(made.sweep())
    yield made
    sweeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sweeping


def current() -> asyncio.Task[object]:
    return cast("asyncio.Task[object]", asyncio.current_task())


async def visit(gate: Gate, duration_s: float, timeout_s: float = 0.1) -> str:
    """What becomes of a request that takes so long."""
    task = current()
    gate.enter(task, timeout_s)
    try:
        await asyncio.sleep(duration_s)
    except asyncio.CancelledError:
        if not gate.take_expiry(task):
            raise
        await asyncio.sleep(0)  # The cancellation has been taken back: this does not raise.
        return "expired"
    finally:
        gate.leave(task)
    return "done"


async def test_as_many_as_allowed_are_in_and_the_next_is_shed(gate: Gate) -> None:
    inside = [asyncio.create_task(visit(gate, 0.05)) for _ in range(2)]
    await asyncio.sleep(0)
    assert gate.in_flight == 2
    with pytest.raises(OverloadedError) as caught:
        await visit(gate, 0)
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")
    assert (gate.in_flight, gate.shed_total) == (2, 1)
    assert await asyncio.gather(*inside) == ["done", "done"]
    assert await visit(gate, 0) == "done"
    assert gate.in_flight == 0


async def test_what_takes_too_long_is_ended_and_leaves_its_place(gate: Gate) -> None:
    assert await asyncio.wait_for(visit(gate, 10), 1) == "expired"
    assert gate.in_flight == 0
    assert not gate.take_expiry(current())


async def test_a_stream_without_a_limit_is_let_be(gate: Gate) -> None:
    assert await visit(gate, 0.4, float("inf")) == "done"


async def test_a_cancellation_from_elsewhere_stays_one(gate: Gate) -> None:
    task = asyncio.create_task(visit(gate, 10))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.in_flight == 0


async def test_waiting_for_the_last_one_tells_whether_it_left(gate: Gate) -> None:
    task = asyncio.create_task(visit(gate, 0.2, float("inf")))
    await asyncio.sleep(0)
    assert not await gate.wait_empty(0.05)
    assert await gate.wait_empty(1)
    assert await task == "done"
