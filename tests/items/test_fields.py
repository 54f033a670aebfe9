"""A field that is declared wrongly must fail at start, not at the first request."""

from typing import Annotated

import msgspec
import pytest

from devops_api.items.fields import Filter, list_conversions, list_fields, list_filters
from devops_api.items.kinds import Hundredths, Line, Tags, Whole


class Parcel(msgspec.Struct):
    """A struct with a field of several kinds."""

    label: Annotated[str, Line(longest=5)]
    weight_grams: Annotated[int | None, Whole(most=9, filter=Filter.RANGE, note="What the scales say.")] = None
    value: Annotated[int | None, Hundredths(most=900, filter=Filter.EQUAL)] = None
    stamps: Annotated[tuple[str, ...], Tags(most=2, filter=Filter.ALL)] = ()


def test_fields_are_those_of_the_struct_in_order() -> None:
    fields = list_fields(Parcel)
    assert [(field.name, field.is_required, field.is_nullable, field.default) for field in fields] == [
        ("label", True, False, None),
        ("weight_grams", False, True, None),
        ("value", False, True, None),
        ("stamps", False, False, ()),
    ]
    assert fields[1].description == "What the scales say. A whole number, 0 to 9."


def test_filters_are_named_after_their_fields() -> None:
    filters = list_filters(list_fields(Parcel))
    assert [(name, entry.comparison, entry.description) for name, entry in filters.items()] == [
        ("min_weight_grams", ">=", "The lowest `weight_grams`, inclusive."),
        ("max_weight_grams", "<=", "The highest `weight_grams`, inclusive."),
        ("value", "=", "The `value` of the item."),
        ("stamp", "all", "A stamp. Repeat it to require several stamps."),
    ]


def test_only_fields_that_need_a_conversion_get_one() -> None:
    fields = list_fields(Parcel)
    assert [index for index, _ in list_conversions(fields, "to_json")] == [2]
    assert [index for index, _ in list_conversions(fields, "to_sql")] == [3]


def test_member_without_a_kind_is_rejected() -> None:
    class Wrong(msgspec.Struct):
        label: str

    with pytest.raises(TypeError, match="label"):
        list_fields(Wrong)


def test_optional_field_cannot_be_a_sort_key() -> None:
    class Wrong(msgspec.Struct):
        label: Annotated[str | None, Line(longest=5, is_sorted=True)] = None

    with pytest.raises(TypeError, match="optional"):
        list_fields(Wrong)
