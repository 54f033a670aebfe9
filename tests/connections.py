"""Connections on which a test sends bytes as they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

READ_TIMEOUT_S = 5


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection to the service at `url`."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def exchange(url: str, data: bytes) -> bytes:
    """Send bytes, and return what comes back until the service closes the connection."""
    async with connect(url) as (reader, writer):
        writer.write(data)
        return await asyncio.wait_for(reader.read(), READ_TIMEOUT_S)
