"""Handlers of single items, lists and batches: decode, call the store, encode."""

from hashlib import blake2b
from typing import Any, Final

from aiohttp import web

from devops_api.errors import MalformedError
from devops_api.http.bodies import (
    JSON,
    MERGE_PATCH,
    create_etag,
    is_unchanged,
    read_body,
    read_if_match,
    require_media_type,
)
from devops_api.http.events import EventLogger
from devops_api.http.operations import IDEMPOTENCY_KEY_MAX
from devops_api.http.replies import Reply
from devops_api.http.state import PRINCIPAL
from devops_api.items.decoding import decode_item, decode_items, decode_patch
from devops_api.items.encoding import create_document, encode_item, encode_json
from devops_api.items.metrics import ITEMS_CREATED, ITEMS_DELETED, ITEMS_UPDATED
from devops_api.items.model import Item
from devops_api.items.query import create_cursor, parse_query
from devops_api.items.store.protocol import IdempotencyKey, ItemStore
from devops_api.telemetry.pipeline import Telemetry

BATCH_ITEMS_MAX: Final = 1_000
BATCH_BYTES_MAX: Final = 4 * 1024 * 1024


class ItemHandlers:
    """Handlers of `/items`, `/items/{id}` and `/items/batch`."""

    def __init__(self, *, store: ItemStore, telemetry: Telemetry, events: EventLogger, max_body_bytes: int) -> None:
        self._store = store
        self._created = telemetry.counter(ITEMS_CREATED)
        self._updated = telemetry.counter(ITEMS_UPDATED)
        self._deleted = telemetry.counter(ITEMS_DELETED)
        self._events = events
        self._max_body_bytes = max_body_bytes

    async def create_item(self, request: web.Request) -> web.Response:
        """Serve `POST /items`."""
        require_media_type(request, JSON)
        key = request.headers.get("Idempotency-Key")
        body = await read_body(request, self._max_body_bytes)
        idempotency = None if key is None else _create_key(request, key, body)
        created = await self._store.create(decode_item(body), idempotency)
        headers = _create_headers(created.item)
        headers["Location"] = f"/items/{created.item.id}"
        if created.is_replay:
            headers["Idempotency-Replayed"] = "true"
        else:
            self._created.add(1)
            self._events.emit("item_created", request, item_id=created.item.id)
        return Reply(encode_item(created.item), 201, headers)

    async def get_item(self, request: web.Request) -> web.Response:
        """Serve `GET /items/{id}`, and `HEAD` like it."""
        item = await self._store.get(request.match_info["id"])
        headers = _create_headers(item)
        if is_unchanged(request, headers["ETag"]):
            return Reply(status=304, headers={"ETag": headers["ETag"]})
        return Reply(encode_item(item), headers=headers)

    async def list_items(self, request: web.Request) -> web.Response:
        """Serve `GET /items`."""
        query = parse_query(request.query)
        page = await self._store.find(query)
        following = create_cursor(query._replace(after=page.next))
        document: dict[str, Any] = {"items": [create_document(item) for item in page.items], "next": following}
        if page.total is not None:
            document["total"] = page.total
        headers = {"Content-Type": JSON}
        if following is not None:
            headers["Link"] = f'<{request.rel_url.update_query(cursor=following)}>; rel="next"'
        return Reply(encode_json(document), headers=headers)

    async def replace_item(self, request: web.Request) -> web.Response:
        """Serve `PUT /items/{id}`."""
        require_media_type(request, JSON)
        expected = read_if_match(request)
        fields = decode_item(await read_body(request, self._max_body_bytes))
        return self._respond_updated(
            request, await self._store.update(request.match_info["id"], lambda _: fields, expected)
        )

    async def patch_item(self, request: web.Request) -> web.Response:
        """Serve `PATCH /items/{id}`."""
        require_media_type(request, MERGE_PATCH, JSON)
        expected = read_if_match(request)
        patch = decode_patch(await read_body(request, self._max_body_bytes))
        return self._respond_updated(request, await self._store.update(request.match_info["id"], patch, expected))

    async def delete_item(self, request: web.Request) -> web.Response:
        """Serve `DELETE /items/{id}`."""
        item_id = request.match_info["id"]
        await self._store.delete(item_id, read_if_match(request))
        self._deleted.add(1)
        self._events.emit("item_deleted", request, item_id=item_id)
        return Reply(status=204)

    async def create_batch(self, request: web.Request) -> web.Response:
        """Serve `POST /items/batch`."""
        require_media_type(request, JSON)
        body = await read_body(request, max(BATCH_BYTES_MAX, self._max_body_bytes))
        items = await self._store.create_batch(decode_items(body, BATCH_ITEMS_MAX))
        self._created.add(len(items))
        self._events.emit("items_batch_created", request, count=len(items))
        document = {"items": [create_document(item) for item in items]}
        return Reply(encode_json(document), 201, {"Content-Type": JSON})

    def _respond_updated(self, request: web.Request, item: Item) -> web.Response:
        self._updated.add(1)
        self._events.emit("item_updated", request, item_id=item.id, version=item.version)
        return Reply(encode_item(item), headers=_create_headers(item))


def _create_headers(item: Item) -> dict[str, str]:
    return {"Content-Type": JSON, "ETag": create_etag(item.version)}


def _create_key(request: web.Request, key: str, body: bytes) -> IdempotencyKey:
    if not (1 <= len(key) <= IDEMPOTENCY_KEY_MAX and key.isascii() and key.isprintable()):
        raise MalformedError(f"Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters")
    owner = request.get(PRINCIPAL, "")
    return IdempotencyKey(f"{owner}\n{key}", blake2b(body, digest_size=16).digest())
