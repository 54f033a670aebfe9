"""What is recorded of each request: its duration, and the sizes of its body and of the reply's."""

from typing import Final, NamedTuple

from aiohttp import web

from devops_api.telemetry import catalogue as catalogue
from devops_api.telemetry.catalogue import BORN, BORN_FAILURES, HTTP_METHODS, OTHER, REQUEST_ERRORS
from devops_api.telemetry.histograms import Histogram, Series, TraceIds

_Response = web.Response  # A global is found faster than an attribute.
_METHODS_WITH_BODY: Final = ("POST", "PUT", "PATCH")


class RequestHistograms(NamedTuple):
    """The histograms that every route has series of."""

    duration: Histogram
    request_size: Histogram
    response_size: Histogram


def create_request_histograms() -> RequestHistograms:
    """Empty ones."""
    metrics = catalogue.REQUEST_DURATION, catalogue.REQUEST_SIZE, catalogue.RESPONSE_SIZE
    return RequestHistograms(*map(Histogram, metrics))


# Where the requests of one kind are counted: their duration, and what of it is pending; the pending sizes of the
# replies, and the size of the requests' bodies, None where that kind has none. A plain tuple is taken apart faster than
# one with names, and a list is at hand sooner than the series that it belongs to.
_Recorder = tuple[Series, list[float], list[float] | None, Series | None]


class RouteTelemetry:
    """The requests of one route."""

    def __init__(self, histograms: RequestHistograms, route: str) -> None:
        self._histograms = histograms
        self._route = route
        self._recorders: dict[tuple[str, int, str | None, int], _Recorder] = {}
        self._sizes: dict[tuple[str, Histogram], Series] = {}
        for method, status in BORN.get(route, ()):
            self._find(method, status, None, 1)
            for failure, error_type in BORN_FAILURES:
                self._find(method, failure, error_type, 1)

    def record(
        self,
        request: web.Request,
        response: web.StreamResponse,
        duration_s: float,
        error_type: str | None,
        trace_ids: TraceIds | None,
    ) -> None:
        """Count an answered request, with the size of its body, if any, and of the reply's."""
        key = request.method, response.status, error_type, request.version.minor
        duration, durations, response_sizes, request_size = self._recorders.get(key) or self._find(*key)
        if trace_ids is None:
            durations.append(duration_s)
        else:
            duration.record(duration_s, trace_ids)
        if response_sizes is not None:
            body = response.body if type(response) is _Response else None
            response_sizes.append(len(body) if type(body) is bytes else _measure(request, response))
        if request_size is not None and request.body_exists:
            request_size.record(request.content.total_bytes)

    def record_unanswered(  # noqa: PLR0917 - the attributes in their usual order
        self,
        method: str,
        status: int,
        duration_s: float,
        error_type: str | None = None,
        trace_ids: TraceIds | None = None,
        minor: int = 1,
    ) -> None:
        """Count a request of HTTP/1.`minor` that was given up, or that no handler saw."""
        self._find(method, status, error_type, minor)[0].record(duration_s, trace_ids)

    def _find(self, method: str, status: int, error_type: str | None, minor: int) -> _Recorder:
        """The recorder of these attributes, brought into their closed sets; only such keys are kept."""
        key = (
            method if method in HTTP_METHODS else OTHER,
            status,
            error_type if error_type is None or error_type in REQUEST_ERRORS else OTHER,
            1 if minor else 0,
        )
        recorder = self._recorders.get(key)
        if recorder is None:
            duration = self._histograms.duration.open_series(self._describe(*key))
            recorder = self._recorders[key] = (
                duration,
                duration.pending,
                self._find_size(key[0], self._histograms.response_size).pending if key[0] != "HEAD" else None,
                self._find_size(key[0], self._histograms.request_size) if key[0] in _METHODS_WITH_BODY else None,
            )
        return recorder

    def _find_size(self, method: str, histogram: Histogram) -> Series:
        """By route and method alone: every further attribute would multiply what a scrape costs."""
        series = self._sizes.get((method, histogram))
        if series is None:
            attributes = {"http.request.method": method, "url.scheme": "http", "http.route": self._route}
            series = self._sizes[method, histogram] = histogram.open_series(attributes)
        return series

    def _describe(self, method: str, status: int, error_type: str | None, minor: int) -> dict[str, str | int]:
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "url.scheme": "http",
            "network.protocol.version": f"1.{minor}",
            "http.route": self._route,
            "http.response.status_code": status,
        }
        return attributes if error_type is None else attributes | {"error.type": error_type}


class SilentRoute(RouteTelemetry):
    """What a route gets where OpenTelemetry is turned off."""

    def __init__(self) -> None:
        """Keep nothing."""

    def record(self, *_: object) -> None:
        """Do nothing."""

    def record_unanswered(self, *_: object) -> None:
        """Do nothing."""


def _measure(request: web.Request, response: web.StreamResponse) -> int:
    """Bytes of a reply's body; of a streamed one what was written, headers and framing included."""
    if response.prepared:
        return request.writer.output_size
    return response.content_length or 0
