"""A collector that decodes OTLP over HTTP."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

BATCH = 16  # spans or log records in a batch, and in the queue
QUICK = {"OTEL_TRACES_SAMPLER": "parentbased_always_off", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
# The SDK reads these from the process's environment.
SMALL_QUEUES = {
    "OTEL_BSP_SCHEDULE_DELAY": "50",
    "OTEL_BLRP_SCHEDULE_DELAY": "50",
    "OTEL_BSP_MAX_QUEUE_SIZE": str(BATCH),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(BATCH),
    "OTEL_BLRP_MAX_QUEUE_SIZE": str(BATCH),
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": str(BATCH),
}


class Collector:
    """Decodes what it receives, and responds with `status` after `delay_s`."""

    KINDS = {  # noqa: RUF012 - a constant
        "traces": ExportTraceServiceRequest,
        "metrics": ExportMetricsServiceRequest,
        "logs": ExportLogsServiceRequest,
    }

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.delay_s = 0.0
        self.received: dict[str, list[Any]] = {kind: [] for kind in self.KINDS}

    async def receive(self, request: web.Request) -> web.Response:
        """Serve `POST /v1/{kind}`."""
        assert request.content_type == "application/x-protobuf"
        kind = request.match_info["kind"]
        body = await request.read()
        message = self.KINDS[kind]()
        message.ParseFromString(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        await asyncio.sleep(self.delay_s)
        if self.status == 200:
            self.received[kind].append(message)
        return web.Response(status=self.status)

    def spans(self) -> list[Any]:
        """Return all spans."""
        return [s for m in self.received["traces"] for r in m.resource_spans for c in r.scope_spans for s in c.spans]

    def logs(self) -> list[Any]:
        """Return all log records."""
        return [s for m in self.received["logs"] for r in m.resource_logs for c in r.scope_logs for s in c.log_records]

    def metrics(self) -> dict[str, Any]:
        """Return the metrics of the last export by name."""
        last = self.received["metrics"][-1]
        return {m.name: m for r in last.resource_metrics for c in r.scope_metrics for m in c.metrics}


@asynccontextmanager
async def run_collector() -> AsyncIterator[Collector]:
    """Run a collector on a free port."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/{kind}", collector.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield collector
    await runner.cleanup()


async def wait_until(is_there: Callable[[], Any]) -> None:
    """Wait until the condition holds, for at most five seconds."""
    deadline = monotonic() + 5
    while not is_there():
        assert monotonic() < deadline
        await asyncio.sleep(0.02)


def attributes_of(thing: Any) -> dict[str, Any]:
    """Return attributes as a dictionary."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in thing.attributes}
