"""The fields that a struct declares, and what can be derived from them for any form of an item."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from devops_api.http.operations import Schema
from devops_api.items.kinds import Filter, Kind


class Field(NamedTuple):
    """A field as its struct declares it. `is_nullable` means that its value can be None."""

    name: str
    kind: Kind
    is_required: bool
    is_nullable: bool
    default: Any

    @property
    def label(self) -> str:
        """The name as prose has it."""
        return self.name.replace("_", " ")

    @property
    def singular(self) -> str:
        """What one element of a list is called."""
        return self.name.removesuffix("s")

    @property
    def description(self) -> str:
        """The rules for the field, for the documentation."""
        return f"{self.kind.note} {self.kind.rules}".strip()

    @property
    def wire(self) -> Any:
        """The type that the JSON decoder checks; raw JSON is checked by the kind alone."""
        return self.kind.wire | None if self.is_nullable and self.kind.wire is not msgspec.Raw else self.kind.wire


class FieldFilter(NamedTuple):
    """A query parameter that compares a field with its value; `all` asks for every one of several values."""

    parameter: str
    field: Field
    comparison: Literal["=", ">=", "<=", "all"]
    description: str

    @property
    def schema(self) -> Schema:
        """The JSON Schema of the parameter."""
        return self.field.kind.create_filter_schema()


def list_fields(struct: type[msgspec.Struct]) -> tuple[Field, ...]:
    """Return the fields of a struct whose members are annotated with kinds. TypeError: one of them is not."""
    return tuple(map(_create_field, msgspec.structs.fields(struct)))


def _create_field(info: msgspec.structs.FieldInfo) -> Field:
    value_type, kind = (*get_args(info.type), None, None)[:2]
    if not isinstance(kind, Kind):
        raise TypeError(f"Annotate {info.name} with a kind of field, as in Annotated[str, Line(longest=200)]")
    if kind.is_sorted and not info.required:
        raise TypeError(f"{info.name} is optional: pages cannot be sorted by a field that an item may not have")
    default = None if info.required else info.default
    return Field(info.name, kind, info.required, type(None) in get_args(value_type), default)


def list_filters(fields: Sequence[Field]) -> dict[str, FieldFilter]:
    """Return the filters of fields by the name of their parameter."""
    return {entry.parameter: entry for field in fields for entry in _iterate_filters(field)}


def _iterate_filters(field: Field) -> Iterator[FieldFilter]:
    name, label = field.name, field.label
    if field.kind.filter is Filter.EQUAL:
        yield FieldFilter(name, field, "=", f"The {label} of the item.")
    elif field.kind.filter is Filter.RANGE:
        yield FieldFilter(f"min_{name}", field, ">=", f"The lowest {label}, inclusive.")
        yield FieldFilter(f"max_{name}", field, "<=", f"The highest {label}, inclusive.")
    elif field.kind.filter is Filter.ALL:
        singular = field.singular
        yield FieldFilter(singular, field, "all", f"A {singular}. Repeat it to require several {label}.")


Convert = Callable[[Any], Any]
Form = Literal["to_json", "to_cell", "to_sql", "from_sql"]


def list_conversions(fields: Sequence[Field], form: Form) -> tuple[tuple[int, Convert], ...]:
    """Return the index of each field whose values need a conversion to or from a form, and the conversion."""
    return tuple(
        (index, _skip_none(getattr(field.kind, form)) if field.is_nullable else getattr(field.kind, form))
        for index, field in enumerate(fields)
        if _overrides(field.kind, form)
    )


def _skip_none(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _overrides(kind: Kind, form: Form) -> bool:
    return getattr(type(kind), form) is not getattr(Kind, form)
