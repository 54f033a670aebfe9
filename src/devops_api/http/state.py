"""The state that the chassis keeps of a request."""

from typing import Final

from aiohttp import web

from devops_api.telemetry.requests import Observation

REQUEST_ID_HEADER: Final = "X-Request-ID"
PRINCIPAL: Final = web.RequestKey("principal", str)  # the name of the request's token


class RequestState(Observation):
    """A request's id, and what telemetry knows about it.

    One object for everything: looking up a key that a request does not have costs a microsecond.
    """

    __slots__ = ()


REQUEST_STATE: Final = web.RequestKey("state", RequestState)
