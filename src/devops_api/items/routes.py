"""Every URL of the service, on one screen."""

from collections.abc import Callable
from functools import partial
from typing import Final

from aiohttp import web

from devops_api.apidocs.documents import Documents
from devops_api.http.bodies import expect_continue
from devops_api.http.faults import Faults
from devops_api.http.probes import Probes
from devops_api.http.wrapper import Handler, HandlerWrapper
from devops_api.items.bulk.handlers import BulkHandlers
from devops_api.items.handlers import ItemHandlers

_Table = dict[str, dict[str, tuple[Callable[[str, Handler], Handler], Handler]]]
FOREVER_S: Final = float("inf")  # Streams have time limits of their own.


def add_routes(  # noqa: PLR0917 - one call, in the composition root
    router: web.UrlDispatcher,
    wrapper: HandlerWrapper,
    items: ItemHandlers,
    bulk: BulkHandlers,
    probes: Probes,
    documents: Documents,
    faults: Faults | None,
    *,
    has_metrics: bool,
) -> None:
    """Register every route; a path's other methods are answered with 405, every other path with 404.

    With `faults` the item routes suffer what it plans.
    """
    read, write, probe = (
        partial(wrapper.bind, scope="read"),
        partial(wrapper.bind, scope="write"),
        wrapper.bind_probe,
    )
    export, import_ = partial(read, timeout_s=FOREVER_S), partial(write, timeout_s=FOREVER_S)
    # Two paths of one prefix are tried in this order, the one that is asked for most first.
    table: _Table = {
        "/items/{id}": {
            "GET": (read, items.get_item),
            "PUT": (write, items.replace_item),
            "PATCH": (write, items.patch_item),
            "DELETE": (write, items.delete_item),
        },
        "/items": {"GET": (read, items.list_items), "POST": (write, items.create_item)},
        "/items/batch": {"POST": (write, items.create_batch)},
        "/items/import": {"POST": (import_, bulk.import_items)},
        "/items/export": {"GET": (export, bulk.export_items)},
        "/health": {"GET": (probe, probes.get_health)},
        "/livez": {"GET": (probe, probes.get_liveness)},
        "/readyz": {"GET": (probe, probes.get_readiness)},
        "/openapi.json": {"GET": (probe, documents.get_openapi)},
        "/docs": {"GET": (probe, documents.get_page)},
    }
    if faults is not None:
        table = _inject(table, faults) | {
            "/faults": {
                "GET": (read, faults.get_plan),
                "PUT": (write, faults.put_plan),
                "DELETE": (write, faults.delete_plan),
            }
        }
    for path, methods in table.items():
        _add(router, wrapper, path, {method: bind(path, handler) for method, (bind, handler) in methods.items()})
    if has_metrics:
        add_metrics_route(router, wrapper, probes)
    router.add_route("*", "/{unmatched:.*}", wrapper.bind_unmatched())


def add_metrics_route(router: web.UrlDispatcher, wrapper: HandlerWrapper, probes: Probes) -> None:
    """Register /metrics, on the service's own port or on one apart."""
    _add(router, wrapper, "/metrics", {"GET": wrapper.bind_probe("/metrics", probes.get_metrics)})


def _inject(table: _Table, faults: Faults) -> _Table:
    return {
        path: {
            method: (bind, faults.wrap(path, handler) if path.startswith("/items") else handler)
            for method, (bind, handler) in methods.items()
        }
        for path, methods in table.items()
    }


def _add(router: web.UrlDispatcher, wrapper: HandlerWrapper, path: str, handlers: dict[str, Handler]) -> None:
    if "GET" in handlers:
        handlers |= {"HEAD": handlers["GET"]}
    for method, handler in handlers.items():
        router.add_route(method, path, handler, expect_handler=expect_continue)
    router.add_route("*", path, wrapper.bind_allowed(path, (*handlers, "OPTIONS")))
