"""The fields that a struct declares, and what is derived from them.

A field is declared by annotating a member of a struct with its kind: `name: Annotated[str, Line(longest=200)]`. JSON,
CSV, SQL, query parameters and schemas loop over `list_fields` once, at import.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, ClassVar, Final, Literal, NamedTuple, get_args

import msgspec
import orjson

from devops_api.http.operations import Schema

_TYPE_NAMES: Final = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def name_type(value: object) -> str:
    """Return what JSON calls the type of a parsed value, with its article."""
    return _TYPE_NAMES[type(value)]


class Filter(Enum):
    """How lists can be filtered by a field, and by which query parameters."""

    EQUAL = auto()  # <name>
    RANGE = auto()  # min_<name> and max_<name>, both inclusive
    ALL = auto()  # the name in the singular, repeatable: items that have all of these values


class ElementsError(ValueError):
    """A list is invalid. `errors` has for each error a JSON pointer within the list (empty: the list) and its text."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__(errors[0][1])
        self.errors = errors


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Base of the kinds. A value is never None here: callers handle optional fields.

    `wire` is the type that the JSON decoder checks, `json_type` that of the parsed value. The description of a field
    is its `note` and its rules.
    """

    note: str = ""
    filter: Filter | None = None
    is_sorted: bool = False
    is_searched: bool = False
    wire: ClassVar[Any] = str
    json_type: ClassVar[type] = str

    def normalise(self, value: Any) -> Any:
        """Return the stored value of a decoded `wire` value. ValueError says what is wrong with it."""
        raise NotImplementedError

    def decode(self, raw: bytes) -> Any:
        """Return the stored value of any JSON text. ValueError, ElementsError."""
        value = orjson.loads(raw)
        if not isinstance(value, self.json_type):
            raise ValueError(f"must be {_TYPE_NAMES[self.json_type]}, not {name_type(value)}")  # noqa: TRY004
        return self.normalise(value)

    def parse(self, text: str) -> Any:
        """Return the stored value of a CSV cell. ValueError, ElementsError."""
        return self.normalise(text)

    def parse_filter(self, values: Sequence[str]) -> Any:
        """Return the value that a query parameter filters by; only `Filter.ALL` allows several. ValueError."""
        return self.parse(values[0])

    def is_key(self, value: object) -> bool:
        """Return whether a cursor may hold this value as the sort key."""
        return isinstance(value, str)

    def to_json(self, value: Any) -> Any:
        """Return what JSON has for a stored value."""
        return value

    def to_cell(self, value: Any) -> Any:
        """Return the CSV cell of a stored value, if it is not the JSON value."""
        return value

    def to_sql(self, value: Any) -> Any:
        """Return what a column holds for a stored value."""
        return value

    def from_sql(self, value: Any) -> Any:
        """Return the stored value of a column."""
        return value

    @property
    def rules(self) -> str:
        """The rules in words, for the documentation."""
        raise NotImplementedError

    def create_schema(self) -> Schema:
        """Return the JSON Schema of a stored value."""
        raise NotImplementedError

    def create_input_schema(self) -> Schema:
        """Return the JSON Schema of a value that clients send."""
        return self.create_schema()

    def create_filter_schema(self) -> Schema:
        """Return the JSON Schema of a value that a query parameter filters by."""
        return self.create_schema()


class Field(NamedTuple):
    """A field as its struct declares it. `is_nullable` means that its value can be None."""

    name: str
    kind: Kind
    is_required: bool
    is_nullable: bool
    default: Any

    @property
    def singular(self) -> str:
        """The name of one element of a list."""
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
    """A query parameter that compares a field with its value; `all` requires every one of several values."""

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
    name = field.name
    if field.kind.filter is Filter.EQUAL:
        yield FieldFilter(name, field, "=", f"The `{name}` of the item.")
    elif field.kind.filter is Filter.RANGE:
        yield FieldFilter(f"min_{name}", field, ">=", f"The lowest `{name}`, inclusive.")
        yield FieldFilter(f"max_{name}", field, "<=", f"The highest `{name}`, inclusive.")
    elif field.kind.filter is Filter.ALL:
        singular = field.singular
        yield FieldFilter(singular, field, "all", f"A {singular}. Repeat it to require several {name}.")


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
