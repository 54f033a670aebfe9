"""Errors as replies: RFC 9457 problem documents."""

from typing import Any, Final

import orjson
from aiohttp import web

from devops_api.errors import ERRORS_MAX, FieldError, InternalError, ProblemError

PROBLEM_JSON: Final = "application/problem+json"
INTERNAL_ERROR: Final = InternalError.title


def slug_of(title: str) -> str:
    """The anchor of a problem's kind on the page of the documents."""
    return title.lower().replace(" ", "-")


def type_of(title: str) -> str:
    """The URI reference that says which kind of problem this is."""
    return f"/docs#{slug_of(title)}"


def create_problem_reply(
    status: int,
    title: str,
    detail: str,
    *,
    instance: str,
    request_id: str,
    members: dict[str, Any] | None = None,
) -> web.Response:
    """A problem reply; `members` extend the document (RFC 9457, section 3.2)."""
    document = {
        "type": type_of(title),
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "request_id": request_id,
    }
    return web.Response(body=orjson.dumps(document | (members or {})), status=status, content_type=PROBLEM_JSON)


def reply_to_error(error: ProblemError, *, instance: str, request_id: str) -> web.Response:
    """The reply that an error asks for, with its headers and all its faults."""
    members: dict[str, Any] = dict(error.members)
    if error.errors:
        members["errors"] = [_fault_document(fault) for fault in error.errors[:ERRORS_MAX]]
    reply = create_problem_reply(
        error.status, error.title, str(error), instance=instance, request_id=request_id, members=members
    )
    reply.headers.update(error.headers)
    return reply


def _fault_document(fault: FieldError) -> dict[str, str]:
    return {fault.kind: fault.where, "detail": fault.detail}
