"""The log outlives whatever it is told: one line that cannot be written must not silence the rest."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devops_api.logs import EVENTS, Logs, open_logs


class UnspeakableError(Exception):
    """An error that fails to say what it is."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def logs(path: Path) -> Iterator[Logs]:
    with path.open("wb", buffering=0) as file:
        logs = open_logs("info", "json", file.fileno())
        yield logs
        logs.close(timeout_s=5)


def read(logs: Logs, path: Path) -> list[dict[str, Any]]:
    logs.close(timeout_s=5)
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("value", ["\ud800", 2**70, float("nan"), b"\xff", object])
def test_a_field_that_is_no_json_is_written_somehow(logs: Logs, path: Path, value: object) -> None:
    logs.emit("item_created", item_id=value)
    logs.emit("item_deleted", item_id="1")
    assert [line["event"] for line in read(logs, path)] == ["item_created", "item_deleted"]
    assert logs.dropped == 0


def test_a_line_that_cannot_be_written_is_counted_and_the_next_one_is_written(logs: Logs, path: Path) -> None:
    logs.emit("request_failed", error=UnspeakableError())
    logs.emit("item_deleted", item_id="1")
    assert "item_deleted" in [line["event"] for line in read(logs, path)]
    assert logs.dropped == 1


def test_an_event_that_is_not_in_the_catalogue_is_refused(logs: Logs) -> None:
    with pytest.raises(KeyError):
        logs.emit("anything")
    assert all(event.meaning.endswith(".") for event in EVENTS.values())
