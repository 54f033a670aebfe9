"""An overloaded service must stay fast for the requests that it admits: the limit and the deadlines must hold."""

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
    """Admit two requests at once, each for 0.1 s."""
    admission = Admission(limit=2, timeout_s=0.1)
    sweeping = asyncio.create_task(admission.sweep())
    yield admission
    sweeping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sweeping


def current_task() -> asyncio.Task[object]:
    return cast("asyncio.Task[object]", asyncio.current_task())


async def run_request(admission: Admission, duration_s: float, timeout_s: float = 0.1) -> str:
    """Run a request of this duration; return `done`, or `expired` if admission cancelled it."""
    task = current_task()
    admission.enter(task, timeout_s)
    try:
        await asyncio.sleep(duration_s)
    except asyncio.CancelledError:
        if not admission.take_expiry(task):
            raise
        await asyncio.sleep(0)  # Does not raise: `take_expiry` undid the cancellation.
        return "expired"
    finally:
        admission.leave(task)
    return "done"


async def test_requests_above_the_limit_are_shed(admission: Admission) -> None:
    inside = [asyncio.create_task(run_request(admission, 0.05)) for _ in range(2)]
    await asyncio.sleep(0)
    assert admission.in_flight == 2
    with pytest.raises(OverloadedError) as caught:
        await run_request(admission, 0)
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (503, "1")
    assert (admission.in_flight, admission.shed_total) == (2, 1)
    assert await asyncio.gather(*inside) == ["done", "done"]
    assert await run_request(admission, 0) == "done"
    assert admission.in_flight == 0


async def test_a_request_that_exceeds_its_timeout_is_cancelled_and_leaves(admission: Admission) -> None:
    assert await asyncio.wait_for(run_request(admission, 10), 1) == "expired"
    assert admission.in_flight == 0
    assert not admission.take_expiry(current_task())


async def test_a_request_with_an_infinite_timeout_is_not_cancelled(admission: Admission) -> None:
    assert await run_request(admission, 0.4, float("inf")) == "done"


async def test_a_cancellation_by_another_task_is_not_taken_for_an_expiry(admission: Admission) -> None:
    task = asyncio.create_task(run_request(admission, 10))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert admission.in_flight == 0


async def test_wait_empty_tells_whether_the_last_request_left_in_time(admission: Admission) -> None:
    task = asyncio.create_task(run_request(admission, 0.2, float("inf")))
    await asyncio.sleep(0)
    assert not await admission.wait_empty(0.05)
    assert await admission.wait_empty(1)
    assert await task == "done"
