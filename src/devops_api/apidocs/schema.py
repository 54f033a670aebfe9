"""JSON schemas of what every service sends and receives, and functions that help a domain to write its own."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from devops_api.errors import ProblemError
from devops_api.http.faults import FaultPlan
from devops_api.http.operations import Schema
from devops_api.http.problems import create_type

COUNT: Final[Schema] = {"type": "integer", "minimum": 0}


def create_schemas() -> dict[str, Schema]:
    """Create the component schemas of the chassis, by name."""
    return {
        "Problem": _PROBLEM,
        "FieldError": _FIELD_ERROR,
        "Status": create_object(status=_STATUS),
        "Health": create_object(
            status=_STATUS,
            version={"type": "string"},
            checks={"type": "object", "additionalProperties": _CHECK},
        ),
        "FaultPlan": describe_struct(FaultPlan, "The faults to inject.", _FAULT_RULES),
    }


def create_problem_schema(problems: Iterable[type[ProblemError]]) -> Schema:
    """Create the schema of a problem document of one of these classes."""
    titles = list_titles(problems)
    return {
        "allOf": [
            ref("Problem"),
            {"properties": {"title": {"enum": titles}, "type": {"enum": [create_type(title) for title in titles]}}},
        ]
    }


def list_titles(problems: Iterable[type[ProblemError]]) -> list[str]:
    """List the titles of these problems, each once: a subclass may share its title with its base."""
    return list(dict.fromkeys(problem.title for problem in problems))


def ref(name: str) -> Schema:
    """Refer to a component schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def create_object(**properties: Schema) -> Schema:
    """Create the schema of an object that has all of these properties."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def describe_struct(
    struct: type[msgspec.Struct], description: str, rules: Mapping[str, Schema] = MappingProxyType({})
) -> Schema:
    """Create the schema of a type that msgspec decodes; `rules` add by field what its type does not express."""
    ((schema,), components) = msgspec.json.schema_components([struct])
    decoded = components[schema["$ref"].rpartition("/")[2]]
    properties = {name: _refine(field, rules.get(name, {})) for name, field in decoded["properties"].items()}
    kept = {key: value for key, value in decoded.items() if key != "title" and value != []}
    return kept | {"description": description, "properties": properties}


def _refine(field: Schema, rules: Schema) -> Schema:
    """Add rules to a field. `anyOf` with null becomes a list of types, so that the rules bind the other type."""
    if "anyOf" in field:
        types: dict[str, Any] = {"type": [option["type"] for option in field["anyOf"]]}
        field = types | {key: value for key, value in field.items() if key != "anyOf"}
    return field | rules


_FAULT_RULES: Final[Mapping[str, Schema]] = {
    "error_ratio": {"description": "The share of requests that fail with 500."},
    "latency_ms": {"description": "The delay before each request, in milliseconds."},
    "route": {"description": "The path template of the affected route; null means every route."},
}
_STATUS: Final[Schema] = {"enum": ["ok", "failing", "draining"]}
_CHECK: Final[Schema] = {
    "type": "object",
    "properties": {
        "status": {"enum": ["ok", "failing"]},
        "detail": {"type": "string"},
        "duration_ms": {"type": "number", "minimum": 0},
    },
    "required": ["status", "duration_ms"],
}
_FIELD_ERROR: Final[Schema] = {
    "type": "object",
    "description": "One error. `pointer`, `parameter` or `header` says where it is.",
    "properties": {
        "pointer": {"type": "string", "description": "A JSON pointer into the body; empty for the whole body."},
        "parameter": {"type": "string", "description": "The name of a query parameter."},
        "header": {"type": "string", "description": "The name of a header."},
        "detail": {"type": "string", "description": "What is wrong and what is accepted."},
    },
    "required": ["detail"],
}
_PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "properties": {
        "type": {"type": "string", "description": "A link to the explanation on the page /docs."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "The path of the request."},
        "request_id": {"type": "string", "description": "Identifies the request in the service's log."},
        "errors": {"type": "array", "items": ref("FieldError")},
    },
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
}
