"""Exporting items as NDJSON or CSV, chunk by chunk."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Final

import orjson

from devops_api.items.bulk.imports import CSV, NDJSON
from devops_api.items.decoding import FIELDS
from devops_api.items.model import Item, item_document

COLUMNS: Final = ("id", *FIELDS, "created_at", "updated_at", "version")


def encode_ndjson(items: Sequence[Item]) -> bytes:
    """One JSON object a line."""
    return b"".join(orjson.dumps(item_document(item), option=orjson.OPT_APPEND_NEWLINE) for item in items)


def encode_csv(items: Sequence[Item]) -> bytes:
    """Rows of `COLUMNS`, tags separated by blanks, an absent field an empty cell (RFC 4180)."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(_cells(item) for item in items)
    return text.getvalue().encode()


def csv_header() -> bytes:
    """The line that names `COLUMNS`."""
    return ",".join(COLUMNS).encode() + b"\r\n"


def _cells(item: Item) -> list[object]:
    document = item_document(item) | {"tags": " ".join(item.tags)}
    return ["" if document[column] is None else document[column] for column in COLUMNS]


ENCODERS: Final[dict[str, tuple[bytes, Callable[[Sequence[Item]], bytes]]]] = {
    NDJSON: (b"", encode_ndjson),
    CSV: (csv_header(), encode_csv),
}
