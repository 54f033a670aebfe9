"""An import must report every line that it does not store, and store no line that it misread."""

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from conftest import Running, StartService
from processes import Process, run_process
from scrapes import scrape

from devops_api.items.bulk.imports import CHUNK_ROWS, ERRORS_SHOWN, LINES_SHOWN
from devops_api.items.bulk.records import RECORD_BYTES_MAX

MEMORY_GROWTH_MIB = 20
NDJSON = "application/x-ndjson"
CSV = "text/csv"


async def run_import(
    client: aiohttp.ClientSession, body: bytes, media_type: str = NDJSON, **options: str
) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": media_type}
    async with client.post("/items/import", data=io.BytesIO(body), headers=headers, params=options) as reply:
        return reply.status, await reply.json()


async def read_items(client: aiohttp.ClientSession) -> list[dict[str, Any]]:
    async with client.get("/items/export", params={"sort": "created_at"}) as reply:
        return [orjson.loads(line) async for line in reply.content]


def read_counts(report: dict[str, Any]) -> tuple[int, int, int, int]:
    return report["created"], report["updated"], report["rejected"], report["stored_through_line"]


def row(number: int, **fields: Any) -> bytes:
    return orjson.dumps({"name": f"row {number}", "price": number, "sku": f"s{number}"} | fields) + b"\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
async def test_line_ends_may_vary_and_blank_lines_are_skipped(client: aiohttp.ClientSession, end: bytes) -> None:
    body = b"\n \r\n" + row(1).strip() + b"\r\n\n" + row(2).strip() + end
    status, report = await run_import(client, body)
    assert (status, read_counts(report)) == (200, (2, 0, 0, 5))


async def test_invalid_line_is_reported_with_number_and_errors_and_others_are_stored(
    client: aiohttp.ClientSession,
) -> None:
    body = row(1) + b'{"name": "", "price": "1"}\n' + b"nonsense\n" + row(4) + b"[]\n" + row(1) + b"\xff\n"
    status, report = await run_import(client, body)
    assert (status, read_counts(report)) == (200, (2, 0, 5, 7))
    assert [error["line"] for error in report["errors"]] == [2, 3, 5, 6, 7]
    assert [error["pointer"] for error in report["errors"][0]["errors"]] == ["/name", "/price"]
    assert "taken" in report["errors"][3]["detail"]


async def test_report_ends_with_the_last_stored_line(start_service: StartService) -> None:
    """A client that continues after that line would otherwise count a line twice."""
    client = (await start_service(request_timeout_s=0.3)).client

    async def pause() -> AsyncIterator[bytes]:
        yield b"{}\n" + b"".join(row(number) for number in range(2, CHUNK_ROWS + 1)) + b"{}\n" + row(1)
        await asyncio.Event().wait()

    async with client.post("/items/import", data=pause(), headers={"Content-Type": NDJSON}) as reply:
        problem = await reply.json()
    assert (reply.status, read_counts(problem)) == (408, (CHUNK_ROWS - 1, 0, 1, CHUNK_ROWS))
    assert [error["line"] for error in problem["errors"]] == [1]


async def test_report_lists_at_most_fifty_errors_of_one_line(client: aiohttp.ClientSession) -> None:
    line = orjson.dumps({f"field {number}": 1 for number in range(3_000)}) + b"\n"
    _, report = await run_import(client, line * 150)
    assert (report["rejected"], len(report["errors"])) == (150, LINES_SHOWN)
    assert {len(error["errors"]) for error in report["errors"]} == {ERRORS_SHOWN}
    assert "3002 errors" in report["errors"][0]["detail"]


async def test_report_shows_the_first_hundred_invalid_lines_and_counts_all(client: aiohttp.ClientSession) -> None:
    _, report = await run_import(client, b"{}\n" * 250)
    assert read_counts(report) == (0, 0, 250, 250)
    assert [error["line"] for error in report["errors"]] == list(range(1, LINES_SHOWN + 1))


@pytest.mark.parametrize("bad", [1, 2, CHUNK_ROWS, CHUNK_ROWS + 1, 2 * CHUNK_ROWS])
@pytest.mark.parametrize("kind", ["undecodable", "taken"])
async def test_aborted_import_stores_exactly_the_lines_before_the_invalid_one(
    client: aiohttp.ClientSession, bad: int, kind: str
) -> None:
    await run_import(client, row(0))
    lines = [row(number) for number in range(1, 2 * CHUNK_ROWS + 500)]
    lines[bad - 1] = b"{}\n" if kind == "undecodable" else row(0)
    status, problem = await run_import(client, b"".join(lines), on_error="abort")
    assert (status, problem["title"]) == (422, "Import stopped")
    assert read_counts(problem) == (bad - 1, 0, 1, bad - 1)
    assert [error["line"] for error in problem["errors"]] == [bad]
    assert [item["sku"] for item in await read_items(client)] == [f"s{number}" for number in range(bad)]


async def test_aborted_import_counts_its_rejected_line_once(client: aiohttp.ClientSession) -> None:
    await run_import(client, row(0) + b"{}\n" + row(1), on_error="abort")
    assert (await scrape(client)).sum("items_rejected_total") == 1


async def test_upsert_replaces_by_sku_and_can_be_repeated(client: aiohttp.ClientSession) -> None:
    body = row(1) + row(2, tags=["a"], description="x")
    assert read_counts((await run_import(client, body, upsert="sku"))[1]) == (2, 0, 0, 2)
    first = await read_items(client)
    assert read_counts((await run_import(client, body + row(3) + row(3, price=9), upsert="sku"))[1]) == (1, 3, 0, 4)
    items = await read_items(client)
    assert [item["id"] for item in items[:2]] == [item["id"] for item in first]
    assert [(item["sku"], item["price"], item["tags"]) for item in items] == [
        *(("s1", 1, []), ("s2", 2, ["a"]), ("s3", 9, []))
    ]


async def test_upsert_requires_a_sku_in_every_row(client: aiohttp.ClientSession) -> None:
    _, report = await run_import(client, row(1, sku=None) + row(2), upsert="sku")
    assert (read_counts(report), report["errors"][0]["line"]) == ((1, 0, 1, 2), 1)


@pytest.mark.parametrize("options", [{"upsert": "id"}, {"on_error": "ignore"}, {"x": "1"}, {"upsert": ""}])
async def test_unknown_option_imports_nothing(client: aiohttp.ClientSession, options: dict[str, str]) -> None:
    status, problem = await run_import(client, row(1), **options)
    assert (status, [error["parameter"] for error in problem["errors"]]) == (422, list(options))
    assert await read_items(client) == []


async def test_contradictory_options_import_nothing(client: aiohttp.ClientSession) -> None:
    headers = {"Content-Type": NDJSON}
    async with client.post("/items/import?on_error=skip&on_error=abort", data=row(1), headers=headers) as reply:
        assert (reply.status, (await reply.json())["errors"][0]["parameter"]) == (422, "on_error")
    assert await read_items(client) == []


async def test_too_long_line_is_rejected_and_the_next_one_read(client: aiohttp.ClientSession) -> None:
    longest = b'{"name": "a", "price": 1' + b" " * (RECORD_BYTES_MAX - 25) + b"}"
    assert len(longest) == RECORD_BYTES_MAX
    body = longest + b"\n" + longest.replace(b": 1 ", b": 1  ") + b"\n" + b"x" * 3_000_000 + b"\n" + row(4)
    _, report = await run_import(client, body)
    assert read_counts(report) == (2, 0, 2, 4)
    assert [error["line"] for error in report["errors"]] == [2, 3]


async def test_csv_is_read_by_header_with_quotes_and_line_breaks(client: aiohttp.ClientSession) -> None:
    body = (
        b"\xef\xbb\xbfprice,name,description,tags,sku\r\n"
        b'1.50,"Lamp, ""big""","two\nlines",home light,L-1\r\n'
        b"2,Plain,,,\r\n\r\n"
        b"3,Gr\xc3\xbcn,,a,  L-2 \n"
    )
    status, report = await run_import(client, body, CSV)
    assert (status, read_counts(report)) == (200, (3, 0, 0, 6))
    items = await read_items(client)
    assert [(item["name"], item["price"], item["description"], item["tags"], item["sku"]) for item in items] == [
        ('Lamp, "big"', 1.5, "two\nlines", ["home", "light"], "L-1"),
        ("Plain", 2, None, [], None),
        ("Grün", 3, None, ["a"], "L-2"),
    ]


@pytest.mark.parametrize(
    "header", [b"", b"name", b"name,price,colour", b"name,price,name", b'"name,price', b"\xff", b"name;price"]
)
async def test_invalid_csv_header_imports_nothing(client: aiohttp.ClientSession, header: bytes) -> None:
    status, problem = await run_import(client, header + b"\na,1\n", CSV)
    assert (status, problem["title"]) == (422, "Invalid content")
    assert await read_items(client) == []


async def test_invalid_csv_row_is_reported_with_its_first_line(client: aiohttp.ClientSession) -> None:
    body = b'name,price\na,1\n"b\nb",x\nc\nd,1,2\ne,1e2\nf,"1,5"\ng,0x1\nh,NaN\n"i"j,1\nk,5\n'
    _, report = await run_import(client, body, CSV)
    assert [error["line"] for error in report["errors"]] == [3, 5, 6, 8, 9, 10, 11]
    assert [(item["name"], item["price"]) for item in await read_items(client)] == [("a", 1), ("e", 100), ("k", 5)]


async def test_quote_inside_a_cell_is_text(client: aiohttp.ClientSession) -> None:
    body = b'name,description,price\n5" pipe,,1\nnext,6" long,2\n """a","x,\n""y",3\nlast,,4\n'
    status, report = await run_import(client, body, CSV)
    assert (status, read_counts(report)) == (200, (4, 0, 0, 6))
    assert [(item["name"], item["description"], item["price"]) for item in await read_items(client)] == [
        ('5" pipe', None, 1),
        ("next", '6" long', 2),
        ('"a', 'x,\n"y', 3),
        ("last", None, 4),
    ]


async def test_unclosed_quote_is_reported_with_its_line(client: aiohttp.ClientSession) -> None:
    rest = b"".join(b"row %d,%d\n" % (number, number) for number in range(20_000))
    _, report = await run_import(client, b'name,price\nok,1\n"open,2\n' + rest, CSV)
    assert read_counts(report) == (1, 0, 1, 3)
    assert report["errors"][0]["line"] == 3


@pytest.mark.parametrize("media_type", [NDJSON, CSV])
async def test_export_can_be_imported(running: Running, media_type: str) -> None:
    client = running.client
    given = row(1, description='a,"b"\n\r\tü', tags=["x", "y-z"], price=0.01) + row(2, sku=None, price=9999999999.99)
    await run_import(client, given)
    async with client.get("/items/export", headers={"Accept": media_type}, params={"sort": "created_at"}) as reply:
        exported = await reply.read()
    before = await read_items(client)
    for item in before:
        async with client.delete(f"/items/{item['id']}"):
            pass
    _, report = await run_import(client, exported, media_type)
    assert (report["created"], report["errors"]) == (2, [])
    said = ("name", "price", "sku", "description", "tags")
    assert [[item[name] for name in said] for item in await read_items(client)] == [
        [item[name] for name in said] for item in before
    ]


@pytest.mark.parametrize("size", [1, 3, 64, 5000])
async def test_chunks_of_any_size_import_the_same(client: aiohttp.ClientSession, size: int) -> None:
    text = io.StringIO(newline="")
    rows = [[f'n"{number}', str(number), "a\nb,c" * (number % 3)] for number in range(40)]
    csv.writer(text).writerows([["name", "price", "description"], *rows])
    data = text.getvalue().encode()

    async def cut() -> AsyncIterator[bytes]:
        for at in range(0, len(data), size):
            yield data[at : at + size]

    async with client.post("/items/import", data=cut(), headers={"Content-Type": CSV}) as reply:
        report = await reply.json()
    assert (report["created"], report["rejected"]) == (40, 0)
    assert [[item["name"], item["description"] or ""] for item in await read_items(client)] == [
        [name, description] for name, _, description in rows
    ]


async def test_memory_stays_flat_during_long_imports_and_exports(tmp_path: Path) -> None:
    """Imports and exports several times as much as memory may grow."""
    text = "words to find, and more of them than anyone reads " * 36

    async def generate(first: int, last: int) -> AsyncIterator[bytes]:
        for start in range(first, last, 500):
            yield b"".join(row(number, description=text, tags=["a", "b"]) for number in range(start, start + 500))

    async with run_process(tmp_path) as process, aiohttp.ClientSession(process.url) as client:
        for first, last in ((0, 10_000), (10_000, 50_000)):
            before = read_peak_mib(process)
            async with client.post(
                "/items/import", data=generate(first, last), headers={"Content-Type": NDJSON}
            ) as reply:
                assert (await reply.json())["created"] == last - first
            exported = await measure_export(client)
        assert exported > 3 * MEMORY_GROWTH_MIB * 2**20
        assert read_peak_mib(process) - before < MEMORY_GROWTH_MIB


async def measure_export(client: aiohttp.ClientSession) -> int:
    """Return the size of an export that is read slowly at first."""
    size = 0
    async with client.get("/items/export?sort=name") as reply:
        async for part in reply.content.iter_any():
            size += len(part)
            if size < 5_000_000:
                await asyncio.sleep(0.01)
    return size


def read_peak_mib(process: Process) -> float:
    """Return the peak resident memory of a process."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024
