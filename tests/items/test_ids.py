"""Identifiers are the keys of items and their order: one that repeats or goes backwards loses an item."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devops_api.items.ids import create_id, create_sequence, parse_id, read_time_ms


@given(st.integers(0, 2**47), st.integers(0, 5))
def test_identifier_contains_the_sequence_number_and_the_time(now_ms: int, step: int) -> None:
    sequence = create_sequence(now_ms, 0) + step
    assert parse_id(create_id(sequence)) == sequence
    assert read_time_ms(sequence) == now_ms


def test_identifiers_rise_when_the_clock_stands_still_or_goes_back() -> None:
    first = create_sequence(1_000, 0)
    second = create_sequence(1_000, first)
    third = create_sequence(10, second)
    assert first < second < third
    assert create_id(first) < create_id(second) < create_id(third)


@pytest.mark.parametrize(
    "text", ["", "x", "0192f5c0-0000-4000-8000-000000000000", "0192F5C0-0000-7000-8000-000000000000 "]
)
def test_other_text_has_no_sequence_number(text: str) -> None:
    assert parse_id(text) is None
