"""Wrap the handler of each route with what every request needs: id, telemetry, admission, access, problems, log.

A request passes `handle`, `observe` (telemetry), `respond` and its handler. A wrapper that is bound to its route costs
about half of what a middleware does, and knows the route's template.
"""

import asyncio
import itertools
import re
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from devops_api.errors import (
    InternalError,
    MethodNotAllowedError,
    NotFoundError,
    OverloadedError,
    ProblemError,
    SlowRequestError,
    TimedOutError,
)
from devops_api.http.admission import Admission
from devops_api.http.auth import Access
from devops_api.http.events import EventLogger
from devops_api.http.problems import create_problem_response
from devops_api.http.replies import Reply
from devops_api.http.state import PRINCIPAL, REQUEST_ID_HEADER, REQUEST_STATE, RequestState
from devops_api.telemetry.pipeline import Telemetry
from devops_api.telemetry.requests import UNMATCHED_ROUTE
from devops_api.telemetry.sampling import read_traceparent

if TYPE_CHECKING:
    from devops_api.http.routes import Route

_SERVER_ERROR: Final = 500
_match_request_id = re.compile(r"[\x21-\x7e]{1,128}").fullmatch
OnRejected = Callable[[ProblemError], None]


class HandlerWrapper:
    """Wraps handlers for aiohttp. `access` is None if the service has no tokens."""

    def __init__(
        self,
        *,
        admission: Admission,
        telemetry: Telemetry,
        events: EventLogger,
        access: Access | None,
        slow_request_s: float,
        logs_every_request: bool,
    ) -> None:
        self._admission = admission
        self._telemetry = telemetry
        self._events = events
        self._access = access
        self._slow_request_s = -1.0 if logs_every_request else slow_request_s
        self._id_prefix = secrets.token_hex(8)
        self._id_counter = itertools.count(1)

    def wrap(self, route: "Route") -> Handler:
        """Wrap the handler of a route."""
        if route.is_probe:
            return self._observe(route.path, self._answer_errors(route.handler, route.on_rejected))
        return self._observe(route.path, self._admit(route), [(route.method, route.initial_status)])

    def wrap_allowed(self, path: str, allowed: Iterable[str]) -> Handler:
        """Create the handler of a path's other methods: `OPTIONS` lists the allowed ones, the rest get 405."""
        allow = {"Allow": ", ".join(allowed)}

        async def refuse(request: web.Request) -> web.StreamResponse:
            if request.method == "OPTIONS":
                return Reply(status=204, headers=allow)
            raise MethodNotAllowedError(
                f"{request.method} is not allowed here; allowed are {allow['Allow']}", headers=allow
            )

        return self._observe(path, self._answer_errors(refuse))

    def wrap_unmatched(self) -> Handler:
        """Create the handler of paths that no route matches. Telemetry sees one fixed route for all of them."""

        async def refuse(_: web.Request) -> web.StreamResponse:
            raise NotFoundError("There is nothing at this path; /docs lists all paths")

        return self._observe(UNMATCHED_ROUTE, self._answer_errors(refuse))

    def _observe(self, path: str, respond: Handler, initial: Iterable[tuple[str, int]] = ()) -> Handler:
        """Give each request its id, its telemetry and its line in the log."""
        admission = self._admission
        observe = self._telemetry.bind_route(path, initial).observe

        async def handle(request: web.Request) -> web.StreamResponse:
            headers = request.headers
            request_id = self._choose_id(headers.get(REQUEST_ID_HEADER))
            state = request[REQUEST_STATE] = RequestState(read_traceparent(headers.get("traceparent")), request_id)
            response = await observe(request, state, respond)
            if not response.prepared:
                response.headers[REQUEST_ID_HEADER] = request_id
                if admission.is_draining:
                    response.force_close()
            if state.trace is not None or state.duration_s > self._slow_request_s:
                self._log_request(request, path, response.status, state.duration_s)
            return response

        return handle

    def _admit(self, route: "Route") -> Handler:
        """Bound the requests in flight and their time, and check the token that the route needs."""
        admission, access, scope, handler = self._admission, self._access, route.scope, route.handler
        timeout_s = admission.timeout_s if route.timeout_s is None else route.timeout_s

        # A context manager for admission would read better, and cost 0.45 us of 35 (timeit).
        async def respond(request: web.Request) -> web.StreamResponse:
            task = _get_task()
            try:
                admission.enter(task, timeout_s)
                if access is not None and scope is not None:
                    request[PRINCIPAL] = access.check(request.headers.get("Authorization"), scope).name
                return await handler(request)
            except asyncio.CancelledError:
                if not admission.take_expiry(task):
                    raise
                return self._answer(request, _describe_expiry(request, timeout_s), route.on_rejected)
            except Exception as error:  # noqa: BLE001 - every error gets a response
                return self._answer(request, error, route.on_rejected)
            finally:
                admission.leave(task)

        return respond

    def _answer_errors(self, handler: Handler, on_rejected: OnRejected | None = None) -> Handler:
        """Turn errors into problems, without admission or a token check: probes must work under any load."""

        async def respond(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except Exception as error:  # noqa: BLE001 - every error gets a response
                return self._answer(request, error, on_rejected)

        return respond

    def _choose_id(self, offered: str | None) -> str:
        """Return the client's request id if it is valid, else a new one."""
        if offered is not None and _match_request_id(offered):
            return offered
        return f"{self._id_prefix}{next(self._id_counter):08x}"

    def _answer(self, request: web.Request, error: Exception, on_rejected: OnRejected | None) -> web.Response:
        """Return the problem of an error. aiohttp's own responses and broken connections are raised again.

        ConnectionResetError: the response has begun. The connection must break, so that the client notices.
        """
        if isinstance(error, ConnectionError | web.HTTPException):
            raise error
        if isinstance(error, ProblemError):
            problem = error
        else:
            problem = InternalError("The service failed; its log has the cause under this request_id")
        state = request[REQUEST_STATE]
        if problem.status >= _SERVER_ERROR:
            state.error_type = type(error).__qualname__
            if not isinstance(error, OverloadedError):
                self._events.emit("request_failed", request, error=error)
        elif on_rejected is not None:
            on_rejected(problem)
        if request.writer.output_size:
            raise ConnectionResetError("the response broke off") from error
        return create_problem_response(problem, instance=request.path, request_id=state.request_id)

    def _log_request(self, request: web.Request, path: str, status: int, duration_s: float) -> None:
        self._events.emit(
            "request",
            request,
            method=request.method,
            route=path,
            status=status,
            duration_ms=round(duration_s * 1e3, 3),
        )


def _get_task() -> asyncio.Task[object]:
    return cast("asyncio.Task[object]", asyncio.current_task())


def _describe_expiry(request: web.Request, timeout_s: float) -> ProblemError:
    if not request.content.is_eof():
        return SlowRequestError(f"The body did not arrive within {timeout_s:g} s")
    return TimedOutError(f"The request took longer than {timeout_s:g} s")
