"""The baseline: aiohttp and uvloop alone, with constant responses of the service's size.

python benchmarks/bare.py PORT
"""

import sys

import uvloop
from aiohttp import web

ITEM = (
    b'{"id":"01900000-0000-7000-8000-000000000000","name":"Test","price":9.99,"sku":null,"description":null,"tags":[],'
    b'"created_at":"2026-01-01T00:00:00.000Z","updated_at":"2026-01-01T00:00:00.000Z","version":1}'
)


async def get_item(request: web.Request) -> web.Response:
    """Read the id and respond with a constant."""
    _ = request.match_info["id"]
    return web.Response(body=ITEM, content_type="application/json")


async def create_item(request: web.Request) -> web.Response:
    """Read the body and respond with a constant."""
    await request.read()
    return web.Response(body=ITEM, content_type="application/json", status=201)


def main() -> None:
    """Serve until interrupted."""
    app = web.Application()
    app.router.add_get("/items/{id}", get_item)
    app.router.add_post("/items", create_item)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()
