"""What a client sends must be stored exactly, or rejected with every error named."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devops_api.errors import InvalidError, MalformedError
from devops_api.items.decoding import decode_item, decode_items, decode_line, decode_patch, decode_row
from devops_api.items.encoding import encode_item
from devops_api.items.model import FIELD_NAMES, Item, ItemFields

FIELDS = ItemFields("Name", 100, sku="sku", description="text", tags=("a", "b"))
ITEM = Item(id="0", fields=FIELDS, created_at_ms=0, updated_at_ms=0, version=1)


def pointers(error: InvalidError) -> list[str]:
    return [each.where for each in error.errors]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name":"a","price":NaN}',
        b'{"name":"a","price":Infinity}',
        b'{"name":"\xff","price":1}',
        b'{"name":"\\ud800","price":1}',
        b'{"name":"a","price":01}',
        b'{"name":"a","price":1}x',
        b'{"a":"\xed\xa0\x80"}',
    ],
)
def test_body_that_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError, match="not JSON"):
        decode_item(body)


@pytest.mark.parametrize("body", [b"[]", b"3", b'"x"', b"null", b"true"])
def test_body_that_is_not_an_object_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidError) as caught:
        decode_item(body)
    assert pointers(caught.value) == [""]


def test_every_error_of_a_body_is_named_at_once() -> None:
    body = {"price": "9.99", "sku": "", "description": 7, "tags": ["A", "b", "b"], "x/y~": 1}
    with pytest.raises(InvalidError) as caught:
        decode_item(orjson.dumps(body))
    assert sorted(pointers(caught.value)) == sorted(
        ["/name", "/price", "/sku", "/description", "/tags/0", "/tags/2", "/x~1y~0"]
    )


@pytest.mark.parametrize("text", ["1e-99999999999999999999", "0e99999999999999999999"])
def test_exponent_beyond_any_decimal_is_an_error_of_the_price(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        decode_item(f'{{"name":"a","price":{text}}}'.encode())
    assert pointers(caught.value) == ["/price"]


@pytest.mark.parametrize("price", ['"9.99"', "true", "null", "[1]", "{}"])
def test_price_of_another_type_is_rejected(price: str) -> None:
    with pytest.raises(InvalidError) as caught:
        decode_item(f'{{"name":"a","price":{price}}}'.encode())
    assert pointers(caught.value) == ["/price"]
    assert "must be a number, not" in caught.value.errors[0].detail


def test_batch_names_every_error_of_every_element() -> None:
    elements: list[Any] = [{"name": "a", "price": 1}] * 12
    elements[1], elements[11] = {"name": "", "price": 1}, 3
    with pytest.raises(InvalidError) as caught:
        decode_items(orjson.dumps(elements), 1000)
    assert pointers(caught.value) == ["/1/name", "/11"]


@pytest.mark.parametrize("body", [b"[]", b"{}", b"[" + b",".join([b'{"name":"a","price":1}'] * 3) + b"]"])
def test_batch_must_have_one_to_the_most_elements(body: bytes) -> None:
    with pytest.raises(InvalidError, match="1 error"):
        decode_items(body, 2)


PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x", " y "]),
        "price": st.sampled_from([1, 2.5]),
        "sku": st.sampled_from([None, "s"]),
        "description": st.sampled_from([None, "d"]),
        "tags": st.sampled_from([None, [], ["t"]]),
    },
)


@given(PATCHES)
def test_patch_follows_rfc_7396(patch: dict[str, Any]) -> None:
    merged = {name: value for name, value in orjson.loads(encode_item(ITEM)).items() if name in FIELD_NAMES} | patch
    expected = decode_item(orjson.dumps({name: value for name, value in merged.items() if value is not None}))
    assert decode_patch(orjson.dumps(patch))(ITEM) == expected


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        (b'{"name":null}', "/name"),
        (b'{"price":null}', "/price"),
        (b'{"price":1.001}', "/price"),
        (b'{"id":"x"}', "/id"),
        (b"[]", ""),
        (b'{"tags":"a"}', "/tags"),
    ],
)
def test_patch_to_an_invalid_item_is_rejected(patch: bytes, pointer: str) -> None:
    with pytest.raises(InvalidError) as caught:
        decode_patch(patch)
    assert pointers(caught.value) == [pointer]


def test_exported_line_can_be_decoded() -> None:
    assert decode_line(encode_item(ITEM)) == FIELDS


def test_empty_cell_is_absent_and_tags_are_separated_by_blanks() -> None:
    assert decode_row({"name": "a", "price": "1.50", "sku": "", "tags": "x y", "id": "7"}) == ItemFields(
        "a", 150, tags=("x", "y")
    )


@pytest.mark.parametrize("price", ["1,5", "NaN", "", "1.505", " 1"])
def test_row_with_an_invalid_price_is_rejected(price: str) -> None:
    with pytest.raises(InvalidError) as caught:
        decode_row({"name": "a", "price": price})
    assert pointers(caught.value) == ["/price"]
