"""HTML fragments. Functions that take text escape it; `render_table` takes cells that are HTML already."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

_BACKTICK: Final = "`"
_UNITS: Final = ((1024 * 1024, "MiB"), (1024, "KiB"))


def render_text(text: str) -> str:
    """Render text in which backticks mark `code`."""
    parts = escape(text).split(_BACKTICK)
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def render_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a table that scrolls if it is wider than the page; without `head` it has no heading row."""
    headings = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = [f"<tr>{headings}</tr>"] if head else []
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def format_size(size_bytes: int) -> str:
    """Format a size in the largest unit that gives a whole number."""
    for unit_bytes, name in _UNITS:
        if size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes} {name}"
    return f"{size_bytes} bytes"
