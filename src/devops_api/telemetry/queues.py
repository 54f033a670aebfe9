"""The SDK's bounded queues of spans and log records, which drop silently, with their drops counted.

Uses private names of the SDK; `tests/telemetry/test_queues.py` fails when these change.
"""

from collections import deque
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

OnDrop = Callable[[int], None]


class SpanQueue(BatchSpanProcessor):
    """The SDK's bounded queue of spans; `on_drop` is called with the number of spans that did not fit."""

    def __init__(self, exporter: SpanExporter, on_drop: OnDrop) -> None:
        super().__init__(exporter)
        _replace_queue(self._batch_processor, on_drop)


class LogRecordQueue(BatchLogRecordProcessor):
    """The SDK's bounded queue of log records; `on_drop` is called with the number of records that did not fit."""

    def __init__(self, exporter: LogRecordExporter, on_drop: OnDrop) -> None:
        super().__init__(exporter)
        _replace_queue(self._batch_processor, on_drop)


def _replace_queue(processor: Any, on_drop: OnDrop) -> None:
    queue = processor._queue  # noqa: SLF001 - see the module's docstring
    processor._queue = _Queue(queue.maxlen, on_drop)  # noqa: SLF001


class _Queue(deque[Any]):
    """Calls `on_drop` for each element that a newer one pushes out.

    Checking for room and adding are one locked step: the exporter's thread takes elements out in between otherwise.
    """

    def __init__(self, size: int, on_drop: OnDrop) -> None:
        super().__init__((), size)
        self._on_drop = on_drop
        self._lock = Lock()

    def appendleft(self, element: Any) -> None:
        with self._lock:
            if len(self) == self.maxlen:
                self._on_drop(1)
            super().appendleft(element)

    def pop(self) -> Any:  # type: ignore[override]
        with self._lock:
            return super().pop()


class CountingExporter:
    """An OTLP exporter that calls `on_failure` with each batch that the collector did not accept."""

    def __init__(self, exporter: Any, on_failure: Callable[[Any], None]) -> None:
        self._exporter = exporter
        self._on_failure = on_failure

    def export(self, batch: Iterable[Any], *arguments: Any, **options: Any) -> Any:
        """Export a batch."""
        try:
            result = self._exporter.export(batch, *arguments, **options)
        except Exception:
            self._on_failure(batch)
            raise
        if result.name != "SUCCESS":
            self._on_failure(batch)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exporter, name)
