"""`devops-api healthcheck` and `devops-api ping`, which import next to nothing: they run every few seconds for ever."""

import os
import socket
import sys
import time
from collections.abc import Sequence

TIMEOUT_S = 2.5  # below the 3 s after which the image's HEALTHCHECK gives up
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - what to ask instead


def run_probe(words: Sequence[str]) -> int:
    """Run `healthcheck` or `ping HOST:PORT`."""
    try:
        return _check_health(words[1:]) if words[0] == "healthcheck" else _ping(words[1:])
    except (OSError, ValueError) as error:
        sys.stderr.write(f"devops-api {' '.join(words)}: {error or type(error).__name__}\n")
        return 1


def _check_health(words: Sequence[str]) -> int:
    """Ask /health of the service that the environment describes; exit 0 where it says that it is well."""
    if words:
        sys.stderr.write("devops-api healthcheck takes no arguments; it asks where DEVOPS_API_HOST and _PORT point\n")
        return 2
    host = os.environ.get("DEVOPS_API_HOST") or "127.0.0.1"
    port = int(os.environ.get("DEVOPS_API_PORT") or 8000)
    with socket.create_connection((_ANY_ADDRESS.get(host, host), port), TIMEOUT_S) as connection:
        connection.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
        reply = b""
        while part := connection.recv(65536):
            reply += part
    head, _, body = reply.partition(b"\r\n\r\n")
    is_well = head.split(b" ", 2)[1:2] == [b"200"]
    sys.stdout.write(body.decode("utf-8", "replace") + "\n")
    return 0 if is_well else 1


def _ping(words: Sequence[str]) -> int:
    """Open a TCP connection and say how long that took."""
    host, _, port = words[0].rpartition(":") if len(words) == 1 else ("", "", "")
    if not (host and port.isdigit()):
        sys.stderr.write("usage: devops-api ping HOST:PORT\n")
        return 2
    started = time.perf_counter()
    with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S) as connection:
        duration_ms = (time.perf_counter() - started) * 1e3
        sys.stdout.write(f"{host}:{port} ({connection.getpeername()[0]}) answered in {duration_ms:.1f} ms\n")
    return 0
