"""Which requests are traced, decided before anything else.

W3C Trace Context, level 1. A client's `traceparent` decides: by its flag if the sampler is parent-based, by its trace
id if the sampler is a ratio. Either way the client can force a sample, so forced samples are limited per second.
"""

import re
from collections.abc import Mapping
from random import getrandbits, random
from time import monotonic
from typing import Final, NamedTuple

from devops_api.telemetry.histograms import TraceIds
from devops_api.telemetry.instruments import Counter

DEFAULT_SAMPLER: Final = "parentbased_traceidratio"
DEFAULT_RATIO: Final = 0.01
SAMPLERS: Final[Mapping[str, float | None]] = {
    "always_on": 1.0,
    "always_off": 0.0,
    "traceidratio": None,
    "parentbased_always_on": 1.0,
    "parentbased_always_off": 0.0,
    "parentbased_traceidratio": None,
}
# Version 00 ends after the flags; later versions may continue.
_TRACEPARENT: Final = re.compile(r"(?!ff)(?!00.{54})[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_NEITHER_ZERO: Final = 1 << 191 | 1 << 63  # An id of zeros is invalid.
_LOW_DIGITS: Final = 16  # hexadecimal digits of a trace id that are always random


class Traceparent(NamedTuple):
    """The client's trace, and whether the client samples it."""

    trace_id: str
    is_sampled: bool


def read_traceparent(header: str | None) -> Traceparent | None:
    """Parse a `traceparent` header; None if it is absent or invalid."""
    if header is None:
        return None
    match = _TRACEPARENT.fullmatch(header)
    if match is None or match[1] == _NO_TRACE or match[2] == _NO_SPAN:
        return None
    return Traceparent(match[1], bool(int(match[3], 16) & 1))


def create_trace_ids(parent: Traceparent | None) -> TraceIds:
    """Create the ids of a request without a span: in the client's trace, or in a new one."""
    digits = f"{getrandbits(192) | _NEITHER_ZERO:048x}"
    return TraceIds(parent.trace_id if parent else digits[:32], digits[32:])


class Sampler:
    """The sampler that the `OTEL_TRACES_SAMPLER` variables choose.

    `ratio` is the share of requests sampled without a `traceparent`. `capped` counts forced samples above the limit.
    ValueError: the variables are invalid.
    """

    def __init__(self, environment: Mapping[str, str], forced_per_s: int, capped: Counter) -> None:
        name = environment.get("OTEL_TRACES_SAMPLER") or DEFAULT_SAMPLER
        if name not in SAMPLERS:
            raise ValueError(f"OTEL_TRACES_SAMPLER must be one of {', '.join(SAMPLERS)}")
        ratio = SAMPLERS[name]
        default = 1.0 if environment.get("OTEL_TRACES_SAMPLER") else DEFAULT_RATIO
        self.ratio = float(environment.get("OTEL_TRACES_SAMPLER_ARG") or default) if ratio is None else ratio
        self._is_parent_based = name.startswith("parentbased_")
        self._forced_per_s = forced_per_s
        self._second = 0
        self._forced = 0
        self._capped = capped

    def sample(self, parent: Traceparent | None) -> bool:
        """Decide whether to trace a request with this parent."""
        if parent is None:
            return random() < self.ratio  # noqa: S311 - a share, not a secret
        if self._is_parent_based:
            return parent.is_sampled and self._is_below_cap()
        if self.ratio >= 1:
            return True  # Every request is sampled: none was forced.
        return int(parent.trace_id[-_LOW_DIGITS:], 16) < self.ratio * 16**_LOW_DIGITS and self._is_below_cap()

    def _is_below_cap(self) -> bool:
        second = int(monotonic())
        if second != self._second:
            self._second, self._forced = second, 0
        if self._forced >= self._forced_per_s:
            self._capped.add(1)
            return False
        self._forced += 1
        return True
