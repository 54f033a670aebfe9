"""What each kind of problem means and what a client does about it; the page's anchors, to which `type` leads."""

from typing import Final

from devops_api.errors import (
    ConflictError,
    ForbiddenError,
    ImportStoppedError,
    InjectedFaultError,
    InvalidError,
    MalformedError,
    MethodNotAllowedError,
    NotAcceptableError,
    NotFoundError,
    PreconditionFailedError,
    ProblemError,
    SlowRequestError,
    TimedOutError,
    TooLargeError,
    UnauthorizedError,
    UnavailableError,
    UnsupportedMediaTypeError,
)
from devops_api.problems import INTERNAL_ERROR

_TEXTS: Final[dict[type[ProblemError], str]] = {
    MalformedError: "The body is not JSON, a header is not what HTTP or this API allows, or the request is no HTTP at "
    "all. `detail` says where it breaks. Mend the request; the same again gets the same answer.",
    UnauthorizedError: "No token, or one that is not known here. Send `Authorization: Bearer …`.",
    ForbiddenError: "The token may read only. Ask whoever runs the service for one of scope `write`.",
    NotFoundError: "There is no item with this id, or nothing at this path. It may have been deleted.",
    MethodNotAllowedError: "The path exists and does not answer this method; `Allow` lists those that it does.",
    NotAcceptableError: "An export is NDJSON or CSV, and `Accept` takes neither. Ask with `format=` instead.",
    SlowRequestError: "The body did not arrive in time. What was not stored is not; an import's reply says how far it "
    "came. Send it again, with `Idempotency-Key` or `upsert=sku`.",
    ConflictError: "Another item has this `sku`, in the store or in the same batch; `errors` points at each. Nothing "
    "was changed.",
    PreconditionFailedError: "The item is no longer at the version that `If-Match` names: somebody changed it after "
    "you read it. Read it again, make the change to what is there now, and send its `ETag`.",
    TooLargeError: "The body is longer than the limit. Use a batch, or an import, which has none.",
    UnsupportedMediaTypeError: "The call does not read this `Content-Type`, charset or compression; the reply's "
    "`Accept`, `Accept-Patch` or `Accept-Encoding` lists what it reads.",
    InvalidError: "Well formed, and its content is not what the API takes. `errors` names everything at once: "
    "`pointer` into the body, `parameter` of the query string or `header`. Also where an `Idempotency-Key` came with "
    "another body before, and where a cursor is used under another sort or other filters. Nothing was changed.",
    ImportStoppedError: "The import met a bad line and was told to stop there (`on_error=abort`). Everything up to "
    "`stored_through_line` is stored. Mend the line and send the rest, or all of it with `upsert=sku`.",
    InjectedFaultError: "Somebody asked for failures through `/faults`, for practice. `DELETE /faults` ends it.",
    UnavailableError: "Too many requests are in flight, the store cannot answer or write now, or the service is "
    "stopping. `Retry-After` says after how many seconds to ask again. Nothing was changed by a request that was "
    "refused; an import's reply says how far it came.",
    TimedOutError: "The request took longer than the service allows. A change may still have been made: repeat it with "
    "the same `Idempotency-Key`, or read the item first.",
}
_CRASH: Final = (
    "A fault of the service, not of the request. Its log has the cause under `request_id`. A change may have been made."
)

EXPLANATIONS: Final[tuple[tuple[str, int, str], ...]] = tuple(
    sorted(
        [*((kind.title, kind.status, text) for kind, text in _TEXTS.items()), (INTERNAL_ERROR, 500, _CRASH)],
        key=lambda entry: entry[1],
    )
)
