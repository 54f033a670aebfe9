"""The schema of an item must accept exactly what the decoder accepts, and describe exactly what is returned."""

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from devops_api.errors import InvalidError
from devops_api.items.decoding import decode_item
from devops_api.items.examples import SEED
from devops_api.items.model import FIELD_NAMES
from devops_api.items.schema import create_schemas

SCHEMAS = create_schemas()
SCHEMA_FILE = Path(__file__).with_name("schemas.json")
STALE = "schemas.json differs: run `WRITE_EXPECTED=1 make test ARGS=-k=derived_schemas` and review the difference"

_TEXTS = st.text(alphabet="aé~ \t\n\x00\x1c\x85\u3000", max_size=6) | st.sampled_from(["x" * 200, "x" * 201, "x" * 65])
_TAGS = st.lists(st.text(alphabet="a0_-A é", max_size=3), max_size=22) | st.lists(
    st.from_regex(r"[a-z0-9]{1,2}", fullmatch=True), min_size=19, max_size=21
)
_PRICES = st.decimals(-1, 10**10, places=3).map(str) | st.integers(-1, 10**10).map(lambda value: f"{value}e-2")
_OTHERS = st.sampled_from(["null", "true", "[]", "{}", "7", '"7"'])
_VALUES = {
    "name": _TEXTS.map(json.dumps) | _OTHERS,
    "price": _PRICES | _OTHERS,
    "sku": _TEXTS.map(json.dumps) | _OTHERS,
    "description": _TEXTS.map(json.dumps) | _OTHERS,
    "tags": _TAGS.map(json.dumps) | _OTHERS,
    "colour": _OTHERS,
}
_checker = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
    "number", lambda _, value: isinstance(value, int | Decimal) and not isinstance(value, bool)
)
_Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=_checker)


def exact_schema() -> dict[str, Any]:
    """Return the schema of a new item with decimal numbers, which represent hundredths exactly."""
    schema: dict[str, Any] = json.loads(json.dumps(SCHEMAS["NewItem"]), parse_float=Decimal)
    return schema


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.fixed_dictionaries({}, optional=_VALUES))
def test_schema_and_decoder_accept_the_same_items(texts: dict[str, str]) -> None:
    body = "{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}"
    is_valid = _Validator(exact_schema()).is_valid(json.loads(body, parse_float=Decimal))
    try:
        decode_item(body.encode())
        is_accepted = True
    except InvalidError:
        is_accepted = False
    assert is_valid == is_accepted


def test_schema_describes_each_field_that_is_decoded() -> None:
    assert tuple(SCHEMAS["NewItem"]["properties"]) == FIELD_NAMES


def test_derived_schemas_are_those_of_the_committed_file() -> None:
    if os.environ.get("WRITE_EXPECTED"):
        SCHEMA_FILE.write_text(json.dumps(SCHEMAS, indent=2, ensure_ascii=False) + "\n")
    assert json.loads(SCHEMA_FILE.read_text()) == SCHEMAS, STALE


async def test_returned_item_has_the_fields_of_the_schema(client: aiohttp.ClientSession) -> None:
    async with client.post("/items", json=SEED) as response:
        item = await response.json()
    schema = SCHEMAS["Item"]
    assert list(item) == list(schema["properties"]) == schema["required"]
    jsonschema.Draft202012Validator(schema).validate(item | {"price": 0})
