"""The OpenAPI document must be complete for any domain: here for a tiny one, and for the real service."""

import re
from typing import Any

import orjson
import pytest
from apidocs.notes import CREATE_NOTE, GUIDE, IDENTITY, NOTE, ROUTES, SCHEMAS, handle
from conftest import StartService
from openapi_spec_validator import validate

from devops_api.apidocs.openapi import create_openapi, list_problems
from devops_api.http.operations import GET_FAULTS, HEALTH, LIVENESS, METRICS, PUT_FAULTS, READINESS
from devops_api.http.routes import Route
from devops_api.settings.tokens import Token, Tokens, create_token


def create_document(*routes: Route, needs_token: bool = False) -> dict[str, Any]:
    document = create_openapi(
        IDENTITY, [*ROUTES, *routes], summary=GUIDE.summary, schemas=SCHEMAS, needs_token=needs_token
    )
    decoded: dict[str, Any] = orjson.loads(orjson.dumps(document))
    return decoded


DOCUMENT = create_document()


def test_document_of_any_domain_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_document_of_the_chassis_operations_is_valid_openapi() -> None:
    chassis = (HEALTH, LIVENESS, READINESS, METRICS, GET_FAULTS)
    probes = [Route("GET", f"/{operation.id}", None, handle, operation) for operation in chassis]
    validate(create_document(*probes, Route("PUT", "/faults", "write", handle, PUT_FAULTS)))


def test_document_names_its_own_service_and_no_other_domain() -> None:
    assert DOCUMENT["info"] | {"title": "notes", "version": "0.1.0", "summary": "Keeps notes."} == DOCUMENT["info"]
    assert not re.search('item(?!s":)', orjson.dumps(DOCUMENT).decode().lower())  # "items" is a keyword of JSON Schema


def test_document_has_the_paths_and_methods_of_the_routes_and_head_for_each_get() -> None:
    described = {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == {("/notes", "post"), ("/notes/{id}", "get"), ("/notes/{id}", "head")}
    assert DOCUMENT["tags"] == [{"name": "Notes"}]


def test_parameters_come_from_the_operation() -> None:
    path, query, header = DOCUMENT["paths"]["/notes/{id}"]["get"]["parameters"]
    assert (path["name"], path["in"], path["required"]) == ("id", "path", True)
    assert path["examples"] == {"rich": {"value": "7"}}
    assert query == {
        "name": "shape",
        "in": "query",
        "required": False,
        "description": "How to format the `text`.",
        "schema": {"enum": ["plain", "rich"], "default": "plain"},
        "examples": {"rich": {"value": "rich"}},
    }
    assert (header["name"], header["in"]) == ("If-None-Match", "header")


def test_bodies_and_responses_refer_to_the_schemas_of_the_domain() -> None:
    create = DOCUMENT["paths"]["/notes"]["post"]
    assert create["requestBody"]["content"]["application/json"] == {
        "schema": {"$ref": "#/components/schemas/NewNote"},
        "examples": {"first": {"summary": "A short note", "value": {"text": "Buy bulbs"}}},
    }
    content = create["responses"]["201"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/Note"}
    assert content["examples"]["first"]["value"] == NOTE


def test_problems_of_an_operation_are_its_own_and_those_of_every_route_with_a_scope() -> None:
    create = DOCUMENT["paths"]["/notes"]["post"]["responses"]
    assert list(create) == ["201", "400", "401", "403", "408", "413", "415", "422", "423", "500", "503", "504"]
    assert create["423"] == {"$ref": "#/components/responses/NoteLocked"}
    locked = DOCUMENT["components"]["responses"]["NoteLocked"]["content"]["application/problem+json"]["schema"]
    assert locked["allOf"][1]["properties"] == {
        "title": {"enum": ["Note locked"]},
        "type": {"enum": ["/docs#note-locked"]},
    }
    probe = Route("GET", "/health", None, handle, HEALTH)
    assert [problem.status for problem in list_problems(probe)] == [400, 500, 500]


def test_headers_are_described_once_and_only_if_a_response_has_them() -> None:
    create = DOCUMENT["paths"]["/notes"]["post"]["responses"]["201"]
    assert list(create["headers"]) == ["X-Request-ID", "Location", "X-Note-Length"]
    headers = DOCUMENT["components"]["headers"]
    assert headers["X-Note-Length"]["schema"] == {"type": "string"}
    assert {"Retry-After", "WWW-Authenticate"} <= set(headers)
    assert {"Link", "Content-Disposition"}.isdisjoint(headers)


def test_response_with_location_links_to_the_operations_on_what_was_created() -> None:
    assert DOCUMENT["paths"]["/notes"]["post"]["responses"]["201"]["links"] == {
        "getNote": {"operationId": "getNote", "parameters": {"id": "$response.body#/id"}}
    }


def test_head_has_neither_bodies_nor_examples() -> None:
    head = DOCUMENT["paths"]["/notes/{id}"]["head"]
    assert head["operationId"] == "getNoteHeaders"
    assert "examples" not in orjson.dumps(head).decode()
    assert "content" not in head["responses"]["200"]


@pytest.mark.parametrize(
    ("needs_token", "security"), [(True, [{"bearer": ["write"]}]), (False, [{}, {"bearer": ["write"]}])]
)
def test_scope_of_a_route_is_its_security(needs_token: bool, security: list[Any]) -> None:  # noqa: FBT001
    document = create_document(Route("GET", "/health", None, handle, HEALTH), needs_token=needs_token)
    assert document["paths"]["/notes"]["post"]["security"] == security
    assert "security" not in document["paths"]["/health"]["get"]


def test_one_operation_can_be_described_without_examples() -> None:
    bare = Route("POST", "/bare", None, handle, CREATE_NOTE._replace(id="bare", examples=()))
    validate(create_document(bare))


@pytest.mark.parametrize("options", [{}, {"faults": True, "metrics_port": 0}])
async def test_every_route_of_the_service_is_described_and_nothing_else(
    start_service: StartService,
    options: dict[str, Any],
) -> None:
    running = await start_service(**options)
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in running.service.app.router.routes()
        if route.method != "*" and route.resource is not None
    }
    async with running.client.get("/openapi.json") as response:
        document = await response.json()
    described = {(method, path) for path, item in document["paths"].items() for method in item}
    assert described == routes


async def test_every_response_of_the_service_is_described_with_its_problems_and_headers(
    start_service: StartService,
) -> None:
    running = await start_service(faults=True)
    async with running.client.get("/openapi.json") as response:
        document = await response.json()
    validate(document)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for status, described in operation["responses"].items():
                resolved = described
                if "$ref" in described:
                    resolved = document["components"]["responses"][described["$ref"].rpartition("/")[2]]
                assert "X-Request-ID" in resolved["headers"]
                if int(status) >= 400 and "content" in resolved and path not in {"/health", "/readyz"}:
                    assert list(resolved["content"]) == ["application/problem+json"]
    create = document["paths"]["/items"]["post"]
    assert {"201", "400", "401", "403", "408", "409", "413", "415", "422", "500", "503", "504"} == set(
        create["responses"]
    )
    assert {"Location", "ETag"} <= set(create["responses"]["201"]["headers"])
    assert "Retry-After" in document["components"]["responses"]["Unavailable"]["headers"]


async def test_service_asks_for_tokens_if_they_are_configured(start_service: StartService) -> None:
    _, line = create_token("reader", "read")
    tokens = Tokens([Token("reader", "read", bytes.fromhex(line.split()[2]))])
    running = await start_service(tokens_file=tokens)
    async with running.client.get("/openapi.json") as response:
        paths = (await response.json())["paths"]
    assert paths["/items"]["get"]["security"] == [{"bearer": ["read"]}]
    assert paths["/items"]["post"]["security"] == [{"bearer": ["write"]}]
    assert "security" not in paths["/health"]["get"]
    async with running.client.get("/docs") as response:
        assert "Authorization: Bearer" in await response.text()
