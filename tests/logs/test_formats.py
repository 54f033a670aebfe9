"""Log lines must be parsed by machines and read by people, and must not reveal credentials."""

import json
import logging
import re
from pipes import Pipe

import pytest

from devops_api.errors import StoreUnavailableError
from devops_api.logs.formats import format_json

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


def test_a_line_is_one_json_object_with_the_fields_of_its_event(pipe: Pipe) -> None:
    pipe.logs.emit("item_created", request_id="r", trace_id=TRACE, span_id="00f067aa0ba902b7", item_id="i\n☃")
    pipe.logs.emit("item_deleted", request_id="r", item_id="j")
    created, deleted = pipe.read_lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created.pop("timestamp"))
    assert created == {
        "level": "info",
        "event": "item_created",
        "request_id": "r",
        "trace_id": TRACE,
        "span_id": "00f067aa0ba902b7",
        "item_id": "i\n☃",
    }
    assert set(deleted) == {"timestamp", "level", "event", "request_id", "item_id"}


@pytest.mark.parametrize("value", ["\ud800", 2**64, -(2**63) - 1])
def test_text_that_is_not_unicode_and_large_integers_are_written(value: object) -> None:
    line = format_json({"event": "request", "route": value})
    assert line.endswith(b"}\n")
    assert json.loads(line) == {"event": "request", "route": value}


def test_only_unexpected_errors_carry_a_traceback(pipe: Pipe) -> None:
    for error in (StoreUnavailableError("full"), KeyError("lost")):
        pipe.logs.emit("request_failed", error=error)
    expected, unexpected = pipe.read_lines()
    assert expected["error"] == {"type": "StoreUnavailableError", "message": "full"}
    assert unexpected["error"]["traceback"].strip().endswith("KeyError: 'lost'")
    assert (expected["level"], unexpected["level"]) == ("error", "error")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://me:s3cret@host:1/path failed", "GET https://***@host:1/path failed"),
        ("'postgresql://me:s3@cret@host/items' is away", "'postgresql://***@host/items' is away"),
        ("url: /v1/traces?api_key=s3cret&b=s3cret (Caused by me)", "url: /v1/traces?*** (Caused by me)"),
        ("{'authorization': 'Bearer s3cret'} was refused", "{'authorization': 'Bearer ***'} was refused"),
        ("who asked? http://host/a@b did", "who asked? http://host/a@b did"),
    ],
)
def test_credentials_in_messages_and_tracebacks_are_masked(pipe: Pipe, text: str, shown: str) -> None:
    logging.getLogger("some.library").warning("%s", text)
    try:
        raise OSError(text)  # noqa: TRY301 - it needs a traceback
    except OSError as error:
        pipe.logs.emit("request_failed", error=error)
    library, failed = pipe.read_lines()
    assert library["message"] == failed["error"]["message"] == shown
    assert failed["error"]["traceback"].endswith(f"OSError: {shown}\n")


def test_the_console_format_is_one_readable_line_followed_by_the_traceback() -> None:
    pipe = Pipe("console")
    try:
        raise KeyError("lost")  # noqa: TRY301 - it needs a traceback
    except KeyError as error:
        pipe.logs.emit("request_failed", error=error, request_id="r")
    text = pipe.read_all().decode()
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3} error   request_failed +request_id=r KeyError: 'lost'\nTraceback", text)


def test_auto_is_json_when_the_output_is_not_a_terminal() -> None:
    pipe = Pipe("auto")
    pipe.logs.emit("item_deleted", item_id="i")
    assert pipe.read_lines()[0]["event"] == "item_deleted"
