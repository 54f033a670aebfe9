"""The chassis' schemas must describe what every service sends and receives."""

from typing import Any

import aiohttp
import jsonschema
import msgspec
import pytest
from conftest import StartService

from devops_api.apidocs.schema import create_problem_schema, create_schemas, describe_struct, ref
from devops_api.errors import OverloadedError, StoreUnavailableError, UnavailableError

COMPONENTS = {"components": {"schemas": create_schemas()}}


def create_validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(ref(name) | COMPONENTS)


class Note(msgspec.Struct, forbid_unknown_fields=True):
    """A type of a domain."""

    text: str
    colour: str | None = None


def test_schema_of_a_type_has_its_fields_and_the_rules_added_to_them() -> None:
    assert describe_struct(Note, "A note.", {"colour": {"maxLength": 9}}) == {
        "type": "object",
        "description": "A note.",
        "properties": {
            "text": {"type": "string"},
            "colour": {"type": ["string", "null"], "default": None, "maxLength": 9},
        },
        "required": ["text"],
        "additionalProperties": False,
    }


def test_problems_that_share_a_title_are_named_once() -> None:
    schema = create_problem_schema([UnavailableError, OverloadedError, StoreUnavailableError])
    assert schema["allOf"][1]["properties"]["title"] == {"enum": ["Unavailable"]}


@pytest.mark.parametrize(("path", "name"), [("/health", "Health"), ("/livez", "Status"), ("/readyz", "Status")])
async def test_probe_matches_its_schema(client: aiohttp.ClientSession, path: str, name: str) -> None:
    async with client.get(path) as response:
        create_validator(name).validate(await response.json())


@pytest.mark.parametrize(
    ("plan", "status"),
    [
        ({"error_ratio": 0.5, "latency_ms": 1, "route": None}, 200),
        ({}, 200),
        ({"error_ratio": 1.5}, 422),
        ({"latency_ms": -1}, 422),
        ({"route": 7}, 422),
        ({"other": 1}, 422),
    ],
)
async def test_fault_plan_is_valid_if_and_only_if_it_is_accepted(
    start_service: StartService, plan: dict[str, Any], status: int
) -> None:
    client = (await start_service(faults=True)).client
    async with client.put("/faults", json=plan) as response:
        assert response.status == status
        assert create_validator("FaultPlan").is_valid(plan) == (status == 200)
        create_validator("FaultPlan" if status == 200 else "Problem").validate(await response.json())


async def test_problem_matches_its_schema(client: aiohttp.ClientSession) -> None:
    async with client.get("/items?limit=0&other=1") as response:
        problem = await response.json()
    create_validator("Problem").validate(problem)
    assert len(problem["errors"]) == 2
    for error in problem["errors"]:
        create_validator("FieldError").validate(error)
