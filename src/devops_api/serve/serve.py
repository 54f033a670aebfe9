"""Running the service: listen, wait for a signal, leave without dropping what was accepted.

SIGTERM fails readiness, waits for load balancers to see it, stops listening, finishes what runs, closes the store and
flushes the telemetry, all within the stop time-out.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final

import uvloop
from aiohttp import web

from devops_api import __version__
from devops_api.app import Service, create_service
from devops_api.errors import ListenError
from devops_api.http.server import Runner
from devops_api.http.wrapper import UNMATCHED_ROUTE
from devops_api.logs.writer import Logs, open_logs
from devops_api.settings.service import PREFIX, Settings

LISTEN_BACKLOG: Final = 1_024
SETTLE_S: Final = 0.05  # for the first request of a connection that was accepted last to be read
FLUSH_SHARE: Final = 0.2  # of the stop time-out: for the store, the telemetry and the log
STREAM_SHARE: Final = 0.4  # of what is left after the drain delay: for streams to end at a chunk once they are told to
SWITCH_INTERVAL_S: Final = 0.001  # How long a thread that renders metrics or reads many rows may keep requests waiting.
_LOOPBACK: Final = {"127.0.0.1", "::1", "localhost"}


def run_service(settings: Settings, environment: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT. ListenError, StoreRefusedError, StoreUnavailableError where that cannot start."""
    logs = open_logs(settings.log_level, settings.log_format)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        uvloop.run(_run_until_signal(settings, environment, logs))
    finally:
        logs.close(timeout_s=1)


async def _run_until_signal(settings: Settings, environment: Mapping[str, str], logs: Logs) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(create_service(settings, environment, logs), stop)


async def serve(
    service: Service, stop: asyncio.Event, on_listening: Callable[[list[tuple[str, int]]], object] = lambda _: None
) -> None:
    """Listen until `stop` is set, then leave in order. `on_listening` is told the addresses, the API's first."""
    runners = await _listen(service)
    on_listening(addresses_of(runners))
    gc.freeze()  # What lives as long as the service need not be looked at by every collection.
    await stop.wait()
    await _leave(service, runners)


async def _listen(service: Service) -> list[Runner]:
    settings = service.settings
    main = await _start(service, service.app, settings.port)
    runners = [main]
    if service.metrics_app is not None and settings.metrics_port is not None:
        runners.append(await _start(service, service.metrics_app, settings.metrics_port))
    ports = [port for _, port in addresses_of(runners)]
    service.logs.emit("started", version=__version__, host=settings.host, ports=ports)
    if settings.tokens_file is None and settings.host not in _LOOPBACK:
        service.logs.emit("open_to_network", host=settings.host)
    return runners


def addresses_of(runners: Sequence[Runner]) -> list[tuple[str, int]]:
    """Where the runners listen."""
    return [(address[0], address[1]) for runner in runners for address in runner.addresses]


async def _start(service: Service, app: web.Application, port: int) -> Runner:
    settings = service.settings
    refused = service.telemetry.bind_route(UNMATCHED_ROUTE)
    runner = Runner(
        app,
        on_refusal=lambda status: refused.record_unanswered("_OTHER", status, 0.0),
        header_timeout_s=settings.header_timeout_s,
        keepalive_timeout=settings.keepalive_timeout_s,
        shutdown_timeout=settings.stop_timeout_s * FLUSH_SHARE / 2,
        auto_decompress=False,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, port, backlog=LISTEN_BACKLOG).start()
    except OSError as error:
        await runner.cleanup()
        raise ListenError(
            f"cannot listen on {settings.host}:{port} ({PREFIX}HOST, {PREFIX}PORT): {error.strerror}"
        ) from None
    return runner


async def _leave(service: Service, runners: list[Runner]) -> None:
    """Drain: each step has its share of the time, and the last one happens whatever became of the others."""
    settings, admission = service.settings, service.admission
    deadline = monotonic() + settings.stop_timeout_s * (1 - FLUSH_SHARE)
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
