"""A record that is split at the wrong place loses its own line and the next one."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from devops_api.items.bulk.records import RECORD_BYTES_MAX, Record, RecordSplitter

CELLS = st.text(st.sampled_from('ab",\n\r '), max_size=6)
ROWS = st.lists(st.lists(CELLS, min_size=2, max_size=3), max_size=6)


def split(data: bytes, size: int, *, has_quotes: bool) -> list[Record]:
    splitter = RecordSplitter(has_quotes=has_quotes)
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    return [record for part in parts for record in splitter.feed(part)] + list(splitter.finish())


@given(ROWS, st.integers(1, 9))
def test_quoted_records_are_the_rows_of_a_csv_writer(rows: list[list[str]], size: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    records = split(text.getvalue().encode(), size, has_quotes=True)
    assert [next(csv.reader([(record.text or b"").decode()], strict=True)) for record in records] == rows


def test_records_have_the_number_of_their_first_line() -> None:
    assert split(b'a\n"b\n\nb"\n\nc', 3, has_quotes=True) == [(1, b"a"), (2, b'"b\n\nb"'), (6, b"c")]
    assert split(b'a\n"b\n\nc', 3, has_quotes=False) == [(1, b"a"), (2, b'"b'), (4, b"c")]


def test_too_long_record_has_no_text_and_is_not_kept_in_memory() -> None:
    splitter = RecordSplitter(has_quotes=False)
    assert [*splitter.feed(b"x" * 10 * RECORD_BYTES_MAX), *splitter.feed(b"x\ny\n")] == [(1, None), (2, b"y")]
