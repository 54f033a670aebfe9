"""A service that takes more than it can do does nothing for anybody: the bound and the deadlines hold."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio

from devops_api.errors import OverloadedError
from devops_api.http.admission import Admission


@pytest_asyncio.fixture
async def admission() -> AsyncIterator[Admission]:
    """A admission for two, with 0.1 s for each."""
    made = Admission(limit=2, timeout_s=0.1)
    sweeping = asyncio.create_task(made.sweep())
    yield made
    sweeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sweeping


def current() -> asyncio.Task[object]:
    return cast("asyncio.Task[object]", asyncio.current_task())


async def visit(admission: Admission, duration_s: float, timeout_s: float = 0.1) -> str:
    """What becomes of a request that takes so long."""
    task = current()
    admission.enter(task, timeout_s)
    try:
        await asyncio.sleep(duration_s)
    except asyncio.CancelledError:
        if not admission.take_expiry(task):
            raise
        await asyncio.sleep(0)  # The cancellation has been taken back: this does not raise.
        return "expired"
    finally:
        admission.leave(task)
    return "done"


async def test_as_many_as_allowed_are_in_and_the_next_is_shed(admission: Admission) -> None:
    inside = [asyncio.create_task(visit(admission, 0.05)) for _ in range(2)]
    await asyncio.sleep(0)
    assert admission.in_flight == 2
    with pytest.raises(OverloadedError) as caught:
        await visit(admission, 0)
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")
    assert (admission.in_flight, admission.shed_total) == (2, 1)
    assert await asyncio.gather(*inside) == ["done", "done"]
    assert await visit(admission, 0) == "done"
    assert admission.in_flight == 0


async def test_what_takes_too_long_is_ended_and_leaves_its_place(admission: Admission) -> None:
    assert await asyncio.wait_for(visit(admission, 10), 1) == "expired"
    assert admission.in_flight == 0
    assert not admission.take_expiry(current())


async def test_a_stream_without_a_limit_is_let_be(admission: Admission) -> None:
    assert await visit(admission, 0.4, float("inf")) == "done"


async def test_a_cancellation_from_elsewhere_stays_one(admission: Admission) -> None:
    task = asyncio.create_task(visit(admission, 10))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert admission.in_flight == 0


async def test_waiting_for_the_last_one_tells_whether_it_left(admission: Admission) -> None:
    task = asyncio.create_task(visit(admission, 0.2, float("inf")))
    await asyncio.sleep(0)
    assert not await admission.wait_empty(0.05)
    assert await admission.wait_empty(1)
    assert await task == "done"
