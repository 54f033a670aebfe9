"""Which requests are traced: decided before anything else, at the cost of a comparison.

W3C Trace Context (level 1): a caller's `traceparent` decides, by its flag where the sampler is parent-based and by its
trace id where it is a ratio alone; both are the caller's own choice, and hold up to a cap a second.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import getrandbits, random
from time import monotonic
from typing import Final

from devops_api.telemetry.histograms import Count, TraceIds

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
# Version 00 ends after the flags; later versions may go on.
_TRACEPARENT: Final = re.compile(r"(?!ff)(?!00.{54})[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_NEITHER_ZERO: Final = 1 << 191 | 1 << 63  # Zero would be no id, neither of a trace nor of a span.
_LOW_BITS: Final = 16  # hexadecimal digits of a trace id that are random for certain


@dataclass(frozen=True, slots=True)
class Traceparent:
    """A caller's place in a trace."""

    trace_id: str
    is_sampled: bool


def read_traceparent(header: str) -> Traceparent | None:
    """What a `traceparent` says; None where it says nothing that counts."""
    match = _TRACEPARENT.fullmatch(header)
    if match is None or match[1] == _NO_TRACE or match[2] == _NO_SPAN:
        return None
    return Traceparent(match[1], bool(int(match[3], 16) & 1))


def trace_id_of(header: str | None) -> str | None:
    """The trace that a request belongs to, sampled or not."""
    parent = read_traceparent(header) if header else None
    return parent.trace_id if parent else None


def create_trace_ids(header: str | None) -> TraceIds:
    """A place in the caller's trace, or in a new one, for a request of which no span is made."""
    digits = f"{getrandbits(192) | _NEITHER_ZERO:048x}"
    return TraceIds(trace_id_of(header) or digits[:32], digits[32:])


class Sampler:
    """The sampler that the environment asks for; `capped` counts the samples that callers did not get.

    `ratio` is the share of requests that are sampled where no caller has a say.
    """

    def __init__(self, environment: Mapping[str, str], forced_per_s: int) -> None:
        name = environment.get("OTEL_TRACES_SAMPLER") or DEFAULT_SAMPLER
        ratio = SAMPLERS[name]
        default = 1.0 if environment.get("OTEL_TRACES_SAMPLER") else DEFAULT_RATIO
        self.ratio = float(environment.get("OTEL_TRACES_SAMPLER_ARG") or default) if ratio is None else ratio
        self._is_parent_based = name.startswith("parentbased_")
        self._forced_per_s = forced_per_s
        self._second = 0
        self._forced = 0
        self.capped = Count()

    def sample(self, header: str | None) -> bool:
        """Whether to trace a request with this `traceparent`."""
        parent = read_traceparent(header) if header else None
        if parent is None:
            return random() < self.ratio  # noqa: S311 - a share, not a secret
        if self._is_parent_based:
            return parent.is_sampled and self._is_below_cap()
        if self.ratio >= 1:
            return True  # Whatever the caller says.
        return int(parent.trace_id[-_LOW_BITS:], 16) < self.ratio * 16**_LOW_BITS and self._is_below_cap()

    def _is_below_cap(self) -> bool:
        second = int(monotonic())
        if second != self._second:
            self._second, self._forced = second, 0
        if self._forced >= self._forced_per_s:
            self.capped.add(1)
            return False
        self._forced += 1
        return True
