"""The OpenAPI document, made from the calls, the schemas and the limits in force."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final

from devops_api import __version__
from devops_api.apidocs.schema import (
    COUNT,
    ID,
    PRICE,
    TAG,
    Kinds,
    Schema,
    create_problem_schema,
    create_schemas,
    ref,
    titles_of,
)
from devops_api.http.problems import PROBLEM_JSON, create_type
from devops_api.items.bulk.handlers import FORMATS
from devops_api.items.examples import Example
from devops_api.items.handlers import IDEMPOTENCY_KEY_MAX
from devops_api.items.model import TAGS_MAX
from devops_api.items.operations import Operation, Reply, values_of
from devops_api.items.query import LIMIT_DEFAULT, LIMIT_MAX, SORTS, TEXT_MAX

_SUMMARY: Final = "An async item service that shows everything that happens in it."
_DESCRIPTION: Final = (
    "Errors are problems (RFC 9457), and name everything that is wrong at once. Every path answers `OPTIONS` with "
    "`Allow`, and another method with 405. `X-Request-ID` is taken over where it is 1 to 128 visible ASCII "
    "characters, made otherwise, and returned. The page `/docs` says all of this at more length."
)
_ENTITY_TAGS: Final = r'^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$'
_PARAMETERS: Final[dict[str, tuple[str, Schema, str]]] = {
    "id": ("path", ID, "The item's id."),
    "limit": (
        "query",
        {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
        "Items a page.",
    ),
    "cursor": (
        "query",
        {"type": "string", "format": "cursor"},
        "`next` of the page before, as it is; the sort and the filters must be the same.",
    ),
    "sort": (
        "query",
        {"enum": list(SORTS), "default": "-created_at"},
        "The order; `-` is descending, names go by code point.",
    ),
    "q": (
        "query",
        {"type": "string", "maxLength": TEXT_MAX},
        "Words of name and description, case and accents ignored, each a prefix, all must match.",
    ),
    "tag": (
        "query",
        {"type": "array", "items": TAG, "maxItems": TAGS_MAX},
        "A tag; repeat it to ask for items that have all of them.",
    ),
    "min_price": ("query", PRICE, "The least price, itself included."),
    "max_price": ("query", PRICE, "The highest price, itself included."),
    "sku": ("query", {"type": "string"}, "The item that has this sku."),
    "count": ("query", {"enum": ["exact"]}, "Adds `total`, all matches."),
    "format": ("query", {"enum": list(FORMATS)}, "The media type, instead of `Accept`."),
    "upsert": ("query", {"enum": ["sku"]}, "A row whose sku is known replaces that item; each row must have one."),
    "on_error": (
        "query",
        {"enum": ["skip", "abort"], "default": "skip"},
        "What a bad line does: it is left out and counted, or the import stops there.",
    ),
    "Idempotency-Key": (
        "header",
        {
            "type": "string",
            "format": "idempotency-key",
            "maxLength": IDEMPOTENCY_KEY_MAX,
            "pattern": "^[!-~]([ -~]*[!-~])?$",
        },
        "Your name for this creation, which makes it safe to repeat for 24 hours.",
    ),
    "If-Match": (
        "header",
        {"type": "string", "format": "entity-tags", "pattern": _ENTITY_TAGS},
        "The `ETag` that the item must still have; 412 where it has another.",
    ),
    "If-None-Match": ("header", {"type": "string"}, "The `ETag` that you have; 304 where it is still the one."),
}
_HEADERS: Final[dict[str, tuple[bool, Schema, str]]] = {
    "X-Request-ID": (True, {"type": "string"}, "The request's id, yours where you sent one; the log has it."),
    "ETag": (True, {"type": "string", "pattern": '^".*"$'}, "The version, for `If-Match` and `If-None-Match`."),
    "Location": (True, {"type": "string", "format": "uri-reference"}, "Where the item is."),
    "Link": (False, {"type": "string"}, 'The following page, `rel="next"`.'),
    "Idempotency-Replayed": (False, {"enum": ["true"]}, "This is the reply of an earlier call with the same key."),
    "Content-Disposition": (True, {"type": "string"}, "A file's name."),
    "Retry-After": (True, COUNT, "Seconds after which to ask again."),
    "WWW-Authenticate": (True, {"type": "string"}, "How to send a token."),
}
_PROBLEM_HEADERS: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "WWW-Authenticate",
    HTTPStatus.SERVICE_UNAVAILABLE: "Retry-After",
}
_SAFE_TO_FOLLOW: Final = ("getItem", "replaceItem", "patchItem", "deleteItem")


def create_openapi(calls: Sequence[Operation], *, needs_token: bool) -> dict[str, Any]:
    """The document of these calls. Without tokens configured, none is needed."""
    ordered = sorted(calls, key=lambda call: call.path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "devops-api",
            "version": __version__,
            "summary": _SUMMARY,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": group} for group in dict.fromkeys(call.group for call in calls)],
        "paths": {
            path: dict(_iterate_operations(list(group), needs_token=needs_token))
            for path, group in groupby(ordered, key=lambda call: call.path)
        },
        "components": {
            "schemas": create_schemas(),
            "responses": {
                _name_problem(kinds): _create_problem(kinds) for call in calls for kinds in _list_problems(call)
            },
            "headers": {name: _create_header(name) for name in _HEADERS},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the service's file of tokens.",
                }
            },
        },
    }


def _iterate_operations(calls: Sequence[Operation], *, needs_token: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    for call in calls:
        operation = _create_operation(call, needs_token=needs_token)
        yield call.method.lower(), operation
        if call.method == "GET":
            yield "head", _create_head(operation)


def _create_operation(call: Operation, *, needs_token: bool) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": call.name,
        "tags": [call.group],
        "summary": call.summary,
        "description": call.description,
        "parameters": [_create_parameter(name, call.examples) for name in call.parameters],
        "responses": _create_responses(call),
    }
    if call.bodies:
        operation["requestBody"] = {"required": True, "content": _create_content(call.bodies, call.examples)}
    if call.scope:
        operation["security"] = [{"bearer": [call.scope]}] if needs_token else [{}, {"bearer": [call.scope]}]
    return operation


def _create_head(operation: dict[str, Any]) -> dict[str, Any]:
    """The same without bodies and examples, for a client that wants the headers alone."""
    return operation | {
        "operationId": f"{operation['operationId']}Headers",
        "summary": f"{operation['summary']} (headers alone)",
        "parameters": [_leave_out(parameter, "examples") for parameter in operation["parameters"]],
        "responses": {
            status: _leave_out(response, "content", "links") for status, response in operation["responses"].items()
        },
    }


def _leave_out(mapping: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in names}


def _create_parameter(name: str, examples: Sequence[Example]) -> dict[str, Any]:
    place, schema, description = _PARAMETERS[name]
    shown = {example.name: {"value": values_of(example)[name]} for example in examples if name in values_of(example)}
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema,
    } | ({"examples": shown} if shown else {})


def _create_content(bodies: Mapping[str, str | None], examples: Sequence[Example]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for media_type, name in bodies.items():
        first = next(iter(bodies))
        shown = {
            example.name: {"summary": example.summary, "value": example.body}
            for example in examples
            if example.body is not None and (example.media_type or first) == media_type
        }
        content[media_type] = _describe_body(name, media_type) | ({"examples": shown} if shown else {})
    return content


def _describe_body(name: str | None, media_type: str) -> dict[str, Any]:
    if name is not None:
        return {"schema": ref(name)}
    return {
        "schema": {"type": "object"} if media_type.endswith("json") and "x-" not in media_type else {"type": "string"}
    }


def _create_responses(call: Operation) -> dict[str, Any]:
    responses = {str(reply.status): _create_response(call, reply) for reply in call.replies}
    for kinds in _list_problems(call):
        status = _status_of(kinds)
        shown = _show_replies(call, status, PROBLEM_JSON)
        if shown:
            responses[str(status)] = _create_problem(kinds, shown)
        elif str(status) not in responses:
            responses[str(status)] = {"$ref": f"#/components/responses/{_name_problem(kinds)}"}
    return dict(sorted(responses.items()))


def _create_response(call: Operation, reply: Reply) -> dict[str, Any]:
    content = {
        media_type: _describe_body(name, media_type) | _show_replies(call, reply.status, media_type)
        for media_type, name in reply.bodies.items()
    }
    response: dict[str, Any] = {"description": reply.description, "headers": _refer("X-Request-ID", *reply.headers)}
    if content:
        response["content"] = content
    if "Location" in reply.headers:
        response["links"] = {
            name: {"operationId": name, "parameters": {"id": "$response.body#/id"}} for name in _SAFE_TO_FOLLOW
        }
    return response


def _list_problems(call: Operation) -> list[Kinds]:
    """What the call may be refused with, by status; none in the last, the failure that nobody raised on purpose."""
    ordered = sorted(call.every_problem, key=lambda kind: kind.status)
    return [*(tuple(kinds) for _, kinds in groupby(ordered, key=lambda kind: kind.status)), ()]


def _create_problem(kinds: Kinds, shown: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    status = _status_of(kinds)
    headers = [_PROBLEM_HEADERS[status]] if status in _PROBLEM_HEADERS else []
    return {
        "description": ", or ".join(f"[{title}]({create_type(title)})" for title in titles_of(kinds)),
        "headers": _refer("X-Request-ID", *headers),
        "content": {PROBLEM_JSON: {"schema": create_problem_schema(kinds), **shown}},
    }


def _status_of(kinds: Kinds) -> int:
    return kinds[0].status if kinds else HTTPStatus.INTERNAL_SERVER_ERROR


def _name_problem(kinds: Kinds) -> str:
    return "Or".join(title.title().replace(" ", "") for title in titles_of(kinds))


def _show_replies(call: Operation, status: int, media_type: str) -> dict[str, Any]:
    shown = {
        example.name: {"summary": example.summary, "value": example.reply}
        for example in call.examples
        if example.status == status
        and example.reply is not None
        and (isinstance(example.reply, dict) or example.media_type == media_type)
    }
    return {"examples": shown} if shown else {}


def _refer(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _create_header(name: str) -> dict[str, Any]:
    is_required, schema, description = _HEADERS[name]
    return {"required": is_required, "schema": schema, "description": description}
