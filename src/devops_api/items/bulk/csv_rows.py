"""Items as rows of CSV (RFC 4180): a header, list fields separated by blanks, an absent field as an empty cell."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import astuple

from devops_api.errors import InvalidError
from devops_api.items.decoding import decode_row
from devops_api.items.encoding import MEMBERS, create_document
from devops_api.items.fields import list_conversions
from devops_api.items.model import FIELD_NAMES, FIELDS, SERVER_FIELDS, Item, ItemFields

HEADER: Final = ",".join(MEMBERS).encode() + b"\r\n"
_REQUIRED: Final = {field.name for field in FIELDS if field.is_required}
_CONVERSIONS: Final = list_conversions(FIELDS, "to_cell")
_FIRST_FIELD: Final = MEMBERS.index(FIELD_NAMES[0])
_BOM: Final = b"\xef\xbb\xbf"


def encode_csv(items: Sequence[Item]) -> bytes:
    """Return the rows of items, without the header."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(_create_cells(item) for item in items)
    return text.getvalue().encode()


class CsvDecoder:
    """Decodes rows by the columns that the header names."""

    def __init__(self) -> None:
        self._columns: list[str] = []

    def read_header(self, text: bytes) -> None:
        """Take the names of the columns. InvalidError: they are not those of items."""
        columns = _read_cells(text.removeprefix(_BOM))
        known = (*FIELD_NAMES, *SERVER_FIELDS)
        if not _REQUIRED <= set(columns) <= set(known) or len(set(columns)) < len(columns):
            required = " and ".join(name for name in FIELD_NAMES if name in _REQUIRED)
            raise InvalidError(
                [], f"The CSV header must name {required}, no column twice, and only columns of {', '.join(known)}"
            )
        self._columns = columns

    def __call__(self, text: bytes) -> ItemFields:
        """Return the fields of a row. InvalidError."""
        cells = _read_cells(text)
        if len(cells) != len(self._columns):
            raise InvalidError([], f"has {len(cells)} cells, but the header names {len(self._columns)} columns")
        return decode_row(dict(zip(self._columns, cells, strict=True)))


def _create_cells(item: Item) -> list[Any]:
    cells = list(astuple(create_document(item)))
    for index, convert in _CONVERSIONS:
        cells[_FIRST_FIELD + index] = convert(cells[_FIRST_FIELD + index])
    return ["" if cell is None else cell for cell in cells]


def _read_cells(text: bytes) -> list[str]:
    try:
        return next(csv.reader([text.decode()], strict=True))
    except UnicodeDecodeError:
        raise InvalidError([], "is not UTF-8") from None
    except csv.Error as error:
        raise InvalidError([], f"is not CSV: {error}") from None
