"""Encode items as the JSON that clients get, and as the JSON that a store keeps of an item as it was created."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec
from msgspec.structs import asdict, astuple

from devops_api.items.fields import list_conversions
from devops_api.items.model import FIELD_NAMES, FIELDS, Item, ItemFields

_CONVERSIONS: Final = list_conversions(FIELDS, "to_json")
_FRACTIONS: Final = tuple(f".{millisecond:03d}Z" for millisecond in range(1000))
_Document: Final = msgspec.defstruct(
    "_Document", [("id", str), *FIELD_NAMES, ("created_at", str), ("updated_at", str), ("version", int)], gc=False
)
MEMBERS: Final = _Document.__struct_fields__
encode_json: Final = msgspec.json.Encoder().encode


def create_document(item: Item) -> msgspec.Struct:
    """Return what `encode_json` encodes as the JSON object that clients get; its members are `MEMBERS`."""
    values = [*astuple(item.fields)]
    for index, convert in _CONVERSIONS:
        values[index] = convert(values[index])
    created_at = format_time(item.created_at_ms)
    updated_at = created_at if item.updated_at_ms == item.created_at_ms else format_time(item.updated_at_ms)
    return _Document(item.id, *values, created_at, updated_at, item.version)


def encode_item(item: Item) -> bytes:
    """Return the JSON text that clients get."""
    return encode_json(create_document(item))


def format_time(time_ms: int) -> str:
    """Return RFC 3339 in UTC with milliseconds."""
    return _format_second(time_ms // 1000) + _FRACTIONS[time_ms % 1000]


@lru_cache(maxsize=4096)
def _format_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class _ServerFields(msgspec.Struct):
    id: str
    created_at_ms: int
    updated_at_ms: int
    version: int


_decode_fields = msgspec.json.Decoder(ItemFields).decode
_decode_server_fields = msgspec.json.Decoder(_ServerFields).decode


def dump_item(item: Item) -> str:
    """Return an item as a flat JSON object of stored values, for `load_item` of this and of any later version."""
    server_fields = {name: getattr(item, name) for name in _ServerFields.__struct_fields__}
    return encode_json(asdict(item.fields) | server_fields).decode()


def load_item(text: str) -> Item:
    """Return the item of a `dump_item`. Fields that its version did not have get their defaults."""
    return Item(fields=_decode_fields(text), **asdict(_decode_server_fields(text)))
