"""A collector for the tests of exporters."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from collectors import SMALL_QUEUES, Collector, run_collector


@pytest.fixture
def small_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK export soon, and hold little."""
    for name, value in SMALL_QUEUES.items():
        monkeypatch.setenv(name, value)


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[Collector]:
    """Run a collector."""
    async with run_collector() as collector:
        yield collector
