"""From the query string of a list or an export to an `ItemQuery`, and the cursor that continues a page.

A cursor holds the last row's sort key and identifier, and a digest of the sort and filters it belongs to, so that it
is refused under others.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, Protocol, cast

import orjson

from devops_api.errors import FieldError, InvalidError
from devops_api.items.decoding import parse_price
from devops_api.items.model import PRICE_MAX_HUNDREDTHS, TAGS_MAX, find_tag_faults, normalise_text
from devops_api.items.store.protocol import SORT_KEYS, ItemQuery, Position

LIMIT_DEFAULT: Final = ItemQuery().limit
LIMIT_MAX: Final = 200
TEXT_MAX: Final = 200
SORTS: Final = tuple(sign + key for key in SORT_KEYS for sign in ("", "-"))
FILTER_PARAMETERS: Final = ("sort", "q", "tag", "min_price", "max_price", "sku")
_KEY_TYPES: Final[dict[str, type]] = {"created_at": type(None), "price": int, "name": str}
LIST_PARAMETERS: Final = ("limit", "cursor", *FILTER_PARAMETERS, "count")


class Parameters(Protocol):
    """A query string: a mapping whose keys may repeat."""

    def getall(self, key: str, /) -> Sequence[str]:
        """Every value of a parameter, in order; KeyError where it is absent."""

    def __iter__(self) -> Iterator[str]:
        """The names, once for each value."""

    def __contains__(self, key: object, /) -> bool:
        """Whether a parameter is there."""


def read_query(parameters: Parameters, known: Sequence[str] = LIST_PARAMETERS) -> ItemQuery:
    """Read a query string. InvalidError names every parameter that is wrong, unknown or given twice."""
    faults: list[FieldError] = []
    values: dict[str, Any] = {}
    for name in dict.fromkeys(parameters):
        given = parameters.getall(name)
        if name not in known:
            faults.append(_fault(name, f"is not known here; these are: {', '.join(known)}"))
        elif len(given) > 1 and name != "tag":
            faults.append(_fault(name, "is given more than once"))
        elif name in _READERS:
            _read(name, given, values, faults)
    query = ItemQuery(**values)
    if "cursor" in parameters and not faults:
        query = query._replace(after=_read_cursor(parameters.getall("cursor")[0], query, faults))
    if faults:
        raise InvalidError(faults)
    return query


def write_cursor(query: ItemQuery) -> str | None:
    """The cursor for what follows `query.after`; None where nothing does."""
    if query.after is None:
        return None
    return urlsafe_b64encode(orjson.dumps([_digest(query), *query.after])).rstrip(b"=").decode()


def _read_cursor(text: str, query: ItemQuery, faults: list[FieldError]) -> Position | None:
    try:
        digest, key, item_id = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not isinstance(item_id, str) or type(key) is not _KEY_TYPES[query.sort] or not _is_price(key):
            raise TypeError  # noqa: TRY301 - one answer for every way of being no cursor
    except (ValueError, TypeError, binascii.Error):
        faults.append(_fault("cursor", "is not a cursor; take `next` of a page as it is"))
        return None
    if digest != _digest(query):
        faults.append(_fault("cursor", "belongs to another sort or other filters"))
    return Position(cast("int | str | None", key), item_id)


def _is_price(key: object) -> bool:
    """False for a number that no price can be, and that no store could look for."""
    return not isinstance(key, int) or 0 <= key <= PRICE_MAX_HUNDREDTHS


def _digest(query: ItemQuery) -> str:
    asked = query._replace(limit=0, after=None, has_total=False, tags=tuple(sorted(query.tags)))
    return blake2b(repr(asked).encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()


def _read(name: str, given: Sequence[str], values: dict[str, Any], faults: list[FieldError]) -> None:
    try:
        values |= _READERS[name](given)
    except ValueError as error:
        faults.append(_fault(name, str(error)))


def _fault(name: str, detail: str) -> FieldError:
    return FieldError(name, detail, "parameter")


def _limit(given: Sequence[str]) -> dict[str, Any]:
    if not (
        given[0].isascii()
        and given[0].isdigit()
        and len(given[0]) <= len(str(LIMIT_MAX))
        and 1 <= int(given[0]) <= LIMIT_MAX
    ):
        raise ValueError(f"must be a whole number, 1 to {LIMIT_MAX}")
    return {"limit": int(given[0])}


def _sort(given: Sequence[str]) -> dict[str, Any]:
    if given[0] not in SORTS:
        raise ValueError(f"must be one of {', '.join(SORTS)}")
    return {"sort": given[0].removeprefix("-"), "is_descending": given[0].startswith("-")}


def _text(given: Sequence[str]) -> dict[str, Any]:
    if len(given[0]) > TEXT_MAX:
        raise ValueError(f"must be at most {TEXT_MAX} characters")
    return {"text": normalise_text(given[0])}


def _tags(given: Sequence[str]) -> dict[str, Any]:
    if len(given) > TAGS_MAX:
        raise ValueError(f"must be given at most {TAGS_MAX} times, not {len(given)}")
    tags = tuple(dict.fromkeys(given))
    for _, detail in find_tag_faults(tags):
        raise ValueError(detail)
    return {"tags": tags}


def _price(field: str) -> Callable[[Sequence[str]], dict[str, Any]]:
    def read(given: Sequence[str]) -> dict[str, Any]:
        try:
            return {field: parse_price(given[0].encode("utf-8", "surrogateescape"))}
        except orjson.JSONDecodeError:
            raise ValueError("must be a number") from None

    return read


def _count(given: Sequence[str]) -> dict[str, Any]:
    if given[0] != "exact":
        raise ValueError("must be exact, or absent")
    return {"has_total": True}


_READERS: Final[Mapping[str, Callable[[Sequence[str]], dict[str, Any]]]] = {
    "limit": _limit,
    "sort": _sort,
    "q": _text,
    "tag": _tags,
    "min_price": _price("min_price"),
    "max_price": _price("max_price"),
    "sku": lambda given: {"sku": normalise_text(given[0])},
    "count": _count,
}
