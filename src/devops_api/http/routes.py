"""The routes of a service: each is declared once, and everything that depends on it is derived from that."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler

from devops_api.errors import ProblemError
from devops_api.http.bodies import expect_continue
from devops_api.http.operations import Operation
from devops_api.http.wrapper import HandlerWrapper
from devops_api.settings.tokens import Scope

STREAM: Final = float("inf")  # The timeout of a route whose handler bounds its own waits.


class Route(NamedTuple):
    """One method of one path.

    `timeout_s` replaces the service's request timeout. A probe is served whatever the load: without admission, token
    and fault injection. `on_rejected` is called with each 4xx problem of the route.
    """

    method: str
    path: str
    scope: Scope | None
    handler: Handler
    operation: Operation
    timeout_s: float | None = None
    is_probe: bool = False
    on_rejected: Callable[[ProblemError], None] | None = None

    @property
    def initial_status(self) -> int:
        """The status whose series exists before the route's first request: that of success."""
        return self.operation.responses[0].status


def add_routes(router: web.UrlDispatcher, wrapper: HandlerWrapper, routes: Iterable[Route]) -> None:
    """Register routes, `HEAD` and `OPTIONS` with them. Other methods get 405, other paths 404.

    Routes of one path must follow each other. aiohttp tries paths of one prefix in this order: put the busiest first.
    """
    for path, group in groupby(routes, key=lambda route: route.path):
        _add_path(router, wrapper, path, list(group))
    router.add_route("*", "/{unmatched:.*}", wrapper.wrap_unmatched())


def _add_path(router: web.UrlDispatcher, wrapper: HandlerWrapper, path: str, routes: Sequence[Route]) -> None:
    handlers = {route.method: wrapper.wrap(route) for route in routes}
    if "GET" in handlers:
        handlers["HEAD"] = handlers["GET"]
    for method, handler in handlers.items():
        router.add_route(method, path, handler, expect_handler=expect_continue)
    router.add_route("*", path, wrapper.wrap_allowed(path, (*handlers, "OPTIONS")))
