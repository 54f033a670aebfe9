"""What surrounds every handler, bound once per route: request id, admission, access, errors to replies, telemetry.

A wrapper bound to the route costs about half of what a middleware does, and sees the route's own template for free.
"""

import asyncio
import itertools
import re
import secrets
from random import random
from time import perf_counter
from typing import Any, Final, cast

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
from devops_api.http.state import PRINCIPAL, REQUEST_ID_HEADER, REQUEST_STATE, RequestState
from devops_api.settings.tokens import Scope
from devops_api.telemetry.pipeline import Telemetry, create_trace_ids

UNMATCHED_ROUTE: Final = "/{unmatched}"
_SERVER_ERROR: Final = 500
CLIENT_CLOSED_REQUEST: Final = 499  # nginx's code for a client that went away before the reply

_take_request_id = re.compile(r"[\x21-\x7e]{1,128}").fullmatch


class HandlerWrapper:
    """Makes of a handler what aiohttp is given for a route."""

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

    def bind(
        self, route: str, handler: Handler, *, scope: Scope | None = None, timeout_s: float | None = None
    ) -> Handler:
        """Surround a handler that is admitted, may need a token of `scope`, and is cancelled after `timeout_s`."""
        admission, access = self._admission, self._access
        limit_s = admission.timeout_s if timeout_s is None else timeout_s

        async def respond(request: web.Request) -> web.StreamResponse:
            task = _current_task()
            try:
                admission.enter(task, limit_s)
                try:
                    if access is not None and scope is not None:
                        request[PRINCIPAL] = access.check(request.headers.get("Authorization"), scope).name
                    return await handler(request)
                finally:
                    admission.leave(task)
            except asyncio.CancelledError:
                if not admission.take_expiry(task):
                    raise
                return self._reply(request, _time_out(request, limit_s))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
                return self._answer(request, error)

        return self._surround(route, respond)

    def bind_probe(self, route: str, handler: Handler) -> Handler:
        """Surround a handler that answers whatever the load: probes, metrics, documents."""

        async def respond(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
                return self._answer(request, error)

        return self._surround(route, respond)

    def bind_allowed(self, route: str, allowed: tuple[str, ...]) -> Handler:
        """Answer every other method of a resource: OPTIONS with what is allowed, the rest with 405."""
        allow = {"Allow": ", ".join(allowed)}

        async def refuse(request: web.Request) -> web.StreamResponse:
            if request.method == "OPTIONS":
                return web.Response(status=204, headers=allow)
            raise MethodNotAllowedError(
                f"{request.method} is not allowed here; these are: {allow['Allow']}", headers=allow
            )

        return self.bind_probe(route, refuse)

    def bind_unmatched(self) -> Handler:
        """Answer every path that no route has, under one route value."""

        async def refuse(_: web.Request) -> web.StreamResponse:
            raise NotFoundError("There is nothing at this path; /docs lists what there is")

        return self.bind_probe(UNMATCHED_ROUTE, refuse)

    def wrap(self, route: Any) -> Handler:
        """Wrap the handler of a route."""
        if route.is_probe:
            return self.bind_probe(route.path, route.handler)
        return self.bind(route.path, route.handler, scope=route.scope, timeout_s=route.timeout_s)

    wrap_allowed = bind_allowed
    wrap_unmatched = bind_unmatched

    def _surround(self, route: str, respond: Handler) -> Handler:
        """Give a request its id, its telemetry and its line in the log."""
        telemetry, admission = self._telemetry, self._admission
        sample, sample_ratio = telemetry.sample, telemetry.sample_ratio
        recorder = telemetry.bind_route(route)
        record = recorder.record

        async def respond_traced(request: web.Request) -> web.StreamResponse:
            traceparent = request.headers.get("traceparent")
            request[REQUEST_STATE].trace = telemetry.current_trace() or create_trace_ids(traceparent)
            return await respond(request)

        async def endpoint(request: web.Request) -> web.StreamResponse:
            started = perf_counter()
            headers = request.headers
            call = request[REQUEST_STATE] = RequestState(self._choose_id(headers.get(REQUEST_ID_HEADER)))
            traceparent = headers.get("traceparent")
            # Written out for requests that have no parent, which most are.
            is_sampled = random() < sample_ratio if traceparent is None else sample(traceparent)  # noqa: S311
            try:
                if not is_sampled:
                    response = await respond(request)
                elif telemetry.makes_spans:
                    response = await telemetry.trace(request, respond_traced)
                else:
                    call.trace = create_trace_ids(traceparent)
                    response = await respond(request)
            except (asyncio.CancelledError, ConnectionError, web.HTTPException) as error:
                duration_s, minor = perf_counter() - started, request.version.minor
                status, error_type = _describe_unanswered(error, call.error_type)
                recorder.record_unanswered(request.method, status, duration_s, error_type, call.trace, minor)
                raise
            if not response.prepared:
                response.headers[REQUEST_ID_HEADER] = call.request_id
                if admission.is_draining:
                    response.force_close()
            duration_s = perf_counter() - started
            record(request, response, duration_s, call.error_type, call.trace)
            if call.trace is not None or duration_s > self._slow_request_s:
                self._log_request(request, route, response.status, duration_s)
            return response

        return endpoint

    def _choose_id(self, offered: str | None) -> str:
        """The caller's request id where it is usable, else one of ours."""
        if offered is not None and _take_request_id(offered):
            return offered
        return f"{self._id_prefix}{next(self._id_counter):08x}"

    def _answer(self, request: web.Request, error: Exception) -> web.Response:
        """The reply to what a handler raised; what ends the connection goes on."""
        if isinstance(error, ProblemError):
            return self._reply(request, error)
        if isinstance(error, ConnectionError | web.HTTPException):
            raise error
        return self._crash(request, error)

    def _reply(self, request: web.Request, error: ProblemError) -> web.Response:
        if error.status >= _SERVER_ERROR:
            request[REQUEST_STATE].error_type = type(error).__name__
            if not isinstance(error, OverloadedError):
                self._events.emit("request_failed", request, error=error)
        elif request.path.startswith("/items"):
            self._telemetry.count_rejection(error)
        _require_unanswered(request, error)
        return create_problem_response(error, instance=request.path, request_id=request[REQUEST_STATE].request_id)

    def _crash(self, request: web.Request, error: Exception) -> web.Response:
        request[REQUEST_STATE].error_type = type(error).__qualname__
        self._events.emit("request_failed", request, error=error)
        _require_unanswered(request, error)
        detail = "The service failed; its log has the cause under this request_id"
        return create_problem_response(
            InternalError(detail), instance=request.path, request_id=request[REQUEST_STATE].request_id
        )

    def _log_request(self, request: web.Request, route: str, status: int, duration_s: float) -> None:
        self._events.emit(
            "request",
            request,
            method=request.method,
            route=route,
            status=status,
            duration_ms=round(duration_s * 1e3, 3),
        )


def _require_unanswered(request: web.Request, error: Exception) -> None:
    """Break the connection where a reply has begun: its end is missing, and the client must see that."""
    if request.writer.output_size:
        raise ConnectionResetError("the reply broke off") from error


def _describe_unanswered(error: BaseException, failure: str | None) -> tuple[int, str | None]:
    """The status and the error type of a request that aiohttp answers, or nobody; `failure` broke off its reply."""
    if not isinstance(error, web.HTTPException):
        return (_SERVER_ERROR if failure else CLIENT_CLOSED_REQUEST), failure
    return error.status, type(error).__qualname__ if error.status >= _SERVER_ERROR else None


def _time_out(request: web.Request, limit_s: float) -> ProblemError:
    if not request.content.is_eof():
        return SlowRequestError(f"The body did not arrive within {limit_s:g} s")
    return TimedOutError(f"The request took longer than {limit_s:g} s")


def _current_task() -> asyncio.Task[object]:
    return cast("asyncio.Task[object]", asyncio.current_task())
