"""The settings that every service has. A domain adds its own fields in a subclass."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from devops_api.settings.tokens import Tokens

KIB = 1024
MIB = 1024 * KIB


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses, limits, timeouts, logs and access. The defaults are those of a first run on one machine."""

    host: Annotated[
        str,
        Meta(pattern=r"^\S+$", description="address to listen on", extra={"accepts": "an IP address or a host name"}),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on; 0 takes a free port")] = 8000
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="lowest level that is logged")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="log format; auto is console on a terminal and JSON elsewhere"),
    ] = "auto"
    access_log: Annotated[bool, Meta(description="log every request, not only failed, slow and sampled ones")] = False
    slow_request_s: Annotated[float, Meta(ge=0.001, le=3600, description="requests that take longer are logged")] = 1.0
    max_body_bytes: Annotated[
        int, Meta(ge=KIB, le=1024 * MIB, description="largest request body, unless the operation has its own limit")
    ] = MIB
    max_in_flight: Annotated[
        int, Meta(ge=1, le=1_000_000, description="requests in flight; more get 503 with Retry-After")
    ] = 1024
    request_timeout_s: Annotated[
        float,
        Meta(ge=0.01, le=3600, description="longest duration of a request, and longest pause within a streamed body"),
    ] = 30.0
    header_timeout_s: Annotated[
        float, Meta(ge=0.01, le=3600, description="longest time from connecting to the end of the first headers")
    ] = 10.0
    keepalive_timeout_s: Annotated[
        float,
        Meta(ge=0, le=3600, description="longest time that a connection may be idle, or take to send its next headers"),
    ] = 75.0
    send_timeout_s: Annotated[
        float, Meta(ge=0.01, le=3600, description="longest time for a client to read a response that is not a stream")
    ] = 30.0
    drain_delay_s: Annotated[
        float, Meta(ge=0, le=300, description="time between failing readiness and closing the listening socket")
    ] = 1.0
    stop_timeout_s: Annotated[float, Meta(ge=0.1, le=3600, description="total shutdown time, drain delay included")] = (
        9.0
    )
    forced_samples_per_s: Annotated[
        int, Meta(ge=0, le=100_000, description="traces per second that clients can force by traceparent")
    ] = 10
    tokens_file: Annotated[
        Tokens | None,
        Meta(
            description="file of bearer tokens; without it the API is open to everyone",
            extra={"accepts": "a file of tokens"},
        ),
    ] = None
    metrics_port: Annotated[
        int | None, Meta(ge=0, le=65535, description="serve /metrics on a separate port; 0 takes a free port")
    ] = None
    faults: Annotated[bool, Meta(description="enable /faults, which makes requests slow or fail for practice")] = False

    def find_conflicts(self, prefix: str) -> list[str]:
        """Return a line for each pair of settings that contradict each other."""
        if self.drain_delay_s < self.stop_timeout_s:
            return []
        return [f"{prefix}DRAIN_DELAY_S must be below {prefix}STOP_TIMEOUT_S, which includes it"]
