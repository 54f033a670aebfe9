"""Meet a page on purpose: make the service fail, watch the alert come, end the failure, watch the alert go.

python -m observability.drill --api http://127.0.0.1:8000 --prometheus http://127.0.0.1:9090

The service must run with DEVOPS_API_FAULTS=true and have some traffic. Under the rules in force the alert takes some
three minutes to fire and some five to resolve. Whatever happens, the failure is ended before the program is.
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

ALERT: Final = f"{AVAILABILITY.name.capitalize()}BudgetBurn"
POLL_S: Final = 0.5
TIMEOUT_S: Final = 15 * MINUTE_S


class Drill(NamedTuple):
    """Where the drill is held."""

    api: str
    prometheus: str
    started: float

    def run(self, error_ratio: float) -> bool:
        """Hold it; whether the alert came and went in time."""
        self.say(f"{error_ratio:.0%} of item requests fail from now on")
        self._send("PUT", {"error_ratio": error_ratio})
        try:
            fired = self._wait("pending") and self._wait("firing")
        finally:
            self._send("DELETE", None)
        self.say("the failure is ended")
        return self._wait(None) and fired

    def say(self, text: str) -> None:
        """Tell, with the seconds since the start."""
        sys.stdout.write(f"{time.monotonic() - self.started:6.1f} s  {text}\n")
        sys.stdout.flush()

    def _wait(self, state: str | None) -> bool:
        """Wait until the alert is in this state, or is gone; False where that takes too long."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            alert = self._find_alert()
            if (alert["state"] if alert else None) == state:
                self.say(f"{ALERT} is {state}: {alert['annotations']['description']}" if alert else f"{ALERT} is over")
                return True
            if state == "pending" and alert:
                return True
            time.sleep(POLL_S)
        self.say(f"{ALERT} is still not {state or 'over'}: is there traffic, and does Prometheus have the rules?")
        return False

    def _find_alert(self) -> Mapping[str, Any] | None:
        with urllib.request.urlopen(f"{self.prometheus}/api/v1/alerts", timeout=10) as reply:  # noqa: S310
            alerts = json.load(reply)["data"]["alerts"]
        wanted = {"alertname": ALERT, "long": FAST_BURN.long.name}
        return next((alert for alert in alerts if wanted.items() <= alert["labels"].items()), None)

    def _send(self, method: str, plan: Mapping[str, Any] | None) -> None:
        body = None if plan is None else json.dumps(plan).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.api}/faults", body, headers, method=method)  # noqa: S310
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


def main(arguments: list[str] | None = None) -> int:
    """Run, and give back the exit code."""
    parser = argparse.ArgumentParser(prog="python -m observability.drill", description="Meet a page on purpose.")
    parser.add_argument("--api", default="http://127.0.0.1:8000", help="the service (default: %(default)s)")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="its Prometheus (default: %(default)s)")
    parser.add_argument("--error-ratio", type=float, default=1, help="the share of requests that fail (default: 1)")
    options = parser.parse_args(arguments)
    try:
        return 0 if Drill(options.api, options.prometheus, time.monotonic()).run(options.error_ratio) else 1
    except urllib.error.HTTPError as error:
        sys.stderr.write(f"{error.url} answers {error.code}: does the service run with DEVOPS_API_FAULTS=true?\n")
    except OSError as error:
        sys.stderr.write(f"nobody answers: {error}\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
