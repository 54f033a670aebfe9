"""The exception tree. Handlers and stores raise; `endpoint` alone turns a `ProblemError` into a reply.

DevopsApiError
├── SettingsError                 exit code 2, every fault at once
├── ListenError                   the address cannot be listened on: exit code 1
├── StoreRefusedError             the database cannot be used as it is: exit code 1
└── ProblemError                  a request that is answered with an RFC 9457 problem
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
    ├── InvalidError              422, every fault at once
    ├── ImportStoppedError        422 with what is stored of an import that was told to stop at a bad line
    ├── InjectedFaultError        500, asked for through /faults
    ├── TimedOutError             504
    └── UnavailableError          503 with Retry-After
        ├── OverloadedError       shed before any work was done
        └── StoreUnavailableError the store does not answer, or cannot write
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

FAULTS_MAX: Final = 5_000  # that a reply names: five for each element of the longest batch


class Fault(NamedTuple):
    """One thing that is wrong with a request.

    `where` is a JSON pointer into the body (`/price`, `/3/name`; empty for the whole of it), or the name of a query
    parameter or header, as `kind` says.
    """

    where: str
    detail: str
    kind: str = "pointer"


class DevopsApiError(Exception):
    """Everything this package raises on purpose."""


class SettingsError(DevopsApiError):
    """The settings cannot be used; `faults` has one line for each variable, naming what it accepts."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class ListenError(DevopsApiError):
    """The address or port cannot be listened on."""


class StoreRefusedError(DevopsApiError):
    """The database is newer than the code, is corrupt, or belongs to another program."""


class ProblemError(DevopsApiError):
    """A request that cannot be served as asked; `str()` is the problem's `detail`, `members` extend the document."""

    status: ClassVar[int]
    title: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.faults = tuple(faults)
        self.headers = headers or {}
        self.members = members or {}


class MalformedError(ProblemError):
    """The request cannot be parsed."""

    status = 400
    title = "Malformed request"


class UnauthorizedError(ProblemError):
    """No token, or one that is not known."""

    status = 401
    title = "Unauthorized"


class ForbiddenError(ProblemError):
    """The token's scope does not allow the call."""

    status = 403
    title = "Forbidden"


class NotFoundError(ProblemError):
    """No such item, or no such path."""

    status = 404
    title = "Not found"


class MethodNotAllowedError(ProblemError):
    """The path exists, the method does not; carries `Allow`."""

    status = 405
    title = "Method not allowed"


class NotAcceptableError(ProblemError):
    """None of the media types asked for can be given."""

    status = 406
    title = "Not acceptable"


class SlowRequestError(ProblemError):
    """The body did not arrive in time."""

    status = 408
    title = "Request timeout"


class ConflictError(ProblemError):
    """The change collides with another item, such as one that holds the same `sku`."""

    status = 409
    title = "Conflict"


class PreconditionFailedError(ProblemError):
    """`If-Match` names another version than the stored one."""

    status = 412
    title = "Precondition failed"


class TooLargeError(ProblemError):
    """The body is longer than the limit."""

    status = 413
    title = "Content too large"


class UnsupportedMediaTypeError(ProblemError):
    """The body's `Content-Type` or `Content-Encoding` is not one that the call reads."""

    status = 415
    title = "Unsupported media type"


class InvalidError(ProblemError):
    """The request is well formed and its content is not; `faults` names everything that is wrong."""

    status = 422
    title = "Invalid content"

    def __init__(self, faults: Sequence[Fault], detail: str | None = None) -> None:
        count = len(faults)
        super().__init__(detail or ("1 fault was found" if count == 1 else f"{count} faults were found"), faults=faults)


class ImportStoppedError(ProblemError):
    """An import stopped at its first bad line, as asked; the members say what is stored."""

    status = 422
    title = "Import stopped"


class InjectedFaultError(ProblemError):
    """A failure that was asked for through /faults, for practice."""

    status = 500
    title = "Injected fault"


class TimedOutError(ProblemError):
    """The request took longer than the service allows."""

    status = 504
    title = "Timed out"


class UnavailableError(ProblemError):
    """The service cannot answer now and can be asked again after `retry_after_s` seconds."""

    status = 503
    title = "Unavailable"

    def __init__(self, detail: str, *, retry_after_s: int = 1, members: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)}, members=members)


class OverloadedError(UnavailableError):
    """More requests are in flight than the service takes."""


class StoreUnavailableError(UnavailableError):
    """The store does not answer, is full, read-only or locked; nothing was changed."""
