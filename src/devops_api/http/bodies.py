"""Read requests: bodies up to a limit, media types, entity tags."""

import re
from typing import Final, TypeVar

import msgspec
from aiohttp import HttpVersion11, web

from devops_api.errors import FieldError, InvalidError, MalformedError, TooLargeError, UnsupportedMediaTypeError

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
T = TypeVar("T")
_ETAG = re.compile(r'(W/)?"([^"]*)"')
_is_version = re.compile(r"[1-9][0-9]{0,17}").fullmatch


async def read_body(request: web.Request, limit_bytes: int) -> bytes:
    """Return the whole body. TooLargeError as soon as it is known to exceed `limit_bytes`."""
    length = request.content_length
    if length is not None and length > limit_bytes:
        raise _create_too_large(limit_bytes)
    await start_body(request)
    body = await request.content.readany()
    if len(body) > limit_bytes:
        raise _create_too_large(limit_bytes)
    if request.content.at_eof():
        return body
    parts = bytearray(body)
    while part := await request.content.readany():
        parts += part
        if len(parts) > limit_bytes:
            raise _create_too_large(limit_bytes)
    return bytes(parts)


def decode_json(body: bytes, kind: type[T]) -> T:
    """Decode a JSON body by its type. MalformedError: it is not JSON. InvalidError names the first invalid field."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        detail, _, pointer = str(error).partition(" - at `$")
        raise InvalidError([FieldError(pointer.rstrip("`").replace(".", "/"), detail)]) from None
    except msgspec.DecodeError as error:
        raise MalformedError(f"The body is not JSON: {error}") from None


async def start_body(request: web.Request) -> None:
    """Send the 100 that a client with `Expect: 100-continue` waits for: the handler is about to read the body."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0


async def expect_continue(request: web.Request) -> None:
    """Delay the 100 until a handler reads the body, so that a rejected request never gets it."""


def require_media_type(request: web.Request, *allowed: str) -> str:
    """Return the body's media type. UnsupportedMediaTypeError: not in `allowed`, not UTF-8, or compressed."""
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


def create_etag(version: int) -> str:
    """Return the strong entity tag of a version."""
    return f'"{version}"'


def read_if_match(request: web.Request) -> frozenset[int] | None:
    """Return the versions that `If-Match` accepts; None if it is absent or `*`.

    Weak tags match nothing (RFC 9110, 13.1.1). MalformedError.
    """
    header = request.headers.get("If-Match")
    if header is None or header.strip() == "*":
        return None
    if _ETAG.sub("", header).strip(" \t,") or not _ETAG.search(header):
        raise MalformedError('If-Match must be * or entity tags such as "3"')
    return frozenset(int(tag) for weak, tag in _ETAG.findall(header) if not weak and _is_version(tag))


def is_unchanged(request: web.Request, etag: str) -> bool:
    """Return whether `If-None-Match` names this representation, which the client then has already."""
    header = request.headers.get("If-None-Match")
    if header is None:
        return False
    return header.strip() == "*" or any(f'"{tag}"' == etag for _, tag in _ETAG.findall(header))


def _create_too_large(limit_bytes: int) -> TooLargeError:
    return TooLargeError(f"The body must be at most {limit_bytes} bytes")
