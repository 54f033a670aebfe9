"""The exception tree of the chassis. Handlers and stores raise; only the handler wrapper turns errors into responses.

DevopsApiError
├── SettingsError                 exit code 2; names every invalid setting
├── ListenError                   the address cannot be listened on: exit code 1
├── StoreRefusedError             the database cannot be used as it is: exit code 1
└── ProblemError                  a request that gets an RFC 9457 problem
    ├── MalformedError            400
    ├── UnauthorizedError         401
    ├── ForbiddenError            403
    ├── NotFoundError             404
    ├── MethodNotAllowedError     405
    ├── NotAcceptableError        406
    ├── SlowRequestError          408
    ├── ConflictError             409
    ├── PreconditionFailedError   412
    ├── TooLargeError             413
    ├── UnsupportedMediaTypeError 415
    ├── InvalidError              422; names every invalid field
    ├── InternalError             500, for an unexpected exception
    ├── InjectedFaultError        500, requested through /faults
    ├── TimedOutError             504
    └── UnavailableError          503 with Retry-After
        ├── OverloadedError       shed before any work was done
        └── StoreUnavailableError the store does not respond or cannot write

A domain adds its own problems as further subclasses of `ProblemError`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, NamedTuple

ERRORS_MAX: Final = 5_000  # errors that one response lists: five for each element of the longest batch


class FieldError(NamedTuple):
    """One invalid part of a request.

    `kind` selects the meaning of `where`: a JSON pointer into the body (`/price`, `/3/name`; empty for the whole
    body), or the name of a query parameter or of a header.
    """

    where: str
    detail: str
    kind: Literal["pointer", "parameter", "header"] = "pointer"


class DevopsApiError(Exception):
    """Base of the exceptions that this package raises."""


class SettingsError(DevopsApiError):
    """The settings are invalid; `errors` has one line for each variable, with what it accepts."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = tuple(errors)


class ListenError(DevopsApiError):
    """The address or port cannot be listened on."""


class StoreRefusedError(DevopsApiError):
    """The database is newer than the code, is corrupt, or belongs to another program."""


class ProblemError(DevopsApiError):
    """A request that fails with a problem document.

    `str()` is the document's `detail`; `members` extend it. `explanation` is the paragraph of the docs page to which
    the document's `type` leads, with `code` in backticks.
    """

    status: ClassVar[int]
    title: ClassVar[str]
    explanation: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.errors = tuple(errors)
        self.headers = headers or {}
        self.members = members or {}


class MalformedError(ProblemError):
    """The request cannot be parsed."""

    status = 400
    title = "Malformed request"
    explanation = (
        "The body is not JSON, a header is not valid, or the request is not HTTP. `detail` says where parsing "
        "stopped. Correct the request: sending it again unchanged fails again."
    )


class UnauthorizedError(ProblemError):
    """The request carries no token, or an unknown one."""

    status = 401
    title = "Unauthorized"
    explanation = "The request carries no token, or an unknown one. Send `Authorization: Bearer …`."


class ForbiddenError(ProblemError):
    """The token's scope does not allow the operation."""

    status = 403
    title = "Forbidden"
    explanation = "The token may only read. Ask the operator of the service for a token of scope `write`."


class NotFoundError(ProblemError):
    """Nothing has this id, or the path does not exist."""

    status = 404
    title = "Not found"
    explanation = "Nothing has this id, perhaps because it was deleted, or the path does not exist."


class MethodNotAllowedError(ProblemError):
    """The path exists but does not support this method; the response carries `Allow`."""

    status = 405
    title = "Method not allowed"
    explanation = "The path exists but does not support this method. The header `Allow` lists the supported methods."


class NotAcceptableError(ProblemError):
    """The operation produces none of the media types in `Accept`."""

    status = 406
    title = "Not acceptable"
    explanation = "The operation produces none of the media types in `Accept`. `detail` lists those that it produces."


class SlowRequestError(ProblemError):
    """The body did not arrive in time."""

    status = 408
    title = "Request timeout"
    explanation = (
        "The body did not arrive in time. Send the request again; an `Idempotency-Key` makes that safe for creations."
    )


class ConflictError(ProblemError):
    """The change conflicts with something stored, for example because a unique value is taken."""

    status = 409
    title = "Conflict"
    explanation = (
        "The change conflicts with something that is stored or with another part of the same request, for example "
        "because a unique value is taken. `errors` points at each conflict. Nothing was changed."
    )


class PreconditionFailedError(ProblemError):
    """The stored version is not the one that `If-Match` names."""

    status = 412
    title = "Precondition failed"
    explanation = (
        "The stored version is not the one that `If-Match` names, because another client has changed it. Get the "
        "current version, apply your change to it, and send its `ETag`."
    )


class TooLargeError(ProblemError):
    """The body exceeds the limit."""

    status = 413
    title = "Content too large"
    explanation = "The body exceeds the limit of the operation; `detail` names the limit. Split the request."


class UnsupportedMediaTypeError(ProblemError):
    """The operation does not read the body's `Content-Type` or `Content-Encoding`."""

    status = 415
    title = "Unsupported media type"
    explanation = (
        "The operation does not read this `Content-Type`, charset or compression. The response's `Accept`, "
        "`Accept-Patch` or `Accept-Encoding` lists what it reads."
    )


class InvalidError(ProblemError):
    """The request can be parsed but its content is invalid; `errors` names every invalid part."""

    status = 422
    title = "Invalid content"
    explanation = (
        "The request can be parsed but its content is invalid. `errors` names every error at once, by `pointer` "
        "into the body, by `parameter` of the query string or by `header`. Nothing was changed."
    )

    def __init__(self, errors: Sequence[FieldError], detail: str | None = None) -> None:
        count = len(errors)
        super().__init__(detail or ("1 error was found" if count == 1 else f"{count} errors were found"), errors=errors)


class InternalError(ProblemError):
    """An unexpected exception."""

    status = 500
    title = "Internal error"
    explanation = (
        "The service failed; the request was not at fault. The service's log has the cause under `request_id`. "
        "A change may have been made."
    )


class InjectedFaultError(ProblemError):
    """A failure that was requested through /faults, for practice."""

    status = 500
    title = "Injected fault"
    explanation = "An operator injects faults through `/faults`, for practice. `DELETE /faults` ends them."


class TimedOutError(ProblemError):
    """The request took longer than the service allows."""

    status = 504
    title = "Timed out"
    explanation = (
        "The request took longer than the service allows. A change may still have been made: repeat the request with "
        "the same `Idempotency-Key`, or read first."
    )


class UnavailableError(ProblemError):
    """The service cannot serve the request now; retry after `retry_after_s` seconds."""

    status = 503
    title = "Unavailable"
    explanation = (
        "Too many requests are in flight, the store does not respond, or the service is stopping. Retry after the "
        "number of seconds in `Retry-After`. Nothing was changed, unless the response says so."
    )

    def __init__(self, detail: str, *, retry_after_s: int = 1, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)}, members=members)


class OverloadedError(UnavailableError):
    """More requests are in flight than the service admits."""


class StoreUnavailableError(UnavailableError):
    """The store does not respond, or is full, read-only or locked; nothing was changed."""
