"""Serve: listen, wait for a signal, stop without dropping an admitted request.

SIGTERM fails readiness, waits until load balancers have noticed, closes the listening socket, finishes the requests in
flight, closes the domain and flushes the telemetry, all within the stop timeout.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final, TypeVar

import uvloop
from aiohttp import web

from devops_api.errors import ListenError
from devops_api.http.server import Runner
from devops_api.logs.events import Event
from devops_api.logs.writer import Logs, open_logs
from devops_api.serve.chassis import Service
from devops_api.settings.service import ServiceSettings
from devops_api.telemetry.requests import UNMATCHED_ROUTE

LISTEN_BACKLOG: Final = 1_024
SETTLE_S: Final = 0.05  # for the first request of the connection that was accepted last
CLOSE_SHARE: Final = 0.2  # of the stop timeout: for closing the domain, the telemetry and the log
STREAM_SHARE: Final = 0.4  # of the time left after the drain delay: for streams to end at their next chunk
SWITCH_INTERVAL_S: Final = 0.001  # longest time for which a thread that renders or reads rows may hold up requests
_LOOPBACK: Final = {"127.0.0.1", "::1", "localhost"}
S = TypeVar("S", bound=ServiceSettings)
Create = Callable[[S, Mapping[str, str], Logs], Service]


def run_service(
    create: Create[S], settings: S, environment: Mapping[str, str], events: Mapping[str, Event] | None = None
) -> None:
    """Create a service and serve it until SIGTERM or SIGINT. `events` are the domain's log events.

    ListenError, and what `create` raises: the service cannot start.
    """
    logs = open_logs(settings.log_level, settings.log_format, events=events)
    sys.setswitchinterval(SWITCH_INTERVAL_S)

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(create(settings, environment, logs), stop)

    try:
        uvloop.run(run())
    finally:
        logs.close(timeout_s=1)


async def serve(
    service: Service, stop: asyncio.Event, on_listening: Callable[[list[tuple[str, int]]], object] = lambda _: None
) -> None:
    """Listen until `stop` is set, then stop in order. `on_listening` gets the addresses, the API's first."""
    runners = await _listen(service)
    on_listening(list_addresses(runners))
    gc.freeze()  # Objects that live as long as the service need no garbage collection.
    await stop.wait()
    await _stop(service, runners)


def list_addresses(runners: Sequence[Runner]) -> list[tuple[str, int]]:
    """Return the addresses that the runners listen on."""
    return [(address[0], address[1]) for runner in runners for address in runner.addresses]


async def _listen(service: Service) -> list[Runner]:
    settings = service.settings
    runners = [await _start(service, service.app, settings.port)]
    if service.metrics_app is not None and settings.metrics_port is not None:
        runners.append(await _start(service, service.metrics_app, settings.metrics_port))
    ports = [port for _, port in list_addresses(runners)]
    service.logs.emit("started", version=service.identity.version, host=settings.host, ports=ports)
    if settings.tokens_file is None and settings.host not in _LOOPBACK:
        service.logs.emit("open_to_network", host=settings.host)
    return runners


async def _start(service: Service, app: web.Application, port: int) -> Runner:
    settings = service.settings
    unparsed = service.telemetry.bind_route(UNMATCHED_ROUTE)
    runner = Runner(
        app,
        on_parse_error=unparsed.record_refusal,
        header_timeout_s=settings.header_timeout_s,
        send_timeout_s=settings.send_timeout_s,
        keepalive_timeout=settings.keepalive_timeout_s,
        shutdown_timeout=settings.stop_timeout_s * CLOSE_SHARE / 2,
        auto_decompress=False,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, port, backlog=LISTEN_BACKLOG).start()
    except OSError as error:
        await runner.cleanup()
        prefix = service.identity.settings_prefix
        raise ListenError(
            f"cannot listen on {settings.host}:{port} ({prefix}HOST, {prefix}PORT): {error.strerror}"
        ) from None
    return runner


async def _stop(service: Service, runners: list[Runner]) -> None:
    """Drain and close. Each step has its share of the time; the last step always runs."""
    settings, admission = service.settings, service.admission
    deadline = monotonic() + settings.stop_timeout_s * (1 - CLOSE_SHARE)
    admission.is_draining = True
    service.logs.emit("draining", in_flight=admission.in_flight)
    await asyncio.sleep(settings.drain_delay_s)
    for runner in runners:
        for site in list(runner.sites):
            await site.stop()
    await asyncio.sleep(SETTLE_S)
    await admission.wait_empty((deadline - monotonic()) * (1 - STREAM_SHARE))
    admission.is_stopping = True
    is_complete = await admission.wait_empty(deadline - monotonic())
    for runner in reversed(runners):
        await runner.cleanup()
    service.logs.emit("stopped", is_complete=is_complete)
