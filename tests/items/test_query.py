"""A list that ignores a parameter shows the wrong items: a query is parsed completely or rejected."""

from base64 import urlsafe_b64encode
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from devops_api.errors import InvalidError
from devops_api.http.operations import Parameter
from devops_api.items.parameters import EXPORT_PARAMETERS, LIMIT_MAX, LIST_PARAMETERS, SORTS, TEXT_MAX
from devops_api.items.query import create_cursor, parse_query
from devops_api.items.store.protocol import ItemQuery, Position

PRICE_MAX_HUNDREDTHS = 9_999_999_999_99
TAGS_MAX = 20
ID = "019b7d2c-5e4e-7000-8a6b-3c5d7e9f1a2b"
_KEYS = {"created_at": st.none(), "price": st.integers(0, PRICE_MAX_HUNDREDTHS), "name": st.text()}
_TAGS = st.lists(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,5}", fullmatch=True), max_size=TAGS_MAX, unique=True)


@st.composite
def queries(draw: st.DrawFn) -> tuple[ItemQuery, MultiDict[str]]:
    """A query that continues after some row, and its query string."""
    given_sort = draw(st.sampled_from(SORTS))
    sort = given_sort.removeprefix("-")
    parameters = MultiDict({"sort": given_sort, "limit": str(draw(st.integers(1, LIMIT_MAX)))})
    parameters.extend(("tag", tag) for tag in draw(_TAGS))
    for name, values in {
        "q": st.text(max_size=TEXT_MAX),
        "sku": st.text(max_size=9),
        "min_price": st.integers(0, PRICE_MAX_HUNDREDTHS).map(lambda hundredths: f"{hundredths}e-2"),
    }.items():
        if draw(st.booleans()):
            parameters[name] = draw(values)
    position = Position(draw(_KEYS[sort]), draw(st.uuids()).hex)
    return parse_query(parameters)._replace(after=position), parameters


def list_errors(parameters: MultiDict[str], known: Sequence[Parameter] = LIST_PARAMETERS) -> list[str]:
    with pytest.raises(InvalidError) as caught:
        parse_query(parameters, known)
    assert {error.kind for error in caught.value.errors} == {"parameter"}
    return [error.where for error in caught.value.errors]


@given(queries())
def test_cursor_continues_after_the_last_row(made: tuple[ItemQuery, MultiDict[str]]) -> None:
    query, parameters = made
    cursor = create_cursor(query)
    assert cursor is not None
    assert parse_query(MultiDict([*parameters.items(), ("cursor", cursor)])) == query


@given(queries(), queries())
def test_cursor_is_rejected_with_another_sort_or_filter(
    made: tuple[ItemQuery, MultiDict[str]], other: tuple[ItemQuery, MultiDict[str]]
) -> None:
    cursor = create_cursor(made[0]) or ""
    parameters = MultiDict([*other[1].items(), ("cursor", cursor)])
    asked = [
        query._replace(limit=0, after=None, filters=query.filters | {"tag": set(query.filters.get("tag", ()))})
        for query in (made[0], other[0])
    ]
    if asked[0] == asked[1]:
        assert parse_query(parameters).after == made[0].after
    else:
        assert list_errors(parameters) == ["cursor"]


@given(st.text() | st.binary().map(lambda raw: urlsafe_b64encode(raw).decode()))
def test_any_other_text_is_rejected_as_a_cursor(text: str) -> None:
    assert list_errors(MultiDict({"cursor": text})) == ["cursor"]


@pytest.mark.parametrize(
    "value",
    [None, 1, {}, [], ["x", None], ["x", 1, ID], ["x", "a", ID], ["x", None, 7], ["x", True, ID], [1, None, ID]],
)
def test_forged_cursor_is_rejected(value: object) -> None:
    cursor = urlsafe_b64encode(orjson.dumps(value)).decode()
    assert set(list_errors(MultiDict({"cursor": cursor}))) == {"cursor"}


@pytest.mark.parametrize("key", [-1, PRICE_MAX_HUNDREDTHS + 1, 2**63, 2**64 - 1])
def test_cursor_with_an_impossible_price_is_rejected(key: int) -> None:
    cursor = create_cursor(ItemQuery(sort="price", after=Position(key, ID))) or ""
    assert list_errors(MultiDict({"sort": "-price", "cursor": cursor})) == ["cursor"]


def test_cursor_is_valid_with_any_limit_count_and_order_of_tags() -> None:
    query = parse_query(MultiDict([("tag", "a"), ("tag", "b")]))._replace(after=Position(None, ID))
    cursor = create_cursor(query) or ""
    others = [("tag", "b"), ("tag", "a"), ("limit", "7"), ("count", "exact"), ("cursor", cursor)]
    assert parse_query(MultiDict(others)).after == Position(None, ID)


def test_every_invalid_parameter_is_named_at_once() -> None:
    parameters = MultiDict(
        [
            *[("limit", "0"), ("sort", "colour"), ("q", "x" * (TEXT_MAX + 1)), ("tag", "A"), ("min_price", "-1")],
            *[("max_price", "dear"), ("count", "yes"), ("colour", "red"), ("sku", "1"), ("sku", "2")],
        ]
    )
    assert list_errors(parameters) == [
        *("limit", "sort", "q", "tag", "min_price", "max_price", "count", "colour", "sku")
    ]


@pytest.mark.parametrize("limit", ["", "0", "201", "-1", "1.0", "1e1", " 1", "+1", "\u0661", "\u00b2", "9" * 5000])
def test_limit_must_be_a_plain_whole_number(limit: str) -> None:
    assert list_errors(MultiDict({"limit": limit})) == ["limit"]


@pytest.mark.parametrize(
    "price", ["", " ", "1,5", "0x1", "1.001", "10000000000", "NaN", "1e999999999", '"1"', "\udcff"]
)
def test_price_filter_must_be_a_price(price: str) -> None:
    assert list_errors(MultiDict({"max_price": price})) == ["max_price"]


def test_price_filters_accept_the_lowest_and_the_highest_price() -> None:
    query = parse_query(MultiDict({"min_price": "0", "max_price": "9999999999.99"}))
    assert query.filters == {"min_price": 0, "max_price": PRICE_MAX_HUNDREDTHS}


def test_sku_filter_is_normalised_like_a_stored_sku() -> None:
    assert parse_query(MultiDict({"sku": " A\u0308-1 "})).filters == {"sku": "\u00c4-1"}


def test_tag_may_be_repeated_up_to_the_limit() -> None:
    assert parse_query(MultiDict([("tag", "a")] * TAGS_MAX)).filters == {"tag": ("a",)}
    assert list_errors(MultiDict([("tag", "a")] * (TAGS_MAX + 1))) == ["tag"]


def test_export_rejects_the_parameters_of_pages() -> None:
    given = MultiDict({"limit": "1", "cursor": "x", "count": "exact"})
    assert list_errors(given, EXPORT_PARAMETERS) == ["limit", "cursor", "count"]
