"""Item identifiers: UUIDv7 (RFC 9562) that sort in the order of creation.

A sequence number is the time of creation in milliseconds and a counter, in one integer. It is an item's key in the
store, and the first half of its identifier.
"""

import re
import secrets
from typing import Final

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
SEQUENCE_BITS: Final = 12  # the rand_a field of a UUIDv7, used as a counter within the millisecond (method 1)


def create_sequence(now_ms: int, last: int) -> int:
    """Return the sequence number of a new item, which is always above `last`."""
    return max(now_ms << SEQUENCE_BITS, last + 1)


def read_time_ms(sequence: int) -> int:
    """Return the milliseconds since 1970 UTC in a sequence number."""
    return sequence >> SEQUENCE_BITS


def create_id(sequence: int) -> str:
    """Return a UUIDv7 that contains the sequence number; its other 62 bits are random."""
    low = (1 << 63) | secrets.randbits(62)
    high = ((sequence >> SEQUENCE_BITS) << 16) | 0x7000 | (sequence & 0xFFF)
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_id(item_id: str) -> int | None:
    """Return the sequence number in an identifier, or None if it is not a UUIDv7."""
    if not _ID.fullmatch(item_id):
        return None
    return int(item_id[:8] + item_id[9:13] + item_id[15:18], 16)
