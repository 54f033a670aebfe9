"""The operations on single items and lists of them, with examples that hold for a store with only `SEED`."""

from typing import Final

from devops_api.errors import ConflictError, InvalidError, NotFoundError, PreconditionFailedError
from devops_api.http.bodies import JSON, MERGE_PATCH
from devops_api.http.operations import (
    BODY_PROBLEMS,
    IDEMPOTENCY_KEY,
    IF_MATCH,
    IF_NONE_MATCH,
    Example,
    Operation,
    Response,
)
from devops_api.items.examples import EXAMPLE_ID, SEED, SEEDED, UNKNOWN_ID, create_item, create_problem
from devops_api.items.model import FIELD_NAMES
from devops_api.items.parameters import ITEM_ID, LIST_PARAMETERS

_GROUP: Final = "Items"
_ITEM: Final = {JSON: "Item"}
_NEW_ITEM: Final = {JSON: "NewItem"}
_SEEDED_PATH: Final = {"id": EXAMPLE_ID}
_UNCHANGED: Final = "If the version has not changed"
_LAMP_2: Final = {"name": "Floor lamp", "sku": "LAMP-2", "price": 129}

CREATE_ITEM: Final = Operation(
    "createItem",
    _GROUP,
    "Create an item",
    "The response is sent after the item is on disk. With `Idempotency-Key`, a repeated request with the same key and "
    "body gets the same response for 24 hours, marked `Idempotency-Replayed: true`; the same key with another body "
    "gets 422. A `sku` that another item has gets 409.",
    (IDEMPOTENCY_KEY,),
    _NEW_ITEM,
    (Response(201, "The item.", _ITEM, ("Location", "ETag", "Idempotency-Replayed")),),
    (ConflictError, *BODY_PROBLEMS),
    (
        Example(
            "smallest",
            "Required fields only",
            201,
            body={"name": "Test", "price": 9.99},
            response=create_item("Test", 9.99, version=1),
        ),
        Example(
            "whole",
            "All fields, with an idempotency key",
            201,
            headers={"Idempotency-Key": "9f1c6a52-lamp"},
            body=SEED | _LAMP_2,
            response=SEEDED | _LAMP_2,
        ),
        Example(
            "several-errors",
            "Several errors in one request",
            422,
            body={"name": " ", "price": 1.234, "colour": "red"},
            response=create_problem(
                InvalidError,
                "/items",
                "3 errors were found",
                errors=[
                    {"pointer": "/name", "detail": "must be 1 to 200 characters after trimming, not 0"},
                    {"pointer": "/price", "detail": "must be a whole number of hundredths"},
                    {
                        "pointer": "/colour",
                        "detail": f"is not a field of an item; these are: {', '.join(FIELD_NAMES)}",
                    },
                ],
            ),
        ),
        Example(
            "taken",
            "A sku that another item has",
            409,
            body={"name": "Copy", "price": 1, "sku": "LAMP-1"},
            response=create_problem(
                ConflictError,
                "/items",
                "Another item has this sku",
                errors=[{"pointer": "/sku", "detail": "is taken by another item"}],
            ),
        ),
    ),
)
LIST_ITEMS: Final = Operation(
    "listItems",
    _GROUP,
    "List and search items",
    "Returns one page of the items that match every filter. To get the next page, send `next` as `cursor`, or follow "
    "the `Link` header. An item that is not changed or deleted meanwhile appears on exactly one page.",
    LIST_PARAMETERS,
    responses=(Response(200, "A page of items.", {JSON: "Page"}, ("Link",)),),
    problems=(InvalidError,),
    examples=(
        Example("newest", "The two newest items", 200, query={"limit": 2}, response={"items": [SEEDED], "next": None}),
        Example(
            "search",
            "Lamps up to 100, cheapest first, with the total",
            200,
            query={"q": "lamp", "tag": ["light"], "max_price": 100, "sort": "price", "count": "exact"},
            response={"items": [SEEDED], "next": None, "total": 1},
        ),
        Example(
            "limit",
            "A parameter out of range",
            422,
            query={"limit": 500},
            response=create_problem(
                InvalidError,
                "/items",
                "1 error was found",
                errors=[{"parameter": "limit", "detail": "must be a whole number, 1 to 200"}],
            ),
        ),
    ),
)
GET_ITEM: Final = Operation(
    "getItem",
    _GROUP,
    "Get an item",
    "The `ETag` is the item's version. Send it as `If-None-Match` to get a body only if the item has changed.",
    (ITEM_ID, IF_NONE_MATCH),
    responses=(
        Response(200, "The item.", _ITEM, ("ETag",)),
        Response(304, "Not modified.", headers=("ETag",)),
    ),
    problems=(NotFoundError,),
    examples=(
        Example("found", "By id", 200, _SEEDED_PATH, response=SEEDED),
        Example("unchanged", "Only if it has changed", 304, _SEEDED_PATH, headers={"If-None-Match": '"1"'}),
        Example(
            "unknown",
            "An unknown id",
            404,
            {"id": UNKNOWN_ID},
            response=create_problem(NotFoundError, f"/items/{UNKNOWN_ID}", "There is no such item"),
        ),
    ),
)
REPLACE_ITEM: Final = Operation(
    "replaceItem",
    _GROUP,
    "Replace an item",
    "Replaces every field; omitted fields get their defaults. With `If-Match`, only one of two concurrent changes "
    "succeeds and the other gets 412. A `sku` that another item has gets 409.",
    (ITEM_ID, IF_MATCH),
    _NEW_ITEM,
    (Response(200, "The new version of the item.", _ITEM, ("ETag",)),),
    (NotFoundError, PreconditionFailedError, ConflictError, *BODY_PROBLEMS),
    (
        Example(
            "replace",
            _UNCHANGED,
            200,
            _SEEDED_PATH,
            headers={"If-Match": '"1"'},
            body={"name": "Desk lamp", "price": 19.5},
            response=create_item(),
        ),
        Example(
            "outdated",
            "The version has changed",
            412,
            _SEEDED_PATH,
            headers={"If-Match": '"7"'},
            body={"name": "Desk lamp", "price": 19.5},
            response=create_problem(PreconditionFailedError, f"/items/{EXAMPLE_ID}", "The item is at version 1"),
        ),
    ),
)
PATCH_ITEM: Final = Operation(
    "patchItem",
    _GROUP,
    "Change some fields of an item",
    "Applies a JSON merge patch (RFC 7396): omitted fields keep their values, and `null` removes an optional field. A "
    "`sku` that another item has gets 409.",
    (ITEM_ID, IF_MATCH),
    {MERGE_PATCH: "ItemPatch", JSON: "ItemPatch"},
    (Response(200, "The new version of the item.", _ITEM, ("ETag",)),),
    (NotFoundError, PreconditionFailedError, ConflictError, *BODY_PROBLEMS),
    (
        Example(
            "reprice",
            "Change the price and remove the description",
            200,
            _SEEDED_PATH,
            body={"price": 19.5, "description": None},
            response=SEEDED | {"price": 19.5, "description": None, "version": 2},
        ),
    ),
)
DELETE_ITEM: Final = Operation(
    "deleteItem",
    _GROUP,
    "Delete an item",
    "With `If-Match`, the item is deleted only if its version has not changed.",
    (ITEM_ID, IF_MATCH),
    responses=(Response(204, "The item is deleted."),),
    problems=(NotFoundError, PreconditionFailedError),
    examples=(Example("delete", _UNCHANGED, 204, _SEEDED_PATH, headers={"If-Match": '"1"'}),),
)
