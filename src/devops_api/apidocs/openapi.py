"""The OpenAPI document of a table of routes."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import groupby
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from devops_api.apidocs.schema import COUNT, create_problem_schema, list_titles, ref
from devops_api.apidocs.schema import create_schemas as create_chassis_schemas
from devops_api.errors import (
    ForbiddenError,
    InjectedFaultError,
    InternalError,
    MalformedError,
    ProblemError,
    TimedOutError,
    UnauthorizedError,
    UnavailableError,
)
from devops_api.http.operations import Example, Operation, Parameter, Response, Schema
from devops_api.http.problems import PROBLEM_JSON, create_type
from devops_api.http.routes import Route
from devops_api.identity import Identity

_DESCRIPTION: Final = (
    "Errors are problem documents (RFC 9457) that list every error at once. Every path supports `OPTIONS`, whose "
    "response lists the supported methods in `Allow`; other methods get 405. Responses carry `X-Request-ID`: the "
    "request's own if it has 1 to 128 visible ASCII characters, otherwise a generated one. The page `/docs` says more."
)
_OF_EVERY_ROUTE: Final = (MalformedError, InternalError, InjectedFaultError)
_OF_SCOPED_ROUTES: Final = (UnauthorizedError, ForbiddenError, UnavailableError, TimedOutError)


class _Header(NamedTuple):
    is_required: bool
    schema: Schema
    description: str


_HEADERS: Final = {
    "X-Request-ID": _Header(
        True, {"type": "string"}, "Identifies the request in the service's log; the client's own value if it sent one."
    ),
    "ETag": _Header(True, {"type": "string", "pattern": '^".*"$'}, "The version, for `If-Match` and `If-None-Match`."),
    "Location": _Header(True, {"type": "string", "format": "uri-reference"}, "The path of what was created."),
    "Link": _Header(False, {"type": "string"}, 'The next page, `rel="next"`.'),
    "Idempotency-Replayed": _Header(False, {"enum": ["true"]}, "The response repeats that of an earlier request."),
    "Content-Disposition": _Header(True, {"type": "string"}, "A file name for the body."),
    "Retry-After": _Header(True, COUNT, "Retry after this number of seconds."),
    "WWW-Authenticate": _Header(True, {"type": "string"}, "How to send a token."),
}
_OTHER_HEADER: Final = _Header(False, {"type": "string"}, "")
_PROBLEM_HEADERS: Final[Mapping[int, Sequence[str]]] = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
}


def create_openapi(
    identity: Identity, routes: Sequence[Route], *, summary: str, schemas: Mapping[str, Schema], needs_token: bool
) -> dict[str, Any]:
    """Create the document of `routes`. `schemas` are the component schemas that the domain adds to the chassis'."""
    groups = [group for route in routes for group in _group_problems(route)]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": identity.name,
            "version": identity.version,
            "summary": summary,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": group} for group in dict.fromkeys(route.operation.group for route in routes)],
        "paths": {
            path: dict(_iterate_operations(list(group), routes, needs_token=needs_token))
            for path, group in groupby(sorted(routes, key=attrgetter("path")), key=attrgetter("path"))
        },
        "components": {
            "schemas": {**create_chassis_schemas(), **schemas},
            "responses": {_name_response(group): _create_problem_response(group) for group in groups},
            "headers": {name: _create_header(name) for name in _list_headers(routes, groups)},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token from the service's token file.",
                }
            },
        },
    }


def list_problems(route: Route) -> list[type[ProblemError]]:
    """List every problem that a route can return, by status."""
    problems = [*route.operation.problems, *_OF_EVERY_ROUTE, *(_OF_SCOPED_ROUTES if route.scope else ())]
    return sorted(dict.fromkeys(problems), key=attrgetter("status"))


def _group_problems(route: Route) -> list[list[type[ProblemError]]]:
    """Group the problems of a route by status; OpenAPI has one response for each status."""
    return [list(group) for _, group in groupby(list_problems(route), key=attrgetter("status"))]


def _iterate_operations(
    routes: Sequence[Route], every_route: Sequence[Route], *, needs_token: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    for route in routes:
        operation = _create_operation(route, every_route, needs_token=needs_token)
        yield route.method.lower(), operation
        if route.method == "GET":
            yield "head", _create_head(operation)


def _create_operation(route: Route, every_route: Sequence[Route], *, needs_token: bool) -> dict[str, Any]:
    described = route.operation
    operation: dict[str, Any] = {
        "operationId": described.id,
        "tags": [described.group],
        "summary": described.summary,
        "description": described.description,
        "parameters": [_create_parameter(parameter, described.examples) for parameter in described.parameters],
        "responses": _create_responses(route, every_route),
    }
    if described.bodies:
        operation["requestBody"] = {
            "required": True,
            "content": _create_content(described.bodies, described.examples),
        }
    if route.scope:
        operation["security"] = [{"bearer": [route.scope]}] if needs_token else [{}, {"bearer": [route.scope]}]
    return operation


def _create_head(operation: dict[str, Any]) -> dict[str, Any]:
    """Copy a GET without bodies and examples."""
    return operation | {
        "operationId": f"{operation['operationId']}Headers",
        "summary": f"{operation['summary']} (headers only)",
        "parameters": [_leave_out(parameter, "examples") for parameter in operation["parameters"]],
        "responses": {
            status: _leave_out(response, "content", "links") for status, response in operation["responses"].items()
        },
    }


def _leave_out(mapping: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in names}


def _create_parameter(parameter: Parameter, examples: Sequence[Example]) -> dict[str, Any]:
    name = parameter.name
    shown = {example.name: {"value": example.parameters[name]} for example in examples if name in example.parameters}
    return {
        "name": name,
        "in": parameter.location,
        "required": parameter.location == "path",
        "description": parameter.description,
        "schema": parameter.schema,
    } | ({"examples": shown} if shown else {})


def _create_content(bodies: Mapping[str, str | None], examples: Sequence[Example]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    first = next(iter(bodies))
    for media_type, name in bodies.items():
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


def _create_responses(route: Route, every_route: Sequence[Route]) -> dict[str, Any]:
    operation = route.operation
    responses = {str(response.status): _create_response(operation, response) for response in operation.responses}
    for response in operation.responses:
        if "Location" in response.headers:
            responses[str(response.status)]["links"] = _create_links(route.path, every_route)
    for group in _group_problems(route):
        status = group[0].status
        shown = _show_responses(operation, status, PROBLEM_JSON)
        if shown:
            responses[str(status)] = _create_problem_response(group, shown)
        elif str(status) not in responses:
            responses[str(status)] = {"$ref": f"#/components/responses/{_name_response(group)}"}
    return dict(sorted(responses.items()))


def _create_response(operation: Operation, response: Response) -> dict[str, Any]:
    content = {
        media_type: _describe_body(name, media_type) | _show_responses(operation, response.status, media_type)
        for media_type, name in response.bodies.items()
    }
    described = {"description": response.description, "headers": _refer("X-Request-ID", *response.headers)}
    return described | ({"content": content} if content else {})


def _create_links(path: str, routes: Sequence[Route]) -> dict[str, Any]:
    """Link a creation at `path` to the operations on `path`/{name}: the response's member `name` is the value."""
    is_below = re.compile(re.escape(path) + r"/\{(\w+)\}").fullmatch
    return {
        route.operation.id: {"operationId": route.operation.id, "parameters": {match[1]: f"$response.body#/{match[1]}"}}
        for route in routes
        if (match := is_below(route.path))
    }


def _create_problem_response(
    group: Sequence[type[ProblemError]], shown: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    return {
        "description": ", or ".join(f"[{title}]({create_type(title)})" for title in list_titles(group)),
        "headers": _refer("X-Request-ID", *_PROBLEM_HEADERS.get(group[0].status, ())),
        "content": {PROBLEM_JSON: {"schema": create_problem_schema(group), **shown}},
    }


def _name_response(group: Iterable[type[ProblemError]]) -> str:
    return "Or".join(title.title().replace(" ", "") for title in list_titles(group))


def _show_responses(operation: Operation, status: int, media_type: str) -> dict[str, Any]:
    shown = {
        example.name: {"summary": example.summary, "value": example.response}
        for example in operation.examples
        if example.status == status
        and example.response is not None
        and (isinstance(example.response, dict) or example.media_type == media_type)
    }
    return {"examples": shown} if shown else {}


def _refer(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _list_headers(routes: Sequence[Route], groups: Sequence[Sequence[type[ProblemError]]]) -> list[str]:
    of_responses = [name for route in routes for response in route.operation.responses for name in response.headers]
    of_problems = [name for group in groups for name in _PROBLEM_HEADERS.get(group[0].status, ())]
    return list(dict.fromkeys(["X-Request-ID", *of_responses, *of_problems]))


def _create_header(name: str) -> dict[str, Any]:
    header = _HEADERS.get(name, _OTHER_HEADER)
    return {"required": header.is_required, "schema": header.schema, "description": header.description}
