"""Errors as responses: RFC 9457 problem documents."""

from typing import Any, Final

import orjson
from aiohttp import web

from devops_api.errors import ERRORS_MAX, ProblemError
from devops_api.http.replies import Reply

PROBLEM_JSON: Final = "application/problem+json"


def create_slug(title: str) -> str:
    """Return the anchor of a problem's paragraph on the docs page."""
    return title.lower().replace(" ", "-")


def create_type(title: str) -> str:
    """Return the URI reference that identifies the problem."""
    return f"/docs#{create_slug(title)}"


def create_problem_response(
    error: ProblemError, *, instance: str, request_id: str, status: int | None = None
) -> web.Response:
    """Return the problem of an error, with its headers and field errors. `status` replaces that of its class."""
    code = error.status if status is None else status
    document: dict[str, Any] = {
        "type": create_type(error.title),
        "title": error.title,
        "status": code,
        "detail": str(error),
        "instance": instance,
        "request_id": request_id,
        **error.members,
    }
    if error.errors:
        document["errors"] = [{entry.kind: entry.where, "detail": entry.detail} for entry in error.errors[:ERRORS_MAX]]
    return Reply(orjson.dumps(document), code, {"Content-Type": PROBLEM_JSON, **error.headers})
