"""The kinds of fields that an item can have: lines, texts, whole numbers, hundredths, tags.

Each checks and normalises its values, words the errors, and converts values to and from JSON, CSV and SQL; see
`fields.Kind`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec
import orjson

from devops_api.http.operations import Schema
from devops_api.items.fields import ElementsError, Kind, name_type
from devops_api.items.numbers import check_range, is_json_number, parse_number
from devops_api.items.text import TEXT_PATTERN, create_line_pattern, normalise_line, normalise_text, trim

TAG_PATTERN: Final = "[a-z0-9][a-z0-9_-]{0,49}"
_is_tag = re.compile(TAG_PATTERN).fullmatch


@dataclass(frozen=True, kw_only=True)
class Line(Kind):
    """A single line of text, trimmed and composed (NFC), without control characters."""

    longest: int

    def normalise(self, value: str) -> str:
        """See `Kind.normalise`."""
        return normalise_line(value, self.longest)

    def parse_filter(self, values: Sequence[str]) -> str:
        """Accept any text: one that no item can have finds nothing."""
        return trim(values[0])

    @property
    def rules(self) -> str:
        """See `Kind.rules`."""
        return f"1 to {self.longest} characters after trimming, no control characters; stored as NFC."

    def create_schema(self) -> Schema:
        """See `Kind.create_schema`."""
        return {"type": "string", "minLength": 1, "maxLength": self.longest}

    def create_input_schema(self) -> Schema:
        """Express the length after trimming, which `maxLength` cannot, by a pattern."""
        return {"type": "string", "pattern": create_line_pattern(self.longest)}

    def create_filter_schema(self) -> Schema:
        """See `parse_filter`."""
        return {"type": "string"}


@dataclass(frozen=True, kw_only=True)
class Text(Kind):
    """A text of any number of lines, composed (NFC)."""

    longest: int

    def normalise(self, value: str) -> str:
        """See `Kind.normalise`."""
        return normalise_text(value, self.longest)

    @property
    def rules(self) -> str:
        """See `Kind.rules`."""
        return f"Up to {self.longest} characters; line breaks and tabs are allowed; stored as NFC."

    def create_schema(self) -> Schema:
        """See `Kind.create_schema`."""
        return {"type": "string", "maxLength": self.longest}

    def create_input_schema(self) -> Schema:
        """See `Kind.create_input_schema`."""
        return self.create_schema() | {"pattern": TEXT_PATTERN}


@dataclass(frozen=True, kw_only=True)
class Whole(Kind):
    """A whole number, by value: 1.0 and 1e2 are whole. Bounds are inclusive."""

    least: int = 0
    most: int
    places: ClassVar[int] = 0
    wire: ClassVar[Any] = int
    json_type: ClassVar[type] = int

    def normalise(self, value: Any) -> int:
        """See `Kind.normalise`."""
        return check_range(value, self.places, self.least, self.most)

    def decode(self, raw: bytes) -> int:
        """Read the number from its digits; see `Kind.decode`."""
        if not is_json_number(raw):
            raise ValueError(f"must be a number, not {name_type(orjson.loads(raw))}")
        return parse_number(raw, self.places, self.least, self.most)

    def parse(self, text: str) -> int:
        """See `Kind.parse`."""
        return parse_number(text.encode("utf-8", "replace"), self.places, self.least, self.most)

    def is_key(self, value: object) -> bool:
        """Reject a number that the field cannot have and that a store may not be able to look for."""
        return type(value) is int and self.least <= value <= self.most

    @property
    def rules(self) -> str:
        """See `Kind.rules`."""
        return f"A whole number, {self.least} to {self.most}."

    def create_schema(self) -> Schema:
        """See `Kind.create_schema`."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, kw_only=True)
class Hundredths(Whole):
    """A number with at most two decimal places, stored as a whole number of hundredths; the bounds are hundredths."""

    places: ClassVar[int] = 2
    wire: ClassVar[Any] = msgspec.Raw

    def normalise(self, value: Any) -> int:
        """See `Kind.normalise`."""
        return parse_number(bytes(value), 2, self.least, self.most)

    def to_json(self, value: int) -> int | float:
        """See `Kind.to_json`."""
        return value / 100 if value % 100 else value // 100

    @property
    def rules(self) -> str:
        """See `Kind.rules`."""
        least, most = self.to_json(self.least), self.to_json(self.most)
        return f"{least} to {most} with at most two decimal places by value: 1.100 is valid, 1.101 is not."

    def create_schema(self) -> Schema:
        """See `Kind.create_schema`."""
        least, most = self.to_json(self.least), self.to_json(self.most)
        return {"type": "number", "minimum": least, "maximum": most, "multipleOf": 0.01}


@dataclass(frozen=True, kw_only=True)
class Tags(Kind):
    """A list of distinct tags, in the order given. A CSV cell and a column separate them by blanks."""

    most: int
    wire: ClassVar[Any] = list[str]
    json_type: ClassVar[type] = list

    def normalise(self, value: Sequence[str]) -> tuple[str, ...]:
        """See `Kind.normalise`; ElementsError names each invalid tag."""
        if len(value) <= self.most and len(set(value)) == len(value) and all(map(_is_tag, value)):
            return tuple(value)
        raise ElementsError(self._find_errors(value))

    def decode(self, raw: bytes) -> tuple[str, ...]:
        """Name elements that are not strings too; see `Kind.decode`."""
        value = orjson.loads(raw)
        if isinstance(value, list) and (errors := self._find_errors(value)):
            raise ElementsError(errors)
        return tuple(super().decode(raw))

    def parse(self, text: str) -> tuple[str, ...]:
        """See `Kind.parse`."""
        return self.normalise(text.split())

    def parse_filter(self, values: Sequence[str]) -> tuple[str, ...]:
        """Ignore repeated tags; see `Kind.parse_filter`."""
        if len(values) > self.most:
            raise ValueError(f"must be given at most {self.most} times, not {len(values)}")
        return self.normalise(list(dict.fromkeys(values)))

    def to_cell(self, value: Sequence[str]) -> str:
        """See `Kind.to_cell`."""
        return " ".join(value)

    def to_sql(self, value: Sequence[str]) -> str:
        """See `Kind.to_sql`."""
        return " ".join(value)

    def from_sql(self, value: str) -> tuple[str, ...]:
        """See `Kind.from_sql`."""
        return tuple(value.split(" ")) if value else ()

    @property
    def rules(self) -> str:
        """See `Kind.rules`."""
        return (
            f"Up to {self.most} distinct tags of 1 to 50 characters from a-z, 0-9, - and _; "
            "the first is a letter or digit."
        )

    def create_schema(self) -> Schema:
        """See `Kind.create_schema`."""
        return self.create_filter_schema() | {"uniqueItems": True}

    def create_filter_schema(self) -> Schema:
        """Allow repetition; see `Kind.create_filter_schema`."""
        tag = {"type": "string", "pattern": f"^{TAG_PATTERN}$"}
        return {"type": "array", "items": tag, "maxItems": self.most}

    def _find_errors(self, value: Sequence[object]) -> list[tuple[str, str]]:
        errors: list[tuple[str, str]] = []
        if len(value) > self.most:
            errors.append(("", f"must be at most {self.most} tags, not {len(value)}"))
        for index, tag in enumerate(value[: self.most]):  # A body has room for a megabyte of further tags.
            if not isinstance(tag, str) or not _is_tag(tag):
                detail = "must be 1 to 50 characters of a-z, 0-9, - and _, the first a letter or digit"
                errors.append((f"/{index}", detail))
            elif tag in value[:index]:
                errors.append((f"/{index}", f"is given twice: {tag}"))
        return errors
