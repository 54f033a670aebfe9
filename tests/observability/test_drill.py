"""The whole way of a page, for real: a fault, the rules in force (only faster), an Alertmanager, a webhook, the end."""

import subprocess
import sys
from pathlib import Path

from servers import find_port, run_alertmanager, run_load, run_prometheus, run_service, run_webhook, wait_for

SPEED = 60  # An hour passes in a minute.
PAGE = {"alertname": "AvailabilityBudgetBurn", "severity": "page"}
STEP_TIMEOUT_S = 40


def test_a_fault_pages_once_grouped_and_its_end_is_told(tmp_path: Path) -> None:
    port = find_port()
    with (
        run_webhook() as webhook,
        run_alertmanager(tmp_path, webhook.url, speed=SPEED) as alertmanager,
        run_service(tmp_path, port, {}) as url,
        run_load(url, 40, tmp_path),
        run_prometheus(
            tmp_path, f"127.0.0.1:{port}", speed=SPEED, interval_s=0.5, alertmanager=alertmanager
        ) as prometheus,
    ):
        wait_for("traffic", lambda: prometheus.query("job:item_requests:rate5m > 10"), STEP_TIMEOUT_S)
        assert not webhook.find("firing", PAGE)
        assert drill(url, prometheus.url) == ["pending", "firing", "over"]
        wait_for("resolved", lambda: webhook.find("resolved", PAGE), 2 * STEP_TIMEOUT_S)

    messages = webhook.find("firing", PAGE)
    assert messages[0]["groupLabels"] == {"job": "devops-api", "severity": "page"}
    page = next(alert for alert in messages[0]["alerts"] if PAGE.items() <= alert["labels"].items())
    assert "Users see errors." in page["annotations"]["description"]
    told = {alert["fingerprint"] for message in messages for alert in message["alerts"]}
    assert len(messages) <= len(told), "a message came without news"


def drill(api: str, prometheus: str) -> list[str]:
    """The states of the alert that a person sees who holds the drill."""
    command = [sys.executable, "-m", "observability.drill", "--api", api, "--prometheus", prometheus]
    root = Path(__file__).parents[2]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, cwd=root)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = [line for line in ran.stdout.splitlines() if PAGE["alertname"] in line]
    return [line.split(" is ")[1].split(":")[0] for line in lines]


def test_a_drill_without_a_service_that_takes_part_says_what_is_missing(tmp_path: Path) -> None:
    port = find_port()
    with run_service(tmp_path, port, {"DEVOPS_API_FAULTS": "false"}) as url:
        command = [sys.executable, "-m", "observability.drill", "--api", url]
        ran = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=30, cwd=Path(__file__).parents[2]
        )
    assert ran.returncode == 1
    assert "DEVOPS_API_FAULTS=true" in ran.stderr
