"""The formats of imports and exports, and their negotiation."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from devops_api.accept import parse_accept
from devops_api.errors import FieldError, InvalidError, NotAcceptableError
from devops_api.items.bulk.csv_rows import HEADER, encode_csv
from devops_api.items.encoding import create_document, encode_json
from devops_api.items.model import Item


class Format(NamedTuple):
    """A format. `ranges` are the media ranges of `Accept` that it satisfies, the most specific first.

    `header` comes before the rows of `encode`, and is empty for a format without one.
    """

    name: str
    media_type: str
    ranges: Sequence[str]
    header: bytes
    encode: Callable[[Sequence[Item]], bytes]


def encode_ndjson(items: Sequence[Item]) -> bytes:
    """Return one JSON object per line."""
    return b"".join([encode_json(create_document(item)) + b"\n" for item in items])


NDJSON: Final = Format(
    "ndjson",
    "application/x-ndjson",
    ("application/x-ndjson", "application/jsonl", "application/*", "*/*"),
    b"",
    encode_ndjson,
)
CSV: Final = Format("csv", "text/csv", ("text/csv", "text/*", "*/*"), HEADER, encode_csv)
FORMATS: Final = {known.name: known for known in (NDJSON, CSV)}


def negotiate(name: str | None, accept: str) -> Format:
    """Return the format with a name, or else the one that `Accept` prefers; of equal ones the first in `Accept`.

    InvalidError: the name is unknown. NotAcceptableError.
    """
    if name is not None and name not in FORMATS:
        raise InvalidError([FieldError("format", f"must be one of {', '.join(FORMATS)}", "parameter")])
    if name is not None:
        return FORMATS[name]
    given = {entry.name: (entry.quality, -index) for index, entry in enumerate(parse_accept(accept or "*/*"))}
    best = max(FORMATS.values(), key=lambda known: _rank(known, given))
    if not _rank(best, given)[0]:
        raise NotAcceptableError(f"Exports are {' or '.join(known.media_type for known in FORMATS.values())}")
    return best


def _rank(known: Format, given: Mapping[str, tuple[float, int]]) -> tuple[float, int]:
    """Return the quality of a format and its rank in the header, by the most specific media range that is given."""
    return next((given[name] for name in known.ranges if name in given), (0.0, 0))
