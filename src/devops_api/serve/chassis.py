"""Assemble a service: the domain supplies its routes, the chassis everything around them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from devops_api.apidocs.documents import Documents
from devops_api.apidocs.guide import Guide
from devops_api.http.admission import Admission
from devops_api.http.auth import Access
from devops_api.http.events import EventLogger
from devops_api.http.faults import FaultInjector
from devops_api.http.operations import Schema
from devops_api.http.probes import Check, Probes
from devops_api.http.routes import Route, add_routes
from devops_api.http.wrapper import HandlerWrapper
from devops_api.identity import Identity
from devops_api.logs.writer import Logs
from devops_api.settings.service import ServiceSettings
from devops_api.telemetry.catalogue import ACTIVE_REQUESTS, create_service_metrics
from devops_api.telemetry.pipeline import Telemetry, create_telemetry

FLUSH_SHARE = 0.1  # of the stop timeout: for telemetry that is not sent yet
FLUSH_MAX_S = 5.0


@dataclass(frozen=True, slots=True)
class Service:
    """A service that can be served. `metrics_app` is None unless the metrics have a separate port."""

    identity: Identity
    settings: ServiceSettings
    app: web.Application
    metrics_app: web.Application | None
    admission: Admission
    telemetry: Telemetry
    logs: Logs


async def _close_nothing() -> None:
    """Close a domain that holds no resource."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What a domain supplies: routes, readiness checks, schemas and a guide for the documents, and a close function."""

    routes: Sequence[Route]
    checks: Mapping[str, Check] = field(default_factory=dict)
    schemas: Mapping[str, Schema] = field(default_factory=dict)
    guide: Guide = field(default_factory=Guide)
    close: Callable[[], Awaitable[None]] = _close_nothing


class Chassis:
    """The parts that a domain's handlers use, and the assembly of the service around them."""

    def __init__(
        self, identity: Identity, settings: ServiceSettings, environment: Mapping[str, str], logs: Logs
    ) -> None:
        self.identity = identity
        self.settings = settings
        self.logs = logs
        self.telemetry = create_telemetry(
            identity,
            environment,
            logs,
            forced_samples_per_s=settings.forced_samples_per_s,
            flush_timeout_s=min(settings.stop_timeout_s * FLUSH_SHARE, FLUSH_MAX_S),
        )
        self.admission = Admission(limit=settings.max_in_flight, timeout_s=settings.request_timeout_s)
        self.events = EventLogger(logs)

    def assemble(self, domain: Domain) -> Service:
        """Return the service of a domain: its routes with probes, documents, metrics and fault injection."""
        settings, telemetry = self.settings, self.telemetry
        probes = Probes(
            version=self.identity.version, checks=domain.checks, telemetry=telemetry, admission=self.admission
        )
        self._observe(probes)
        wrapper = self._create_wrapper()
        app = web.Application()
        add_routes(app.router, wrapper, self._list_routes(domain, probes))
        app.cleanup_ctx.append(lambda _: self._run(domain))
        metrics_app = None
        if settings.metrics_port is not None:
            metrics_app = web.Application()
            add_routes(metrics_app.router, wrapper, [probes.metrics_route()])
        return Service(self.identity, settings, app, metrics_app, self.admission, telemetry, self.logs)

    def _list_routes(self, domain: Domain, probes: Probes) -> list[Route]:
        routes, faults = list(domain.routes), []
        if self.settings.faults:
            injector = FaultInjector()
            routes, faults = injector.inject(routes), injector.routes()
        metrics = [probes.metrics_route()] if self.settings.metrics_port is None else []
        described = [*routes, *probes.routes(), *metrics, *faults]
        documents = Documents(self.identity, described, domain.schemas, domain.guide, self.settings)
        return [*described, *documents.routes()]

    def _create_wrapper(self) -> HandlerWrapper:
        settings = self.settings
        tokens = settings.tokens_file
        return HandlerWrapper(
            admission=self.admission,
            telemetry=self.telemetry,
            events=self.events,
            access=None if tokens is None else Access(tokens, self.identity.metric_prefix),
            slow_request_s=settings.slow_request_s,
            logs_every_request=settings.access_log,
        )

    def _observe(self, probes: Probes) -> None:
        """Expose readiness and admission as metrics. Readiness is checked on the event loop, before each scrape."""
        known = {"ready": 0}

        async def refresh() -> None:
            known["ready"] = int(await probes.is_ready())

        metrics = create_service_metrics(self.identity.metric_prefix)
        self.telemetry.refresh_with(refresh)
        self.telemetry.observe(metrics.ready, lambda: known["ready"])
        self.telemetry.observe(metrics.shed, lambda: self.admission.shed_total)
        self.telemetry.observe(ACTIVE_REQUESTS, lambda: self.admission.in_flight)

    async def _run(self, domain: Domain) -> AsyncIterator[None]:
        """Run the background tasks, and close everything after the last request."""
        sweeping = asyncio.create_task(self.admission.sweep())
        self.telemetry.start()
        yield
        sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeping
        await domain.close()
        self.telemetry.stop()
