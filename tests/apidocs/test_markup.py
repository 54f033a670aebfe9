"""Text must reach the page escaped, and sizes in the unit that people use."""

import pytest

from devops_api.apidocs.markup import format_size, render_table, render_text


def test_text_is_escaped_and_backticks_mark_code() -> None:
    assert render_text("a < b: `x & y`, `z`") == "a &lt; b: <code>x &amp; y</code>, <code>z</code>"


def test_table_escapes_headings_and_takes_cells_as_html() -> None:
    assert render_table(("<",), [("<b>1</b>",)]) == (
        '<div class="scroll"><table><tr><th>&lt;</th></tr><tr><td><b>1</b></td></tr></table></div>'
    )
    assert "<th>" not in render_table((), [("1",)])


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(3 * 1024 * 1024, "3 MiB"), (1536, "1536 bytes"), (2048, "2 KiB"), (100, "100 bytes")]
)
def test_size_is_in_the_largest_whole_unit(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text
