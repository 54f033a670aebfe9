"""Decode a client's JSON or CSV into validated fields.

The fast pass decodes into a type and stops at the first error. Only then does a second pass look at every field, so
that a valid body takes microseconds and an invalid one gets all of its errors at once.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

import msgspec
import orjson
from msgspec.structs import astuple

from devops_api.errors import ERRORS_MAX, FieldError, InvalidError, MalformedError
from devops_api.items.fields import ElementsError, name_type
from devops_api.items.model import FIELD_NAMES, FIELDS, SERVER_FIELDS, Item, ItemFields

_BY_NAME: Final = {field.name: field for field in FIELDS}
_NORMALISE: Final = tuple(field.kind.normalise for field in FIELDS)
_Body: Final = msgspec.defstruct(
    "_Body",
    [(field.name, field.wire) if field.is_required else (field.name, field.wire, field.default) for field in FIELDS],
    forbid_unknown_fields=True,
    gc=False,
)
_decode_body = msgspec.json.Decoder(_Body).decode
_decode_bodies = msgspec.json.Decoder(list[_Body]).decode  # type: ignore[valid-type]
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_FAILURES: Final = (msgspec.MsgspecError, ValueError)


def decode_item(body: bytes) -> ItemFields:
    """Decode the JSON object of one item.

    MalformedError: the body is not JSON. InvalidError: it is not an item; names every error.
    """
    try:
        return _normalise(_decode_body(body))
    except _FAILURES:
        parse_json(body)
        return _read_item(body)


def decode_items(body: bytes, most: int) -> list[ItemFields]:
    """Decode a JSON array of 1 to `most` items. Raises like `decode_item`; every invalid element is named."""
    document = parse_json(body)
    if not isinstance(document, list) or not 1 <= len(document) <= most:
        raise InvalidError([FieldError("", f"must be an array of 1 to {most} items")])
    try:
        return [_normalise(element) for element in _decode_bodies(body)]
    except _FAILURES:
        return _read_items(_decode_array(body))


def decode_patch(body: bytes) -> Callable[[Item], ItemFields]:
    """Decode a JSON merge patch (RFC 7396) into the function that applies it. Raises like `decode_item`."""
    if not isinstance(parse_json(body), dict):
        raise InvalidError([FieldError("", "must be an object of the fields to change")])
    changes = _collect(_decode_object(body).items(), _read_change)
    return lambda item: msgspec.structs.replace(item.fields, **changes)


def decode_line(line: bytes) -> ItemFields:
    """Decode one line of an import. The server's own fields are ignored, so that an export can be imported.

    Raises like `decode_item`.
    """
    try:
        return _normalise(_decode_body(line))
    except _FAILURES:
        parse_json(line)
        return _read_item(line, ignored=SERVER_FIELDS)


def decode_row(row: Mapping[str, str]) -> ItemFields:
    """Decode one row of CSV; an empty cell is an absent field. InvalidError names every error."""
    cells = [(name, cell) for name, cell in row.items() if cell != "" and name not in SERVER_FIELDS]
    return ItemFields(**_collect(cells, _read_cell, missing=_find_missing(dict(cells))))


def parse_json(body: bytes) -> Any:
    """Parse JSON by RFC 8259: no NaN, no lone surrogate, UTF-8 only. MalformedError says where it is invalid."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedError(f"The body is not JSON: {error}") from None


def _normalise(body: msgspec.Struct) -> ItemFields:
    given = zip(_NORMALISE, astuple(body))  # noqa: B905 - both have all fields, and `strict` takes a tenth of the time
    values: list[Any] = [value if value is None else normalise(value) for normalise, value in given]
    return ItemFields(*values)


def _read_items(elements: Iterable[msgspec.Raw]) -> list[ItemFields]:
    items, rejected = [], []
    for index, element in enumerate(elements):
        try:
            items.append(_read_item(bytes(element), f"/{index}"))
        except InvalidError as error:
            rejected.append(error.errors)
    if rejected:
        share = ERRORS_MAX // len(rejected)  # so that every invalid element is named, however many errors others have
        raise InvalidError([error for errors in rejected for error in errors[:share]])
    return items


def _read_item(raw: bytes, pointer: str = "", ignored: Collection[str] = ()) -> ItemFields:
    try:
        members = _decode_object(raw)
    except msgspec.ValidationError:
        detail = f"must be an object, not {name_type(orjson.loads(raw))}"
        raise InvalidError([FieldError(pointer, detail)]) from None
    values = [(name, text) for name, text in members.items() if name not in ignored]
    return ItemFields(**_collect(values, _read_member, pointer, _find_missing(members)))


def _find_missing(given: Collection[str]) -> list[str]:
    return [field.name for field in FIELDS if field.is_required and field.name not in given]


def _collect(
    given: Iterable[tuple[str, Any]],
    read: Callable[[str, Any], Any],
    pointer: str = "",
    missing: Iterable[str] = (),
) -> dict[str, Any]:
    """Read every field that is given. InvalidError names every error."""
    errors = [FieldError(f"{pointer}/{name}", "is required") for name in missing]
    values = {}
    for name, value in given:
        at = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
        try:
            values[name] = read(name, value)
        except ElementsError as error:
            errors += [FieldError(at + element, detail) for element, detail in error.errors]
        except ValueError as error:
            errors.append(FieldError(at, str(error)))
    if errors:
        raise InvalidError(errors) from None
    return values


def _read_member(name: str, raw: msgspec.Raw) -> Any:
    if name not in _BY_NAME:
        raise ValueError(f"is not a field of an item; these are: {', '.join(FIELD_NAMES)}")
    text = bytes(raw)
    return None if text == b"null" and _BY_NAME[name].is_nullable else _BY_NAME[name].kind.decode(text)


def _read_change(name: str, raw: msgspec.Raw) -> Any:
    """Read a member of a merge patch, in which null stands for the default."""
    field = _BY_NAME.get(name)
    if field is None or bytes(raw) != b"null":
        return _read_member(name, raw)
    if field.is_required:
        raise ValueError("is required and cannot be removed")
    return field.default


def _read_cell(name: str, cell: str) -> Any:
    return _BY_NAME[name].kind.parse(cell)
