"""What an item is: its fields, their rules, its identifier, and the JSON it is sent as.

A price is an integer of hundredths everywhere but in JSON, where it is a number; see `items_json` for the way in.
"""

import re
import secrets
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from typing import Any, Final

import msgspec
import orjson

NAME_MAX: Final = 200
SKU_MAX: Final = 64
DESCRIPTION_MAX: Final = 2_000
TAGS_MAX: Final = 20
PRICE_MAX_HUNDREDTHS: Final = 9_999_999_999_99
TAG_PATTERN: Final = "[a-z0-9][a-z0-9_-]{0,49}"

_TAG = re.compile(TAG_PATTERN)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_PARTS_MAX = 4  # into which a composed character can fall apart: what is longer than that cannot become short enough
_MARKS_UNSORTED_MAX = 1_000  # a millisecond at the worst
# The three characters that are no marks themselves and fall apart into marks alone.
_DECOMPOSED = {0x0F73: "\u0f71\u0f72", 0x0F75: "\u0f71\u0f74", 0x0F81: "\u0f71\u0f80"}
_SEQUENCE_BITS = 12  # the rand_a field of a UUIDv7, used as a counter within the millisecond (RFC 9562, method 1)


class ItemFields(msgspec.Struct, frozen=True, gc=False):
    """What a client may say of an item, checked and normalised: `price` in hundredths, `tags` distinct."""

    name: str
    price: int
    sku: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()


class Item(msgspec.Struct, frozen=True, gc=False):
    """An item as it is stored: `price` in hundredths, times in milliseconds since 1970 UTC, `version` from 1."""

    id: str
    name: str
    price: int
    sku: str | None
    description: str | None
    tags: tuple[str, ...]
    created_at_ms: int
    updated_at_ms: int
    version: int


def normalise_name(value: str) -> str:
    """Trim and compose (NFC) a name; ValueError says what is wrong with it."""
    return _normalise_line(value, NAME_MAX)


def normalise_sku(value: str) -> str:
    """Trim and compose a stock-keeping unit; ValueError says what is wrong with it."""
    return _normalise_line(value, SKU_MAX)


def normalise_description(value: str) -> str:
    """Compose a description, which may hold lines and tabs; ValueError says what is wrong with it."""
    text = value if len(value) > _PARTS_MAX * DESCRIPTION_MAX else _compose(value)
    if len(text) > DESCRIPTION_MAX:
        raise ValueError(f"must be at most {DESCRIPTION_MAX} characters, not {len(text)}")
    if _CONTROL_BUT_LINES.search(text):
        raise ValueError("must hold no control character but tab, line feed and carriage return")
    return text


def find_tag_faults(tags: Sequence[object]) -> list[tuple[int | None, str]]:
    """What is wrong with a list of tags, each with the index of the tag, or None for the list."""
    faults: list[tuple[int | None, str]] = []
    if len(tags) > TAGS_MAX:
        faults.append((None, f"must be at most {TAGS_MAX} tags, not {len(tags)}"))
    for index, tag in enumerate(tags[:TAGS_MAX]):  # Of tags beyond the limit there may be a megabyte.
        if not isinstance(tag, str) or not _TAG.fullmatch(tag):
            faults.append((index, "must be 1 to 50 characters of a-z, 0-9, - and _, the first a letter or digit"))
        elif tag in tags[:index]:
            faults.append((index, f"is given twice: {tag}"))
    return faults


def normalise_text(value: str) -> str:
    """Composed (NFC) and trimmed, as names and skus are kept."""
    return value.strip() if value.isascii() else _compose(value).strip()


def _compose(value: str) -> str:
    """NFC, in time that grows as the text does.

    Python's own takes the square of the length of a run of marks that is out of order, minutes for a body of a
    megabyte, and next to nothing for one that is in order already.
    """
    if len(value) > _MARKS_UNSORTED_MAX and not unicodedata.is_normalized("NFC", value):
        runs = groupby(value.translate(_DECOMPOSED), lambda character: unicodedata.combining(character) > 0)
        value = "".join("".join(sorted(run, key=unicodedata.combining) if is_mark else run) for is_mark, run in runs)
    return unicodedata.normalize("NFC", value)


def _normalise_line(value: str, most: int) -> str:
    if len(value) > _PARTS_MAX * most:
        value = value.strip()
    text = value if len(value) > _PARTS_MAX * most else normalise_text(value)
    if not 1 <= len(text) <= most:
        raise ValueError(f"must be 1 to {most} characters after trimming, not {len(text)}")
    if not text.isprintable() and _CONTROL.search(text):
        raise ValueError("must hold no control character")
    return text


def create_sequence(now_ms: int, last: int) -> int:
    """The next item's place in time: milliseconds and a counter in one integer, always above `last`."""
    return max(now_ms << _SEQUENCE_BITS, last + 1)


def create_id(sequence: int) -> str:
    """A UUIDv7 (RFC 9562) that sorts as `sequence` does, its other 62 bits random."""
    low = (1 << 63) | (secrets.randbits(62))
    high = ((sequence >> _SEQUENCE_BITS) << 16) | 0x7000 | (sequence & 0xFFF)
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def sequence_of(item_id: str) -> int | None:
    """The place in time that `create_id` put into the identifier; None where it is not one of ours."""
    if not _ID.fullmatch(item_id):
        return None
    return int(item_id[:8] + item_id[9:13] + item_id[15:18], 16)


def created_at_ms_of(sequence: int) -> int:
    """The milliseconds since 1970 UTC that a sequence holds."""
    return sequence >> _SEQUENCE_BITS


def price_number(hundredths: int) -> int | float:
    """The JSON number of a price, in its shortest form: 999 is 9.99, 1000 is 10."""
    whole, rest = divmod(hundredths, 100)
    return hundredths / 100 if rest else whole


def item_document(item: Item) -> dict[str, Any]:
    """The JSON object that clients see."""
    created_at = format_time(item.created_at_ms)
    return {
        "id": item.id,
        "name": item.name,
        "price": price_number(item.price),
        "sku": item.sku,
        "description": item.description,
        "tags": item.tags,
        "created_at": created_at,
        "updated_at": created_at if item.updated_at_ms == item.created_at_ms else format_time(item.updated_at_ms),
        "version": item.version,
    }


def encode_item(item: Item) -> bytes:
    """The JSON text of one item."""
    return orjson.dumps(item_document(item))


def format_time(time_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return f"{_format_second(time_ms // 1000)}.{time_ms % 1000:03d}Z"


@lru_cache(maxsize=4096)
def _format_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
