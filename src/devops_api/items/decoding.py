"""From a client's JSON or CSV to checked item fields.

The fast pass decodes into a type and stops at the first fault; only then does the second look at every field, so that
a good body costs microseconds and a bad one is told everything at once. Prices are read from the number's own digits,
never through a float: 1.100 is 110 hundredths and 1.101 is refused.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

import msgspec
import orjson

from devops_api.errors import ERRORS_MAX, FieldError, InvalidError, MalformedError
from devops_api.items.model import (
    Item,
    ItemFields,
    find_tag_faults,
    normalise_description,
    normalise_name,
    normalise_sku,
)

_T = TypeVar("_T")

FIELDS: Final = ItemFields.__struct_fields__
SERVER_FIELDS: Final = ("id", "created_at", "updated_at", "version")
_REQUIRED: Final = ("name", "price")
_PLAIN_PRICE = re.compile(rb"(\d{1,10})(?:\.(\d{1,2}))?")
_JSON_NUMBER = re.compile(rb"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_TYPE_NAMES = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}
_HIGHEST_DIGIT: Final = 9  # the power of ten of the first digit of 9 999 999 999.99


class ItemBody(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The JSON object that creates or replaces an item; `/openapi.json` describes this type."""

    name: str
    price: msgspec.Raw
    sku: str | None = None
    description: str | None = None
    tags: list[str] = []


_decode_body = msgspec.json.Decoder(ItemBody).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def decode_item(body: bytes) -> ItemFields:
    """Decode one item's JSON object.

    Raises MalformedError where the body is not JSON, InvalidError with every fault where it is not an item.
    """
    try:
        return _fields_of(_decode_body(body))
    except (msgspec.MsgspecError, ValueError):
        parse_json(body)
        return _require(_read_item(body, ""))


def decode_items(body: bytes, most: int) -> list[ItemFields]:
    """Decode a JSON array of 1 to `most` items; every fault of every element is named. Raises as `decode_item` does."""
    document = parse_json(body)
    if not isinstance(document, list) or not 1 <= len(document) <= most:
        raise InvalidError([FieldError("", f"must be an array of 1 to {most} items")])
    read = [_read_item(element, f"/{index}") for index, element in enumerate(_decode_array(body))]
    bad = [faults for _, faults in read if faults]
    if bad:
        share = ERRORS_MAX // len(bad)  # so that every bad element is named, whatever the others hold
        raise InvalidError([fault for faults in bad for fault in faults[:share]])
    return [fields for fields, _ in read if fields is not None]


def decode_patch(body: bytes) -> Callable[[Item], ItemFields]:
    """Decode a JSON merge patch (RFC 7396) into the function that applies it. Raises as `decode_item` does."""
    if not isinstance(parse_json(body), dict):
        raise InvalidError([FieldError("", "must be an object of the fields to change")])
    faults: list[FieldError] = []
    changes = _collect_values(_decode_object(body), "", faults, is_patch=True)
    if faults:
        raise InvalidError(faults)

    def apply(item: Item) -> ItemFields:
        return ItemFields(**{name: changes[name] if name in changes else getattr(item, name) for name in FIELDS})

    return apply


def decode_line(line: bytes) -> ItemFields:
    """Decode one line of an import, in which the server's own fields are passed over: an export can be imported.

    Raises as `decode_item` does.
    """
    try:
        return _fields_of(_decode_body(line))
    except (msgspec.MsgspecError, ValueError):
        document = parse_json(line)
        if not isinstance(document, dict):
            return decode_item(line)
        raw = {name: text for name, text in _decode_object(line).items() if name not in SERVER_FIELDS}
        return _require(_build(raw, ""))


def decode_row(row: Mapping[str, str]) -> ItemFields:
    """Decode one row of a CSV file: `tags` separated by blanks, an empty cell is an absent field.

    Raises InvalidError with every fault.
    """
    raw = {name: orjson.dumps(cell) for name, cell in row.items() if cell != "" and name not in SERVER_FIELDS}
    if "price" in raw and _JSON_NUMBER.fullmatch(row["price"].encode()):
        raw["price"] = row["price"].encode()
    if "tags" in raw:
        raw["tags"] = orjson.dumps(row["tags"].split())
    return _require(_build(raw, ""))


def parse_json(body: bytes) -> Any:
    """Parse a JSON text (RFC 8259: no NaN, no lone surrogate, UTF-8 only); MalformedError says where it breaks."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedError(f"The body is not JSON: {error}") from None


def parse_price(raw: bytes) -> int:
    """The hundredths of a JSON number given as its text; ValueError says what is wrong with it."""
    plain = _PLAIN_PRICE.fullmatch(raw)
    if plain:
        whole, fraction = plain.groups()
        return int(whole) * 100 + (int(fraction.ljust(2, b"0")) if fraction else 0)
    if not _JSON_NUMBER.fullmatch(raw):
        raise ValueError(f"must be a number, not {_name_type(orjson.loads(raw))}")
    try:
        number = Decimal(raw.decode())
    except InvalidOperation:
        raise ValueError("must not have an exponent of that size") from None
    if number.is_zero():
        return 0
    if number < 0 or number.adjusted() > _HIGHEST_DIGIT:
        raise ValueError("must be 0 to 9999999999.99")
    _, digits, exponent = number.as_tuple()
    hundredths, rest = _scale(digits, int(exponent))
    if rest:
        raise ValueError("must be a whole number of hundredths")
    return hundredths


def _scale(digits: Sequence[int], exponent: int) -> tuple[int, bool]:
    """Hundredths, and whether anything is left: on the digits, since Decimal's own arithmetic rounds to 28 of them."""
    text = "".join(map(str, digits))
    kept = max(len(text) + exponent + 2, 0)
    return int(text[:kept].ljust(kept, "0") or "0"), bool(text[kept:].strip("0"))


def _require(read: tuple[ItemFields | None, list[FieldError]]) -> ItemFields:
    fields, faults = read
    if fields is None:
        raise InvalidError(faults) from None
    return fields


def _fields_of(body: ItemBody) -> ItemFields:
    if body.tags and find_tag_faults(body.tags):
        raise ValueError
    return ItemFields(
        normalise_name(body.name),
        parse_price(bytes(body.price)),
        None if body.sku is None else normalise_sku(body.sku),
        None if body.description is None else normalise_description(body.description),
        tuple(body.tags),
    )


def _read_item(raw: bytes | msgspec.Raw, at: str) -> tuple[ItemFields | None, list[FieldError]]:
    try:
        fields = _decode_object(raw)
    except msgspec.ValidationError:
        return None, [FieldError(at, f"must be an object, not {_name_type(orjson.loads(bytes(raw)))}")]
    return _build(fields, at)


def _build(raw: Mapping[str, bytes | msgspec.Raw], at: str) -> tuple[ItemFields | None, list[FieldError]]:
    faults = [FieldError(f"{at}/{name}", "is required") for name in _REQUIRED if name not in raw]
    values = _collect_values(raw, at, faults)
    return (None if faults else ItemFields(**values)), faults


def _collect_values(
    raw: Mapping[str, bytes | msgspec.Raw], at: str, faults: list[FieldError], *, is_patch: bool = False
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in raw.items():
        if name not in FIELDS:
            pointer = name.replace("~", "~0").replace("/", "~1")
            faults.append(FieldError(f"{at}/{pointer}", f"is not a field of an item; these are: {', '.join(FIELDS)}"))
        elif bytes(text) == b"null" and (is_patch or name in {"sku", "description"}):
            if name in _REQUIRED:
                faults.append(FieldError(f"{at}/{name}", "is required and cannot be removed"))
            values[name] = () if name == "tags" else None
        else:
            _collect_value(name, bytes(text), f"{at}/{name}", values, faults)
    return values


def _collect_value(name: str, raw: bytes, at: str, values: dict[str, Any], faults: list[FieldError]) -> None:
    try:
        if name == "price":
            values[name] = parse_price(raw)
        elif name == "tags":
            tags = _expect(raw, list)
            faults += [
                FieldError(at if index is None else f"{at}/{index}", detail) for index, detail in find_tag_faults(tags)
            ]
            values[name] = tuple(tags)
        else:
            values[name] = _NORMALISE[name](_expect(raw, str))
    except ValueError as error:
        faults.append(FieldError(at, str(error)))


def _expect(raw: bytes, kind: type[_T]) -> _T:
    value = orjson.loads(raw)
    if not isinstance(value, kind):
        raise ValueError(  # noqa: TRY004 - a fault of the data, not of the program
            f"must be {_TYPE_NAMES[kind]}, not {_name_type(value)}"
        )
    return value


def _name_type(value: object) -> str:
    return _TYPE_NAMES[type(value)]


_NORMALISE: Final = {"name": normalise_name, "sku": normalise_sku, "description": normalise_description}
