"""Unicode text as items store it: composed (NFC), trimmed, without control characters."""

import re
import unicodedata
from itertools import groupby
from typing import Final

# JSON Schema patterns are ECMAScript's, which has no name for what Python calls a space.
CONTROL_CLASS: Final = "\\u0000-\\u001f\\u007f-\\u009f"
SPACE_CLASS: Final = "\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
TEXT_PATTERN: Final = "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f]*$"

_EXPANSION_MAX: Final = 4  # NFC shortens a text at most fourfold: a longer one cannot become short enough.
_UNSORTED_MARKS_MAX: Final = 1_000  # Python's own normalisation takes a millisecond for a run of this length.
# The three characters that are not marks but decompose into marks alone.
_DECOMPOSED: Final = {0x0F73: "\u0f71\u0f72", 0x0F75: "\u0f71\u0f74", 0x0F81: "\u0f71\u0f80"}
_find_control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_find_control_in_lines = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]").search


def normalise_line(value: str, longest: int) -> str:
    """Trim and compose a single line. ValueError: it is empty, too long or contains a control character."""
    text = value.strip()
    if not text.isascii():
        text = _compose_short(text, longest)
    if not 1 <= len(text) <= longest:
        raise ValueError(f"must be 1 to {longest} characters after trimming, not {len(text)}")
    if not text.isprintable() and _find_control(text):
        raise ValueError("must not contain control characters")
    return text


def normalise_text(value: str, longest: int) -> str:
    """Compose a text of any number of lines. ValueError: it is too long or contains a control character."""
    text = value if value.isascii() else _compose_short(value, longest)
    if len(text) > longest:
        raise ValueError(f"must be at most {longest} characters, not {len(text)}")
    if not text.isprintable() and _find_control_in_lines(text):
        raise ValueError("must not contain control characters except tab, line feed and carriage return")
    return text


def trim(value: str) -> str:
    """Trim and compose a text of any content, so that it compares equal to a stored line."""
    text = value.strip()
    return text if text.isascii() else compose(text)


def compose(value: str) -> str:
    """Return the text in NFC, in time linear in its length.

    Python's own function takes quadratic time for a run of combining marks that is out of order (minutes for a
    megabyte), so longer runs are sorted first.
    """
    if len(value) > _UNSORTED_MARKS_MAX and not unicodedata.is_normalized("NFC", value):
        runs = groupby(value.translate(_DECOMPOSED), lambda character: unicodedata.combining(character) > 0)
        value = "".join("".join(sorted(run, key=unicodedata.combining) if is_mark else run) for is_mark, run in runs)
    return unicodedata.normalize("NFC", value)


def create_line_pattern(longest: int) -> str:
    """Return the JSON Schema pattern of a line of 1 to `longest` characters after trimming."""
    edge = f"[^{CONTROL_CLASS}{SPACE_CLASS}]"
    return f"^[{SPACE_CLASS}]*{edge}([^{CONTROL_CLASS}]{{0,{longest - 2}}}{edge})?[{SPACE_CLASS}]*$"


def _compose_short(text: str, longest: int) -> str:
    return text if len(text) > _EXPANSION_MAX * longest else compose(text)
