"""CSV must be readable by other programs, as it was meant."""

import csv
import io

import pytest

from devops_api.errors import InvalidError
from devops_api.items.bulk.csv_rows import HEADER, CsvDecoder, encode_csv
from devops_api.items.model import Item, ItemFields

ITEM = Item(
    id="id",
    fields=ItemFields('a "b", c', 110, description="=1+1\r\nü", tags=("x", "y")),
    created_at_ms=0,
    updated_at_ms=1,
    version=7,
)


def test_header_names_every_member_of_an_item() -> None:
    assert HEADER == b"id,name,price,sku,description,tags,created_at,updated_at,version\r\n"


def test_csv_is_readable_by_a_standard_reader() -> None:
    text = (HEADER + encode_csv([ITEM])).decode()
    assert list(csv.DictReader(io.StringIO(text, newline=""), strict=True)) == [
        {
            "id": "id",
            "name": 'a "b", c',
            "price": "1.1",
            "sku": "",
            "description": "=1+1\r\nü",
            "tags": "x y",
            "created_at": "1970-01-01T00:00:00.000Z",
            "updated_at": "1970-01-01T00:00:00.001Z",
            "version": "7",
        }
    ]


def test_exported_row_is_decoded_to_the_same_fields() -> None:
    decoder = CsvDecoder()
    decoder.read_header(HEADER.rstrip())
    assert decoder(encode_csv([ITEM]).removesuffix(b"\r\n")) == ITEM.fields


@pytest.mark.parametrize("header", [b"name", b"name,price,colour", b"name,price,name"])
def test_header_must_name_required_columns_and_only_known_ones(header: bytes) -> None:
    with pytest.raises(InvalidError, match="must name name and price, no column twice"):
        CsvDecoder().read_header(header)
