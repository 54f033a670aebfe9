"""Compare the whole service over sockets with bare aiohttp, and with itself without telemetry.

The requests are `GET /items/{id}` and durable `POST /items`. Each round loads one server after the other: the servers
run on the first processor and wrk on the second, so that drift of the machine affects all of them. The result is the
median of the rounds' ratios. Needs wrk and taskset.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROUNDS: Final = 7  # the first warms up and is not counted
ROUND_S: Final = 3
PORTS: Final = {"bare": 9881, "service": 9882, "no telemetry": 9883}
BODY: Final = b'{"name": "Test", "price": 9.99}'
CREATE_SCRIPT: Final = (
    f'wrk.method = "POST"\nwrk.body = \'{BODY.decode()}\'\nwrk.headers["Content-Type"] = "application/json"\n'
)


@contextmanager
def run_servers(folder: Path) -> Iterator[None]:
    """Run all servers until the block ends."""
    serve = [sys.executable, "-m", "devops_api", "serve"]
    bare = [sys.executable, str(Path(__file__).with_name("bare.py")), str(PORTS["bare"])]
    commands = {"bare": bare, "service": serve, "no telemetry": serve}
    with (folder / "log").open("wb") as log:
        running = [
            subprocess.Popen(["taskset", "-c", "0", *command], stdout=log, env=os.environ | _settings(name, folder))
            for name, command in commands.items()
        ]
        try:
            for port in PORTS.values():
                wait_for(port)
            yield
        finally:
            for process in running:
                process.terminate()
                process.wait()


def _settings(name: str, folder: Path) -> dict[str, str]:
    return {
        "DEVOPS_API_PORT": str(PORTS[name]),
        "DEVOPS_API_DATABASE_URL": f"sqlite:///{folder}/{PORTS[name]}.db",
        "OTEL_SDK_DISABLED": str(name == "no telemetry").lower(),
    }


def create_item(port: int) -> str:
    """Create an item and return its path."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/items", BODY, headers)
    with urllib.request.urlopen(request) as response:
        return f"/items/{json.load(response)['id']}"


def wait_for(port: int) -> None:
    """Wait until a server responds on the port."""
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)


def load(port: int, path: str, connections: int, *options: str) -> float:
    """Return the requests per second of one round."""
    url = f"http://127.0.0.1:{port}{path}"
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{ROUND_S}s", *options, url]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in printed:
        raise SystemExit(printed)
    return float(re.findall(r"Requests/sec:\s+([\d.]+)", printed)[0])


def compare(name: str, paths: dict[str, str], connections: int, *options: str) -> None:
    """Load all servers in turn and print the service's rate, and its ratio to the others."""
    rates = [
        {server: load(port, paths[server], connections, *options) for server, port in PORTS.items()}
        for _ in range(ROUNDS)
    ][1:]
    print(f"{name:32} {statistics.median(rate['service'] for rate in rates):8.0f}/s", end="")
    for base in ("bare", "no telemetry"):
        ratios = [rate["service"] / rate[base] for rate in rates]
        print(f"  {statistics.median(ratios):.3f} of {base} [{min(ratios):.2f}, {max(ratios):.2f}]", end="")
    print(flush=True)


def main() -> None:
    """Measure both operations."""
    if not (shutil.which("wrk") and shutil.which("taskset")):
        raise SystemExit("benchmarks/service.py needs wrk and taskset (on Debian: apt install wrk util-linux)")
    with tempfile.TemporaryDirectory() as name, run_servers(Path(name)):
        script = Path(name) / "create.lua"
        script.write_text(CREATE_SCRIPT)
        items = {"bare": "/items/1"} | {server: create_item(PORTS[server]) for server in ("service", "no telemetry")}
        compare("GET /items/{id}, 32 clients", items, 32)
        compare("POST /items, 256 clients", dict.fromkeys(PORTS, "/items"), 256, "-s", str(script))


if __name__ == "__main__":
    main()
