"""Text must come back as it was sent, apart from trimming and composition."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devops_api.items.text import compose, normalise_line, normalise_text, trim


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=200))
def test_line_in_any_script_is_only_trimmed_and_composed(line: str) -> None:
    expected = unicodedata.normalize("NFC", line).strip()
    if 1 <= len(expected) <= 200:
        assert normalise_line(line, 200) == expected
    else:
        with pytest.raises(ValueError, match="1 to 200 characters"):
            normalise_line(line, 200)


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=50))
def test_trimmed_text_equals_the_composed_text_trimmed(text: str) -> None:
    assert trim(text) == unicodedata.normalize("NFC", text).strip()


@pytest.mark.parametrize("line", ["a\x00b", "a\nb", "a\x7fb", "a\x85b"])
def test_line_with_a_control_character_is_rejected(line: str) -> None:
    with pytest.raises(ValueError, match="control"):
        normalise_line(line, 200)


def test_text_may_contain_line_breaks_and_tabs_but_no_other_control_character() -> None:
    assert normalise_text("a\tb\r\nc", 10) == "a\tb\r\nc"
    with pytest.raises(ValueError, match="control"):
        normalise_text("a\x00b", 10)


def test_text_is_composed_before_its_length_is_checked() -> None:
    assert normalise_text("a\u0308" * 10, 10) == "ä" * 10
    with pytest.raises(ValueError, match="at most 10 characters, not 11"):
        normalise_text("a\u0308" * 11, 10)


@given(st.text(st.sampled_from("a\u0301\u0323\u0f73\u0f71\u0f74"), min_size=1_001, max_size=1_100))
def test_long_runs_of_marks_compose_as_unicodedata_composes_them(text: str) -> None:
    assert compose(text) == unicodedata.normalize("NFC", text)
