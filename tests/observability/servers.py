"""Starts the service, Prometheus, Alertmanager and a webhook for tests: real processes on free ports."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from promtool import find_tool, write_rules

from observability.__main__ import write_yaml
from observability.objectives import JOB, PROMETHEUS_JOB, format_duration

OBSERVABILITY = Path(__file__).parents[2] / "observability"
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 15


def find_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for(what: str, find: Callable[[], Any], timeout_s: float) -> Any:
    """Return the first true result of `find`; fail the test after the timeout."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = find()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail(f"{what}: not within {timeout_s:g} s")


def send(method: str, url: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None) -> int:
    """Send a request and return the status; 0 if there is no response."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - http, to this machine
        url, data, {"Content-Type": "application/json", **(headers or {})}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            response.read()
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            error.read()
            return error.code
    except OSError:
        return 0


@contextmanager
def run_server(command: Sequence[str], log: Path, ready_url: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Run a server that is ready inside the block; stop it afterwards."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})
    try:
        started = wait_for(
            f"{command[0]} ready", lambda: process.poll() is not None or send("GET", ready_url) == 200, START_TIMEOUT_S
        )
        assert started
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def run_service(folder: Path, port: int, environment: Mapping[str, str]) -> Iterator[str]:
    """Run `devops-api serve`; yield its address."""
    url = f"http://127.0.0.1:{port}"
    settings = {
        "DEVOPS_API_PORT": str(port),
        "DEVOPS_API_DATABASE_URL": f"sqlite:///{folder}/items.db",
        "DEVOPS_API_FAULTS": "true",
        "DEVOPS_API_DRAIN_DELAY_S": "0",
    }
    command = [sys.executable, "-m", "devops_api", "serve"]
    with run_server(command, folder / "service.log", f"{url}/readyz", settings | dict(environment)):
        yield url


@contextmanager
def run_load(url: str, rate: int, folder: Path) -> Iterator[None]:
    """Send a steady mix of requests while the block runs."""
    command = [sys.executable, "-m", "devops_api", "load", "--url", url, "--rate", str(rate), "--duration", "600"]
    with (folder / "load.log").open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


class Series(NamedTuple):
    """One series of a result: its labels and its values, latest last."""

    labels: Mapping[str, str]
    values: Sequence[float]


class Prometheus:
    """A client of a running Prometheus. Results with warnings or infos fail the test."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: str | float) -> Any:
        """Return the data of an API call."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310
            document = json.load(response)
        notes = [*document.get("warnings", []), *document.get("infos", [])]
        assert not notes, f"{parameters}: {notes}"
        return document["data"]

    def query(self, expr: str) -> list[Series]:
        """Return the result of an instant query."""
        data = self.get("query", query=expr)
        if data["resultType"] == "scalar":
            return [Series({}, [float(data["result"][1])])]
        return [Series(one["metric"], [float(one["value"][1])]) for one in data["result"]]

    def query_range(self, expr: str, length_s: float, step_s: float) -> list[Series]:
        """Return the result of a range query that ends now."""
        now = time.time()
        data = self.get("query_range", query=expr, start=now - length_s, end=now, step=step_s)
        return [Series(one["metric"], [float(value) for _, value in one["values"]]) for one in data["result"]]

    def query_exemplars(self, expr: str, length_s: float) -> list[Mapping[str, Any]]:
        """Return the exemplars of a range that ends now."""
        now = time.time()
        found = self.get("query_exemplars", query=expr, start=now - length_s, end=now)
        return [exemplar for series in found for exemplar in series["exemplars"]]

    def find_alerts(self, name: str) -> list[Mapping[str, Any]]:
        """Return the pending and firing alerts of a name."""
        return [alert for alert in self.get("alerts")["alerts"] if alert["labels"]["alertname"] == name]


@contextmanager
def run_prometheus(
    folder: Path, target: str, *, speed: int = 1, interval_s: float = 1, alertmanager: str | None = None
) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes the service and itself and evaluates the rules `speed` times faster."""
    port = find_port()
    config: dict[str, Any] = {
        "global": {"scrape_interval": f"{interval_s * 1000:g}ms", "evaluation_interval": f"{interval_s * 1000:g}ms"},
        "rule_files": write_rules(folder, speed),
        "scrape_configs": [
            {"job_name": JOB, "static_configs": [{"targets": [target]}]},
            {"job_name": PROMETHEUS_JOB, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]},
        ],
    }
    if alertmanager is not None:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    (folder / "prometheus.yml").write_text(write_yaml(config))
    command = [
        find_tool("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/prometheus",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--rules.alert.resend-delay=1s",
    ]
    url = f"http://127.0.0.1:{port}"
    with run_server(command, folder / "prometheus.log", f"{url}/-/ready", {}):
        yield Prometheus(url)


@contextmanager
def run_alertmanager(folder: Path, webhook_url: str, *, speed: int = 1) -> Iterator[str]:
    """Run an Alertmanager with the project's routes, `speed` times faster; yield its address."""
    config = yaml.safe_load((OBSERVABILITY / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8"))
    (folder / "webhook.url").write_text(webhook_url)
    for receiver in config["receivers"]:
        for webhook in receiver["webhook_configs"]:
            webhook["url_file"] = str(folder / "webhook.url")
    for route in (config["route"], *config["route"]["routes"]):
        for name in ("group_wait", "group_interval", "repeat_interval"):
            route[name] = format_duration(read_duration(route.get(name, config["route"][name])), speed)
    (folder / "alertmanager.yml").write_text(write_yaml(config))
    address = f"127.0.0.1:{find_port()}"
    command = [
        find_tool("alertmanager"),
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/alertmanager",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with run_server(command, folder / "alertmanager.log", f"http://{address}/-/ready", {}):
        yield address


def read_duration(text: str) -> int:
    """Return a duration in seconds."""
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]]


class Webhook:
    """A receiver of alerts with every message received, oldest first."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.messages: list[Mapping[str, Any]] = []

    def find(self, status: str, labels: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """Return the messages of a status that have an alert with these labels."""
        return [
            message
            for message in self.messages
            if message["status"] == status
            and any(labels.items() <= alert["labels"].items() for alert in message["alerts"])
        ]


@contextmanager
def run_webhook() -> Iterator[Webhook]:
    """Run a webhook that accepts every message."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            webhook.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    webhook = Webhook(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield webhook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
