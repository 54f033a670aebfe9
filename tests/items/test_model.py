"""The rules of an item, where a wrong one would store something that a client did not say."""

import unicodedata
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devops_api.items.model import (
    PRICE_MAX_HUNDREDTHS,
    Item,
    create_id,
    create_sequence,
    created_at_ms_of,
    encode_item,
    find_tag_faults,
    format_time,
    normalise_description,
    normalise_name,
    price_number,
    sequence_of,
)


@given(st.integers(0, PRICE_MAX_HUNDREDTHS))
def test_every_price_is_sent_as_the_number_it_is(hundredths: int) -> None:
    text = orjson.dumps(price_number(hundredths)).decode()
    assert Decimal(text) * 100 == hundredths


@pytest.mark.parametrize(
    ("hundredths", "text"),
    [(0, b"0"), (999, b"9.99"), (110, b"1.1"), (1000, b"10"), (PRICE_MAX_HUNDREDTHS, b"9999999999.99")],
)
def test_a_price_is_sent_in_its_shortest_form(hundredths: int, text: bytes) -> None:
    assert orjson.dumps(price_number(hundredths)) == text


@given(st.integers(0, 2**47), st.integers(0, 5))
def test_an_identifier_gives_back_the_place_in_time_it_was_made_from(now_ms: int, step: int) -> None:
    sequence = create_sequence(now_ms, 0) + step
    assert sequence_of(create_id(sequence)) == sequence
    assert created_at_ms_of(sequence) == now_ms


def test_identifiers_rise_when_the_clock_stands_still_or_goes_back() -> None:
    first = create_sequence(1_000, 0)
    second = create_sequence(1_000, first)
    third = create_sequence(10, second)
    assert first < second < third
    assert create_id(first) < create_id(second) < create_id(third)


@pytest.mark.parametrize(
    "text", ["", "x", "0192f5c0-0000-4000-8000-000000000000", "0192F5C0-0000-7000-8000-000000000000 "]
)
def test_what_is_not_one_of_our_identifiers_has_no_place_in_time(text: str) -> None:
    assert sequence_of(text) is None


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=200))
def test_a_name_in_any_script_survives_but_for_trimming_and_composition(name: str) -> None:
    expected = unicodedata.normalize("NFC", name).strip()
    if 1 <= len(expected) <= 200:
        assert normalise_name(name) == expected
    else:
        with pytest.raises(ValueError, match="1 to 200 characters"):
            normalise_name(name)


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "a\x7fb", "a\x85b"])
def test_a_name_with_a_control_character_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="control"):
        normalise_name(name)


def test_a_description_may_hold_lines_and_tabs_but_no_other_control_character() -> None:
    assert normalise_description("a\tb\r\nc") == "a\tb\r\nc"
    with pytest.raises(ValueError, match="control"):
        normalise_description("a\x00b")


def test_each_bad_tag_is_named_by_its_place() -> None:
    faults = find_tag_faults(["good", "Bad", "", "good", 7, "x" * 51])
    assert [index for index, _ in faults] == [1, 2, 3, 4, 5]


def test_times_are_rfc_3339_in_utc_with_milliseconds() -> None:
    assert format_time(1_700_000_000_007) == "2023-11-14T22:13:20.007Z"


def test_an_item_is_sent_with_every_field() -> None:
    item = Item(create_id(create_sequence(1, 0)), "Tëst", 999, None, "d", ("a",), 1, 2, 3)
    assert orjson.loads(encode_item(item)) == {
        "id": item.id,
        "name": "Tëst",
        "price": 9.99,
        "sku": None,
        "description": "d",
        "tags": ["a"],
        "created_at": "1970-01-01T00:00:00.001Z",
        "updated_at": "1970-01-01T00:00:00.002Z",
        "version": 3,
    }
