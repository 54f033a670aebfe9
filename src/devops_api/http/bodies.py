"""Reading requests: bodies within a limit, media types, entity tags."""

import re
from typing import Final

from aiohttp import HttpVersion11, web

from devops_api.errors import MalformedError, TooLargeError, UnsupportedMediaTypeError
from devops_api.items.model import Item

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_ETAG = re.compile(r'(W/)?"([^"]*)"')
_is_version = re.compile(r"[1-9][0-9]{0,17}").fullmatch


async def read_body(request: web.Request, limit_bytes: int) -> bytes:
    """The whole body. TooLargeError as soon as it is known to be longer than `limit_bytes`."""
    length = request.content_length
    if length is not None and length > limit_bytes:
        raise _too_large(limit_bytes)
    await start_body(request)
    chunk = _within(await request.content.readany(), limit_bytes)
    if request.content.at_eof():
        return chunk
    body = bytearray(chunk)
    while chunk := await request.content.readany():
        body += _within(chunk, limit_bytes - len(body), limit_bytes)
    return bytes(body)


async def start_body(request: web.Request) -> None:
    """Tell a client that waits with its body (`Expect: 100-continue`) to send it: only now it is known to be wanted."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0


async def expect_continue(request: web.Request) -> None:
    """Put the 100 off until a handler reads the body, so that a refused request never sends one."""


def require_media_type(request: web.Request, *allowed: str) -> str:
    """The body's media type, which must be one of `allowed`, UTF-8 and not compressed. UnsupportedMediaTypeError."""
    media_type = request.content_type if "Content-Type" in request.headers else "none"
    accept = {"Accept-Patch" if request.method == "PATCH" else "Accept": ", ".join(allowed)}
    if media_type not in allowed:
        raise UnsupportedMediaTypeError(
            f"The Content-Type must be {' or '.join(allowed)}, not {media_type}", headers=accept
        )
    if (request.charset or "utf-8").lower() not in {"utf-8", "utf8", "us-ascii"}:
        raise UnsupportedMediaTypeError(f"The charset must be utf-8, not {request.charset}", headers=accept)
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("The body must not be compressed", headers={"Accept-Encoding": "identity"})
    return media_type


def etag_of(item: Item) -> str:
    """The strong entity tag of an item's present version."""
    return f'"{item.version}"'


def read_if_match(request: web.Request) -> frozenset[int] | None:
    """The versions that `If-Match` accepts; None where it is absent or `*`.

    Weak tags match nothing (RFC 9110, 13.1.1). MalformedError.
    """
    header = request.headers.get("If-Match")
    if header is None or header.strip() == "*":
        return None
    if _ETAG.sub("", header).strip(" \t,") or not _ETAG.search(header):
        raise MalformedError('If-Match must be * or entity tags such as "3"')
    return frozenset(int(tag) for weak, tag in _ETAG.findall(header) if not weak and _is_version(tag))


def is_unchanged(request: web.Request, etag: str) -> bool:
    """Whether `If-None-Match` says that the client has this representation already."""
    header = request.headers.get("If-None-Match")
    if header is None:
        return False
    return header.strip() == "*" or any(f'"{tag}"' == etag for _, tag in _ETAG.findall(header))


def _within(chunk: bytes, room_bytes: int, limit_bytes: int | None = None) -> bytes:
    if len(chunk) > room_bytes:
        raise _too_large(room_bytes if limit_bytes is None else limit_bytes)
    return chunk


def _too_large(limit_bytes: int) -> TooLargeError:
    return TooLargeError(f"The body must be at most {limit_bytes} bytes")
