"""Exact decimal numbers: read from the digits of a JSON number, kept as an integer scaled by a power of ten.

Nothing passes through a float on the way in: 1.100 is 110 hundredths, and 1.101 is rejected.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Final

_JSON_NUMBER = re.compile(rb"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_DIGITS_MAX: Final = 18  # A larger number does not fit into 64 bits.
_UNITS: Final = {0: "a whole number", 2: "a whole number of hundredths"}


def is_json_number(text: bytes) -> bool:
    """Return whether a text is a number of JSON (RFC 8259)."""
    return _JSON_NUMBER.fullmatch(text) is not None


def parse_number(text: bytes, places: int, least: int, most: int) -> int:
    """Return a number scaled by ten to the power of `places`; `least` and `most` are scaled too.

    ValueError: the text is not a number, it is out of range, or it has more decimal places.
    """
    whole, point, fraction = text.partition(b".")
    is_plain = whole.isdigit() and (fraction.isdigit() or not point)
    if is_plain and len(whole) < _DIGITS_MAX and len(fraction) <= places:
        value = int(whole + fraction.ljust(places, b"0"))
    else:
        value = _parse_exactly(text, places, least, most)
    return check_range(value, places, least, most)


def check_range(value: int, places: int, least: int, most: int) -> int:
    """Return the scaled number. ValueError: it is out of range."""
    if least <= value <= most:
        return value
    raise _create_range_error(places, least, most)


def unscale(value: int, places: int) -> int | float:
    """Return the JSON number of a scaled one in its shortest form: 999 hundredths are 9.99, 1000 are 10."""
    scale: int = 10**places
    whole, rest = divmod(value, scale)
    return value / scale if rest else whole


def _parse_exactly(text: bytes, places: int, least: int, most: int) -> int:
    """Scale by moving digits: Decimal's own arithmetic rounds to 28 of them."""
    if not is_json_number(text):
        raise ValueError("must be a number")
    try:
        number = Decimal(text.decode())
    except InvalidOperation:
        raise ValueError("must not have an exponent of that size") from None
    if number.is_zero():
        return 0
    if number.adjusted() > _DIGITS_MAX:
        raise _create_range_error(places, least, most)
    sign, digits, exponent = number.as_tuple()
    written = "".join(map(str, digits))
    kept = max(len(written) + int(exponent) + places, 0)
    if written[kept:].strip("0"):
        raise ValueError(f"must be {_UNITS[places]}")
    return int(written[:kept].ljust(kept, "0") or "0") * (-1 if sign else 1)


def _create_range_error(places: int, least: int, most: int) -> ValueError:
    return ValueError(f"must be {unscale(least, places)} to {unscale(most, places)}")
