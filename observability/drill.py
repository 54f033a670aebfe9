"""Run an alert drill: make the service fail, wait until the page fires, end the failure, wait until it resolves.

python -m observability.drill --api http://127.0.0.1:8000 --prometheus http://127.0.0.1:9090

The service must run with DEVOPS_API_FAULTS=true and have some traffic. With the rules in force the alert takes about
three minutes to fire and five to resolve. The failure is ended even if the drill is interrupted.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from observability.objectives import AVAILABILITY, FAST_BURN, MINUTE_S

POLL_S: Final = 0.5
TIMEOUT_S: Final = 15 * MINUTE_S


class Drill(NamedTuple):
    """A drill on one service and its Prometheus."""

    api: str
    prometheus: str
    started: float

    def run(self, error_ratio: float) -> bool:
        """Run the drill; return whether the alert fired and resolved in time."""
        self.report(f"{error_ratio:.0%} of item requests fail from now on")
        self._send("PUT", {"error_ratio": error_ratio})
        try:
            fired = self._wait("pending") and self._wait("firing")
        finally:
            self._send("DELETE", None)
        self.report("the failure has ended")
        return self._wait(None) and fired

    def report(self, text: str) -> None:
        """Print a line with the seconds since the start."""
        sys.stdout.write(f"{time.monotonic() - self.started:6.1f} s  {text}\n")
        sys.stdout.flush()

    def _wait(self, state: str | None) -> bool:
        """Wait until the alert is in this state, or until there is no alert; return False after the timeout."""
        name = AVAILABILITY.alert
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            alert = self._find_alert()
            if (alert["state"] if alert else None) == state:
                self.report(f"{name} is {state}: {alert['annotations']['description']}" if alert else f"{name} is over")
                return True
            if state == "pending" and alert:
                return True
            time.sleep(POLL_S)
        self.report(
            f"{name} is still not {state or 'over'}: check that the service has traffic and Prometheus the rules"
        )
        return False

    def _find_alert(self) -> Mapping[str, Any] | None:
        with urllib.request.urlopen(f"{self.prometheus}/api/v1/alerts", timeout=10) as response:  # noqa: S310
            alerts = json.load(response)["data"]["alerts"]
        wanted = {"alertname": AVAILABILITY.alert, "long": FAST_BURN.long.name}
        return next((alert for alert in alerts if wanted.items() <= alert["labels"].items()), None)

    def _send(self, method: str, plan: Mapping[str, Any] | None) -> None:
        body = None if plan is None else json.dumps(plan).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.api}/faults", body, headers, method=method)  # noqa: S310
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m observability.drill", description="Run an alert drill.")
    parser.add_argument("--api", default="http://127.0.0.1:8000", help="the service (default: %(default)s)")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="its Prometheus (default: %(default)s)")
    parser.add_argument("--error-ratio", type=float, default=1, help="the share of requests that fail (default: 1)")
    options = parser.parse_args(arguments)
    try:
        return 0 if Drill(options.api, options.prometheus, time.monotonic()).run(options.error_ratio) else 1
    except urllib.error.HTTPError as error:
        with error:
            sys.stderr.write(f"{error.url} responds {error.code}: the service must run with DEVOPS_API_FAULTS=true\n")
    except OSError as error:
        sys.stderr.write(f"cannot connect: {error}\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
