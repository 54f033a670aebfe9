"""Give schemathesis what it cannot generate: real cursors, fresh idempotency keys, lines of an import, hundredths."""

import itertools
import math
import re
from typing import Any

import orjson
import schemathesis
from hypothesis import strategies as st
from multidict import MultiDict

from devops_api.errors import InvalidError
from devops_api.items.parameters import LIST_PARAMETERS
from devops_api.items.query import create_cursor, parse_query
from devops_api.items.store.protocol import Position

CURSOR = "a-cursor-of-this-list"
UNKNOWN_ID = "019b7d2c-5e4e-7fff-bfff-ffffffffffff"
LIST_PARAMETER_NAMES = {parameter.name for parameter in LIST_PARAMETERS}
ROUNDING = 1e-12  # relative error of a product of a hundredth in binary
_numbers = itertools.count()
_is_key = re.compile(r"[!-~]([ -~]{0,200}[!-~])?").fullmatch

_rows = st.lists(
    st.fixed_dictionaries(
        {"name": st.from_regex(r"[a-z]{1,9}", fullmatch=True), "price": st.integers(0, 10**6)},
    ).map(lambda row: row | {"sku": f"row-{next(_numbers)}"}),
    min_size=1,
    max_size=20,
)
schemathesis.openapi.format("cursor", st.just(CURSOR))
schemathesis.openapi.format("entity-tags", st.sampled_from(["*", '"1"', 'W/"1"', '"1", "2"', '""']))
schemathesis.openapi.media_type(
    "application/x-ndjson", _rows.map(lambda rows: b"".join(orjson.dumps(row) + b"\n" for row in rows))
)
schemathesis.openapi.media_type(
    "text/csv",
    _rows.map(
        lambda rows: "\n".join(["sku,name,price", *("{sku},{name},{price}".format_map(row) for row in rows)])
    ).map(str.encode),
)


@schemathesis.hook
def before_load_schema(_: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Remove the examples of imports, which are text and not bytes; `tests/items/test_operations.py` sends them."""
    for content in raw_schema["paths"]["/items/import"]["post"]["requestBody"]["content"].values():
        content.pop("examples")


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: schemathesis.Case, __: dict[str, Any]) -> None:
    """Give a valid case a cursor, an unused key and exact hundredths."""
    if (case.query or {}).get("cursor") == CURSOR:
        case.query["cursor"] = create_valid_cursor(
            {name: value for name, value in case.query.items() if name != "cursor"}
        )
    key = (case.headers or {}).get("Idempotency-Key")
    if key and _is_key(key):
        case.headers["Idempotency-Key"] = f"{key}-{next(_numbers)}"
    for part in ("body", "query"):
        given = getattr(case, part)
        rounded = round_products(given)
        if rounded != given:  # Assigning validates the case again, which fails for bytes.
            setattr(case, part, rounded)


def create_valid_cursor(others: dict[str, Any]) -> str:
    """Create a cursor for the sort and filters of the other parameters; leave it as it is if they are invalid."""
    given = MultiDict(
        (name, str(value))
        for name, values in others.items()
        for value in (values if isinstance(values, list) else [values])
        if name in LIST_PARAMETER_NAMES
    )
    try:
        query = parse_query(given)
    except InvalidError:
        return CURSOR
    key: int | str | None = {"created_at": None, "price": 0, "name": "a"}[query.sort]
    return create_cursor(query._replace(after=Position(key, UNKNOWN_ID))) or CURSOR


def round_products(value: Any) -> Any:
    """Round numbers that were generated as multiples of a hundredth to the nearest decimal."""
    if isinstance(value, dict):
        return {name: round_products(element) for name, element in value.items()}
    if isinstance(value, list):
        return [round_products(element) for element in value]
    if isinstance(value, float) and math.isclose(value, round(value, 2), rel_tol=ROUNDING):
        return round(value, 2)
    return value
