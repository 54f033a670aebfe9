"""`devops-api healthcheck` and `ping`. They run every few seconds, so this module imports as little as possible."""

import os
import socket
import sys
import time
from collections.abc import Sequence

TIMEOUT_S = 2.5  # below the 3 s after which the image's HEALTHCHECK gives up
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - by the address listened on


def run_probe(arguments: Sequence[str]) -> int:
    """Run `healthcheck` or `ping HOST:PORT`; return the exit code."""
    try:
        return _check_health(arguments[1:]) if arguments[0] == "healthcheck" else _ping(arguments[1:])
    except (OSError, ValueError) as error:
        sys.stderr.write(f"devops-api {' '.join(arguments)}: {error or type(error).__name__}\n")
        return 1


def _check_health(arguments: Sequence[str]) -> int:
    """Request /health from the address in the environment; return 0 if the service is healthy."""
    if arguments:
        sys.stderr.write("devops-api healthcheck takes no arguments; it reads DEVOPS_API_HOST and DEVOPS_API_PORT\n")
        return 2
    host = os.environ.get("DEVOPS_API_HOST") or "127.0.0.1"
    port = int(os.environ.get("DEVOPS_API_PORT") or 8000)
    with socket.create_connection((_LOOPBACK.get(host, host), port), TIMEOUT_S) as connection:
        connection.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        response = b""
        while part := connection.recv(65536):
            response += part
    head, _, body = response.partition(b"\r\n\r\n")
    is_healthy = head.split(b" ", 2)[1:2] == [b"200"]
    sys.stdout.write(body.decode("utf-8", "replace") + "\n")
    return 0 if is_healthy else 1


def _ping(arguments: Sequence[str]) -> int:
    """Open a TCP connection and print how long that took."""
    host, _, port = arguments[0].rpartition(":") if len(arguments) == 1 else ("", "", "")
    if not (host and port.isdigit()):
        sys.stderr.write("usage: devops-api ping HOST:PORT\n")
        return 2
    started = time.perf_counter()
    with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S) as connection:
        duration_ms = (time.perf_counter() - started) * 1e3
        sys.stdout.write(f"connected to {host}:{port} ({connection.getpeername()[0]}) in {duration_ms:.1f} ms\n")
    return 0
