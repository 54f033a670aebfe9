"""Items, requests and a plain model of filtering that many tests share."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

ITEM: Final[dict[str, Any]] = {"name": "Test", "price": 9.99}
ITEM_JSON: Final = b'{"name": "Test", "price": 9.99}'
LAMP: Final[dict[str, Any]] = {
    "name": "Desk lamp",
    "price": 24.9,
    "sku": "LAMP-1",
    "description": "Brass",
    "tags": ["home"],
}
JSON: Final = {"Content-Type": "application/json"}
NDJSON: Final = {"Content-Type": "application/x-ndjson"}


def split_words(text: str) -> Sequence[str]:
    """Split a text into words as search compares them: without case and accents."""
    plain = "".join(
        character for character in unicodedata.normalize("NFD", text) if not unicodedata.combining(character)
    )
    return re.findall(r"[^\W_]+", plain.casefold())


def matches(item: Mapping[str, Any], query: Mapping[str, Any]) -> bool:
    """Tell whether the JSON of an item matches every filter of a query string, by the documented rules."""
    words = split_words(f"{item['name']} {item['description'] or ''}")
    asked = split_words(query.get("q", ""))
    return all(
        [
            set(query.get("tag", [])) <= set(item["tags"]),
            query.get("min_price", 0) <= item["price"] <= query.get("max_price", 10**10),
            query.get("sku") in {None, item["sku"]},
            "q" not in query or bool(asked),
            all(any(word.startswith(prefix) for word in words) for prefix in asked),
        ]
    )
