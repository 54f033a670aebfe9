"""The log as handlers see it: events with the ids of their request."""

from typing import Any

from aiohttp import web

from devops_api.http.state import REQUEST_STATE
from devops_api.logs.writer import Logs


class EventLogger:
    """Write events with the id and the trace of the request that they belong to."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    def emit(self, event: str, request: web.Request, **fields: Any) -> None:
        """Log a catalogued event. KeyError: the catalogue does not have it."""
        state = request[REQUEST_STATE]
        self._logs.emit(event, request_id=state.request_id, trace_id=state.trace_id, span_id=state.span_id, **fields)
