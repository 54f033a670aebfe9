"""Clients and later versions of the service read what is encoded here."""

import orjson
import pytest

from devops_api.items.encoding import dump_item, encode_item, format_time, load_item
from devops_api.items.model import Item, ItemFields

ITEM = Item(
    id="019b7d2c-5e4e-7000-8a6b-3c5d7e9f1a2b",
    fields=ItemFields("Tëst", 999, description="d", tags=("a",)),
    created_at_ms=1,
    updated_at_ms=2,
    version=3,
)


def test_item_is_encoded_with_every_field() -> None:
    assert encode_item(ITEM).decode() == (
        '{"id":"019b7d2c-5e4e-7000-8a6b-3c5d7e9f1a2b","name":"Tëst","price":9.99,"sku":null,"description":"d",'
        '"tags":["a"],"created_at":"1970-01-01T00:00:00.001Z","updated_at":"1970-01-01T00:00:00.002Z","version":3}'
    )


def test_times_are_rfc_3339_in_utc_with_milliseconds() -> None:
    assert format_time(1_700_000_000_007) == "2023-11-14T22:13:20.007Z"


def test_kept_item_is_a_flat_object_of_stored_values() -> None:
    assert orjson.loads(dump_item(ITEM)) == {
        "id": "019b7d2c-5e4e-7000-8a6b-3c5d7e9f1a2b",
        "name": "Tëst",
        "price": 999,
        "sku": None,
        "description": "d",
        "tags": ["a"],
        "created_at_ms": 1,
        "updated_at_ms": 2,
        "version": 3,
    }
    assert load_item(dump_item(ITEM)) == ITEM


@pytest.mark.parametrize("name", ["sku", "description", "tags"])
def test_kept_item_of_a_version_without_a_field_gets_its_default(name: str) -> None:
    kept = orjson.loads(dump_item(ITEM))
    del kept[name]
    assert getattr(load_item(orjson.dumps(kept).decode()).fields, name) == getattr(ItemFields("", 0), name)


def test_kept_item_of_a_version_with_another_field_is_read_without_it() -> None:
    kept = orjson.loads(dump_item(ITEM)) | {"shelf_days": 7}
    assert load_item(orjson.dumps(kept).decode()) == ITEM
