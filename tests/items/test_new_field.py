"""A field is declared once: a copy of the service gets one more by one line of the model and one migration."""

import shutil
import subprocess
import sys
from pathlib import Path

import devops_api

SOURCE = Path(devops_api.__file__).parent
DECLARATION = """
    shelf_days: Annotated[int | None, Whole(least=1, most=1_000, filter=Filter.RANGE)] = None
"""
MIGRATION = "ALTER TABLE items ADD COLUMN shelf_days INTEGER"
SCRIPT = """
import asyncio
from pathlib import Path

import orjson
from multidict import MultiDict

from devops_api.items.bulk.csv_rows import CsvDecoder
from devops_api.items.bulk.formats import CSV, NDJSON
from devops_api.errors import InvalidError
from devops_api.items.decoding import decode_item, decode_line, decode_patch
from devops_api.items.encoding import encode_item
from devops_api.items.operations import LIST_ITEMS
from devops_api.items.query import create_cursor, parse_query
from devops_api.items.schema import create_schemas
from devops_api.items.store.protocol import IdempotencyKey, ItemQuery
from devops_api.items.store.sqlite.store import open_sqlite_store


def refuse(days):
    try:
        decode_item(orjson.dumps({"name": "a", "price": 1, "shelf_days": days}))
    except InvalidError as error:
        return [(each.where, each.detail) for each in error.errors]


async def find(store, **parameters):
    page = await store.find(parse_query(MultiDict(parameters)))
    return [item.fields.name for item in page.items]


async def main():
    store = open_sqlite_store(Path("items.db"))
    old = await store.create(decode_item(b'{"name": "old", "price": 1}'), IdempotencyKey("key", b"digest"))
    assert old.is_replay and old.item.fields.shelf_days is None, "kept by the version before"

    assert refuse(0) == refuse(1001) == [("/shelf_days", "must be 1 to 1000")]
    assert refuse("7") == [("/shelf_days", "must be a number, not a string")]
    assert refuse(1.5) == [("/shelf_days", "must be a whole number")]

    light = await store.create(decode_item(b'{"name": "light", "price": 1, "shelf_days": 5}'))
    heavy = (await store.create(decode_item(b'{"name": "heavy", "price": 1, "shelf_days": 1000}'))).item
    assert orjson.loads(encode_item(heavy))["shelf_days"] == 1000
    assert await store.get(heavy.id) == heavy
    assert await find(store, min_shelf_days="6") == ["heavy"]
    assert await find(store, max_shelf_days="5", count="exact") == ["light"]

    heavier = await store.update(light.item.id, decode_patch(b'{"shelf_days": 7}'))
    assert heavier.fields.shelf_days == 7
    lost = await store.update(light.item.id, decode_patch(b'{"shelf_days": null}'))
    assert lost.fields.shelf_days is None

    decoder = CsvDecoder()
    header, row = (CSV.header + CSV.encode([heavy])).splitlines()
    decoder.read_header(header)
    assert b",shelf_days," in header
    assert decoder(row) == decode_line(NDJSON.encode([heavy])) == heavy.fields
    await store.close()

    schemas = create_schemas()
    assert schemas["NewItem"]["properties"]["shelf_days"] == {
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": 1000,
        "default": None,
        "description": "A whole number, 1 to 1000.",
    }
    assert {"min_shelf_days", "max_shelf_days"} <= {parameter.name for parameter in LIST_ITEMS.parameters}


asyncio.run(main())
"""
OLD = """
import asyncio
from pathlib import Path
from devops_api.items.decoding import decode_item
from devops_api.items.store.protocol import IdempotencyKey
from devops_api.items.store.sqlite.store import open_sqlite_store

async def main():
    store = open_sqlite_store(Path("items.db"))
    await store.create(decode_item(b'{"name": "old", "price": 1}'), IdempotencyKey("key", b"digest"))
    await store.close()

asyncio.run(main())
"""


def run(script: str, folder: Path) -> None:
    """Run a script with the copy of the service in the folder, or with this service if there is none."""
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_new_field_needs_one_declaration_and_one_migration(tmp_path: Path) -> None:
    run(OLD, tmp_path)
    copy = tmp_path / "devops_api"
    shutil.copytree(SOURCE, copy)
    model = copy / "items" / "model.py"
    text = model.read_text()
    last = text.index("\n\n\nclass Item(")
    imports = text.replace("import Hundredths,", "import Whole, Hundredths,")
    shift = len(imports) - len(text)
    model.write_text(imports[: last + shift] + DECLARATION.rstrip() + imports[last + shift :])
    migrations = copy / "items" / "store" / "sqlite" / "migrations"
    (migrations / "9999_shelf.sql").write_text(MIGRATION)
    run(SCRIPT, tmp_path)
