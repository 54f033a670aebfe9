"""Operators search the log by event and field, so only events and fields of the catalogue may be logged."""

import ast
from collections.abc import Iterator
from pathlib import Path
from pipes import Pipe

import pytest

import devops_api
from devops_api.items.events import EVENTS as ITEM_EVENTS
from devops_api.logs.events import SERVICE_EVENTS

PACKAGE = Path(devops_api.__file__).parent
EVENTS = {**SERVICE_EVENTS, **ITEM_EVENTS}
FORWARDERS = {"http/events.py"}  # where the event's name is a parameter


def find_emit_calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of a log's `emit` in the package, with its module. OpenTelemetry's `emit` has keywords only."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr="emit"), args=[_, *_]):
                    yield path.relative_to(PACKAGE).as_posix(), node


def find_emitted() -> Iterator[tuple[str, str, set[str]]]:
    """Yield the place, the event and the fields of each call that names its event."""
    for module, call in find_emit_calls():
        if isinstance(call.args[0], ast.Constant):
            fields = {str(keyword.arg) for keyword in call.keywords}
            yield f"{module}:{call.lineno}", str(call.args[0].value), fields


def test_domain_and_service_declare_different_events() -> None:
    assert not set(SERVICE_EVENTS) & set(ITEM_EVENTS)


def test_the_package_emits_every_event_with_all_of_its_fields() -> None:
    emitted = list(find_emitted())
    assert {event for _, event, _ in emitted} == set(EVENTS)
    for place, event, fields in emitted:
        assert fields - {"request_id", "trace_id", "span_id", "level"} == set(EVENTS[event].fields), place


def test_every_call_names_its_event() -> None:
    """A computed name would escape the test above."""
    computed = {module for module, call in find_emit_calls() if not isinstance(call.args[0], ast.Constant)}
    assert computed == FORWARDERS


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_has_a_level_and_a_sentence(name: str) -> None:
    event = EVENTS[name]
    assert event.meaning.endswith(".")
    assert event.level in {"debug", "info", "warning", "error"}


def test_an_event_that_is_not_in_the_catalogue_is_refused() -> None:
    pipe = Pipe()
    with pytest.raises(KeyError):
        pipe.logs.emit("something_else")
    assert pipe.read_all() == b""


def test_a_field_that_its_event_does_not_declare_is_not_written() -> None:
    pipe = Pipe()
    pipe.logs.emit("item_created", item_id="i", password="s3cret")  # noqa: S106
    (line,) = pipe.read_lines()
    assert set(line) == {"timestamp", "level", "event", "item_id"}
