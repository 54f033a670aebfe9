"""Parse the query string of a list or an export into an `ItemQuery`; create and check the cursors of pages.

A cursor holds the last row's sort key and identifier, and a digest of the sort and the filters that it belongs to, so
that it is rejected with others.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, Protocol

import orjson

from devops_api.errors import FieldError, InvalidError
from devops_api.http.operations import Parameter
from devops_api.items.fields import Filter
from devops_api.items.model import FIELDS, FILTERS
from devops_api.items.parameters import LIMIT_DEFAULT, LIMIT_MAX, LIST_PARAMETERS, SORTS, TEXT_MAX
from devops_api.items.store.protocol import ItemQuery, Position
from devops_api.items.text import trim

_KINDS: Final = {field.name: field.kind for field in FIELDS}


class QueryString(Protocol):
    """A query string: a mapping whose keys may repeat."""

    def getall(self, key: str, /) -> Sequence[str]:
        """Return every value of a parameter, in order. KeyError: it is absent."""

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, once for each value."""


def parse_query(given: QueryString, known: Collection[Parameter] = LIST_PARAMETERS) -> ItemQuery:
    """Parse a query string. InvalidError names every parameter that is invalid, unknown or repeated."""
    names = [parameter.name for parameter in known]
    values: dict[str, Any] = {}
    errors = []
    for name in dict.fromkeys(given):
        try:
            values[name] = _parse(name, given.getall(name), names)
        except ValueError as error:
            errors.append(FieldError(name, str(error), "parameter"))
    if errors:
        raise InvalidError(errors)
    return _create_query(values)


def create_cursor(query: ItemQuery) -> str | None:
    """Return the cursor for the rows after `query.after`, or None if there is no such position."""
    if query.after is None:
        return None
    return urlsafe_b64encode(orjson.dumps([_digest(query), *query.after])).rstrip(b"=").decode()


def _parse(name: str, values: Sequence[str], known: Sequence[str]) -> Any:
    if name not in known:
        raise ValueError(f"is not known here; these are: {', '.join(known)}")
    entry = FILTERS.get(name)
    if len(values) > 1 and not (entry and entry.field.kind.filter is Filter.ALL):
        raise ValueError("is given more than once")
    return entry.field.kind.parse_filter(values) if entry else _PARSERS[name](values[0])


def _create_query(values: Mapping[str, Any]) -> ItemQuery:
    sort: str = values.get("sort", "-created_at")
    query = ItemQuery(
        sort=sort.removeprefix("-"),
        is_descending=sort.startswith("-"),
        limit=values.get("limit", LIMIT_DEFAULT),
        text=values.get("q"),
        filters={name: value for name, value in values.items() if name in FILTERS},
        has_total="count" in values,
    )
    return query._replace(after=_parse_cursor(values["cursor"], query)) if "cursor" in values else query


def _parse_cursor(text: str, query: ItemQuery) -> Position:
    try:
        digest, key, item_id = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError, binascii.Error):
        raise _create_cursor_error("is not a valid cursor; send `next` of a page unchanged") from None
    is_key = key is None if query.sort == "created_at" else _KINDS[query.sort].is_key(key)
    if not is_key or not isinstance(item_id, str):
        raise _create_cursor_error("is not a valid cursor; send `next` of a page unchanged")
    if digest != _digest(query):
        raise _create_cursor_error("belongs to another sort or other filters")
    return Position(key, item_id)


def _create_cursor_error(detail: str) -> InvalidError:
    return InvalidError([FieldError("cursor", detail, "parameter")])


def _digest(query: ItemQuery) -> str:
    """Return a digest of the sort and the filters; the order of the elements of a filter does not matter."""
    filters = [(name, sorted(value) if isinstance(value, tuple) else value) for name, value in query.filters.items()]
    asked = repr((query.sort, query.is_descending, query.text, sorted(filters)))
    return blake2b(asked.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()


def _parse_limit(text: str) -> int:
    is_plain = text.isascii() and text.isdigit() and len(text) <= len(str(LIMIT_MAX))
    if not is_plain or not 1 <= int(text) <= LIMIT_MAX:
        raise ValueError(f"must be a whole number, 1 to {LIMIT_MAX}")
    return int(text)


def _parse_sort(text: str) -> str:
    if text not in SORTS:
        raise ValueError(f"must be one of {', '.join(SORTS)}")
    return text


def _parse_text(text: str) -> str:
    if len(text) > TEXT_MAX:
        raise ValueError(f"must be at most {TEXT_MAX} characters")
    return trim(text)


def _parse_count(text: str) -> str:
    if text != "exact":
        raise ValueError("must be exact, or absent")
    return text


_PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "limit": _parse_limit,
    "cursor": str,
    "sort": _parse_sort,
    "q": _parse_text,
    "count": _parse_count,
    "format": str,  # `formats.negotiate` checks it.
}
