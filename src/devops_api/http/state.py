"""What the chassis knows about a request beside its headers and body."""

from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from devops_api.telemetry.histograms import TraceIds

REQUEST_ID_HEADER: Final = "X-Request-ID"
PRINCIPAL: Final = web.RequestKey("principal", str)  # the name of the request's token


class RequestState:
    """A request's id, its trace if it is sampled, and the type of error it failed with.

    One object for all three: looking up a key that a request does not have costs a microsecond.
    """

    __slots__ = ("error_type", "request_id", "trace")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.trace: TraceIds | None = None
        self.error_type: str | None = None


REQUEST_STATE: Final = web.RequestKey("state", RequestState)
