"""Check OpenTelemetry's own settings at startup: the SDK silently replaces invalid ones by defaults."""

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

DEFAULT_QUEUE_SIZE: Final = 2_048  # spans or log records; the specification's default
DEFAULT_BATCH_SIZE: Final = 512
_QUEUES: Final = ("BSP", "BLRP")
_SIGNALS: Final = ("TRACES", "METRICS", "LOGS")
# What the SDK accepts, values percent-encoded or not. It logs a header that it rejects, and with it a token.
_HEADER: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+[ \t]*=([ !#-+\--:<-\[\]-~\t]*)", re.ASCII)
_SAMPLERS: Final = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)


def find_otel_errors(environment: Mapping[str, str]) -> list[str]:
    """Return a line for each invalid OTEL_ variable; the values of URLs and headers are never shown."""
    errors = [
        f"{name} must be {accepts}"
        for name, (check, accepts) in _CHECKS.items()
        if environment.get(name) and not _is_valid(check, environment[name])
    ]
    return errors or [error for queue in _QUEUES if (error := _compare_sizes(environment, queue))]


def _compare_sizes(environment: Mapping[str, str], queue: str) -> str | None:
    """Compare a queue with its batch: the SDK raises ValueError for a queue that holds less than one batch."""
    size_name, batch_name = f"OTEL_{queue}_MAX_QUEUE_SIZE", f"OTEL_{queue}_MAX_EXPORT_BATCH_SIZE"
    size = int(environment.get(size_name) or DEFAULT_QUEUE_SIZE)
    batch = int(environment.get(batch_name) or DEFAULT_BATCH_SIZE)
    return f"{size_name} must be at least {batch_name} ({batch})" if size < batch else None


def _is_valid(check: Callable[[str], bool], text: str) -> bool:
    try:
        return check(text)
    except ValueError:
        return False


def _is_url(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0


def _are_headers(text: str) -> bool:
    matches = [_HEADER.fullmatch(part.strip(" \t")) for part in text.split(",") if part]
    return all(match is not None and unquote(match[1], errors="strict").isprintable() for match in matches)


def _is_positive(text: str) -> bool:
    return 0 < float(text) < float("inf")


_URL: Final = (_is_url, "an http:// or https:// URL")
_HEADERS: Final = (_are_headers, "name=value, with commas between several, values percent-encoded")
_POSITIVE: Final = (_is_positive, "a number above 0")
_COUNT: Final = (lambda text: int(text) > 0, "a whole number above 0")
_PROTOCOL: Final = (lambda text: text == "http/protobuf", "http/protobuf, the only protocol that is built in")
_CHECKS: Final[Mapping[str, tuple[Callable[[str], bool], str]]] = {
    "OTEL_SDK_DISABLED": (lambda text: text.lower() in {"true", "false"}, "true or false"),
    "OTEL_TRACES_SAMPLER": (lambda text: text in _SAMPLERS, f"one of {', '.join(_SAMPLERS)}"),
    "OTEL_TRACES_SAMPLER_ARG": (lambda text: 0 <= float(text) <= 1, "a number, 0 to 1"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": _URL,
    "OTEL_EXPORTER_OTLP_HEADERS": _HEADERS,
    "OTEL_EXPORTER_OTLP_PROTOCOL": _PROTOCOL,
    "OTEL_EXPORTER_OTLP_TIMEOUT": _POSITIVE,
    **{f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT": _URL for signal in _SIGNALS},
    **{f"OTEL_EXPORTER_OTLP_{signal}_HEADERS": _HEADERS for signal in _SIGNALS},
    **{f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL": _PROTOCOL for signal in _SIGNALS},
    **{f"OTEL_EXPORTER_OTLP_{signal}_TIMEOUT": _POSITIVE for signal in _SIGNALS},
    "OTEL_METRIC_EXPORT_INTERVAL": _POSITIVE,
    "OTEL_METRIC_EXPORT_TIMEOUT": _POSITIVE,
    **{
        f"OTEL_{queue}_{name}": _COUNT
        for queue in _QUEUES
        for name in ("SCHEDULE_DELAY", "EXPORT_TIMEOUT", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE")
    },
}
