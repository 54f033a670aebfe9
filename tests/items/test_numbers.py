"""A price must be stored exactly as it was written, or rejected."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devops_api.items.encoding import encode_json
from devops_api.items.kinds import Hundredths
from devops_api.items.numbers import parse_number, unscale

PRICE_MAX_HUNDREDTHS = 9_999_999_999_99


def parse_price(text: bytes) -> int:
    return parse_number(text, 2, 0, PRICE_MAX_HUNDREDTHS)


@given(st.integers(0, PRICE_MAX_HUNDREDTHS), st.integers(0, 5), st.booleans())
def test_price_is_read_exactly_in_any_notation(hundredths: int, zeros: int, is_scientific: bool) -> None:  # noqa: FBT001
    text = f"{Decimal(hundredths) / 100:.2f}" + "0" * zeros
    if is_scientific:
        text = f"{hundredths}e-2"
    assert parse_price(text.encode()) == hundredths


@given(st.integers(0, PRICE_MAX_HUNDREDTHS), st.integers(1, 10**6 - 1))
def test_price_with_more_than_two_decimal_places_is_rejected(hundredths: int, rest: int) -> None:
    with pytest.raises(ValueError, match=r"hundredths|0 to 9999999999\.99"):
        parse_price(f"{Decimal(hundredths) / 100:.2f}{rest:06d}".encode())


@pytest.mark.parametrize(
    "text", [b"-1", b"-0.01", b"10000000000", b"9999999999.991", b"1e10", b"1e999999999", b"1e-999999999"]
)
def test_price_out_of_range_is_rejected_without_expanding_its_exponent(text: bytes) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_price(text)


@pytest.mark.parametrize("text", [b"-0", b"-0.0", b"0e999999999", b"0.000"])
def test_every_notation_of_zero_is_zero(text: bytes) -> None:
    assert parse_price(text) == 0


@pytest.mark.parametrize("text", [b"", b" 1", b"1,5", b"0x1", b"NaN", b".5", b"5.", b"+1", b"1e", b'"1"', b"\xc2\xb2"])
def test_text_that_is_not_a_number_is_rejected(text: bytes) -> None:
    with pytest.raises(ValueError, match="must be a number"):
        parse_price(text)


@pytest.mark.parametrize(
    ("text", "value"), [(b"7", 7), (b"7.0", 7), (b"1e2", 100), (b"-5", -5), (b"-50e-1", -5), (b"0.5e1", 5)]
)
def test_whole_number_is_recognised_by_value(text: bytes, value: int) -> None:
    assert parse_number(text, 0, -5, 100) == value


@pytest.mark.parametrize(
    ("text", "error"),
    [(b"7.5", "must be a whole number"), (b"101", "must be -5 to 100"), (b"-6", "must be -5 to 100"), (b"1e99", "100")],
)
def test_other_number_is_not_whole(text: bytes, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        parse_number(text, 0, -5, 100)


@given(st.integers(0, PRICE_MAX_HUNDREDTHS))
def test_encoded_price_equals_the_stored_one(hundredths: int) -> None:
    number = unscale(hundredths, 2)
    assert Decimal(encode_json(number).decode()) * 100 == hundredths
    assert Hundredths(most=PRICE_MAX_HUNDREDTHS).to_json(hundredths) == number


@pytest.mark.parametrize(
    ("hundredths", "text"),
    [(0, b"0"), (999, b"9.99"), (110, b"1.1"), (1000, b"10"), (PRICE_MAX_HUNDREDTHS, b"9999999999.99")],
)
def test_price_is_encoded_in_its_shortest_form(hundredths: int, text: bytes) -> None:
    assert encode_json(unscale(hundredths, 2)) == text
