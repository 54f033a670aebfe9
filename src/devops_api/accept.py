"""Parse `Accept` and similar headers (RFC 9110, 12.4)."""

from collections.abc import Iterator
from typing import NamedTuple


class Preference(NamedTuple):
    """One entry: its name in lower case, its parameters, its quality from 0 (never) to 1."""

    name: str
    parameters: dict[str, str]
    quality: float


def parse_accept(header: str) -> Iterator[Preference]:
    """Return the entries of a header in order. A quality that is not a number counts as 0."""
    for entry in header.split(","):
        name, *rest = (part.strip() for part in entry.split(";"))
        parameters = {key.strip().lower(): value.strip() for key, _, value in (part.partition("=") for part in rest)}
        yield Preference(name.lower(), parameters, _parse_quality(parameters.get("q", "1")))


def _parse_quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
