"""Clients handle errors by their problem document: its members, type and headers must follow from the exception."""

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

import devops_api.app  # noqa: F401 - it imports every module that declares a problem
from devops_api.errors import (
    ERRORS_MAX,
    FieldError,
    InvalidError,
    MethodNotAllowedError,
    NotFoundError,
    OverloadedError,
    ProblemError,
    UnavailableError,
)
from devops_api.http.problems import create_problem_response


def list_problems(base: type[ProblemError] = ProblemError) -> Iterator[type[ProblemError]]:
    """Yield every problem of the package."""
    for kind in base.__subclasses__():
        if kind.__module__.startswith("devops_api."):
            yield kind
            yield from list_problems(kind)


PROBLEMS = sorted(set(list_problems()), key=str)


def read_document(error: ProblemError, status: int | None = None) -> dict[str, Any]:
    """Return the document of an error that a request for /things with the id `r-1` got."""
    response = create_problem_response(error, instance="/things", request_id="r-1", status=status)
    assert isinstance(response.body, bytes)
    document: dict[str, Any] = orjson.loads(response.body)
    assert (response.headers["Content-Type"], response.status) == ("application/problem+json", document["status"])
    return document


def test_the_document_has_the_members_of_rfc_9457_and_the_request_id() -> None:
    assert read_document(NotFoundError("There is no thing 7")) == {
        "type": "/docs#not-found",
        "title": "Not found",
        "status": 404,
        "detail": "There is no thing 7",
        "instance": "/things",
        "request_id": "r-1",
    }


def test_the_status_of_the_parser_replaces_that_of_the_class() -> None:
    assert read_document(NotFoundError("no"), status=431)["status"] == 431


def test_field_errors_say_where_they_are() -> None:
    errors = [
        FieldError("/price", "must be a number"),
        FieldError("limit", "must be at least 1", "parameter"),
        FieldError("If-Match", "is not an entity tag", "header"),
    ]
    document = read_document(InvalidError(errors))
    assert document["detail"] == "3 errors were found"
    assert document["errors"] == [
        {"pointer": "/price", "detail": "must be a number"},
        {"parameter": "limit", "detail": "must be at least 1"},
        {"header": "If-Match", "detail": "is not an entity tag"},
    ]


def test_a_single_field_error_is_counted_in_the_singular() -> None:
    assert read_document(InvalidError([FieldError("", "must be an object")]))["detail"] == "1 error was found"


def test_the_number_of_field_errors_is_limited() -> None:
    document = read_document(InvalidError([FieldError(f"/{number}", "no") for number in range(ERRORS_MAX + 1)]))
    assert len(document["errors"]) == ERRORS_MAX
    assert document["detail"] == f"{ERRORS_MAX + 1} errors were found"


def test_members_of_the_error_extend_the_document() -> None:
    document = read_document(UnavailableError("The service is stopping", members={"created": 3}))
    assert (document["title"], document["created"]) == ("Unavailable", 3)


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (MethodNotAllowedError("no", headers={"Allow": "GET"}), "Allow", "GET"),
        (OverloadedError("later"), "Retry-After", "1"),
        (UnavailableError("later", retry_after_s=30), "Retry-After", "30"),
    ],
)
def test_headers_of_the_error_are_those_of_the_response(error: ProblemError, name: str, value: str) -> None:
    assert create_problem_response(error, instance="/", request_id="r").headers[name] == value


@pytest.mark.parametrize("kind", PROBLEMS, ids=[kind.__name__ for kind in PROBLEMS])
def test_every_problem_has_a_status_a_title_and_an_explanation(kind: type[ProblemError]) -> None:
    assert 400 <= kind.status < 600
    assert re.fullmatch(r"[A-Z][a-z ]+", kind.title)
    assert kind.explanation.endswith(".")


def test_each_type_stands_for_one_status() -> None:
    statuses: dict[str, set[int]] = {}
    for kind in PROBLEMS:
        statuses.setdefault(kind.title, set()).add(kind.status)
    assert {title: found for title, found in statuses.items() if len(found) > 1} == {}
