"""Every kind of field must accept, reject and describe the same values in each form."""

from typing import Any

import pytest

from devops_api.items.fields import ElementsError, Kind
from devops_api.items.kinds import Hundredths, Line, Tags, Text, Whole

KINDS: list[tuple[Kind, Any, bytes, str, Any]] = [
    (Line(longest=5), "a b", b'" a b "', "a b", "a b"),
    (Text(longest=5), "a\nb", b'"a\\nb"', "a\nb", "a\nb"),
    (Whole(most=9), 7, b"7.0", "7", 7),
    (Hundredths(most=999), 150, b"1.5", "1.5", 150),
    (Tags(most=2), ("a", "b"), b'["a","b"]', "a b", "a b"),
]


@pytest.mark.parametrize(("kind", "value", "raw", "cell", "column"), KINDS)
def test_each_form_of_a_value_stands_for_the_same_stored_value(
    kind: Kind, value: Any, raw: bytes, cell: str, column: Any
) -> None:
    assert kind.decode(raw) == kind.parse(cell) == kind.from_sql(column) == value
    assert kind.to_sql(value) == column


@pytest.mark.parametrize(
    ("kind", "raw", "error"),
    [
        (Line(longest=5), b"7", "must be a string, not a number"),
        (Text(longest=5), b"null", "must be a string, not null"),
        (Text(longest=5), b'"123456"', "must be at most 5 characters, not 6"),
        (Whole(most=9), b'"7"', "must be a number, not a string"),
        (Whole(most=9), b"true", "must be a number, not a boolean"),
        (Whole(most=9), b"10", "must be 0 to 9"),
        (Hundredths(most=999), b"[1]", "must be a number, not an array"),
        (Hundredths(most=999), b"1.001", "must be a whole number of hundredths"),
        (Tags(most=2), b"{}", "must be an array, not an object"),
    ],
)
def test_invalid_value_is_rejected_with_what_is_accepted(kind: Kind, raw: bytes, error: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its text is compared
        kind.decode(raw)
    assert str(caught.value) == error


def test_each_invalid_tag_is_named_by_its_index() -> None:
    with pytest.raises(ElementsError) as caught:
        Tags(most=20).decode(b'["good", "Bad", "", "good", 7, "' + b"x" * 51 + b'"]')
    assert [pointer for pointer, _ in caught.value.errors] == ["/1", "/2", "/3", "/4", "/5"]


def test_too_many_tags_are_an_error_of_the_list() -> None:
    with pytest.raises(ElementsError) as caught:
        Tags(most=2).decode(b'["a", "B", "c"]')
    assert [pointer for pointer, _ in caught.value.errors] == ["", "/1"]
