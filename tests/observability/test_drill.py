"""A page from end to end: injected fault, the real rules (only faster), Alertmanager, webhook, resolution."""

import subprocess
import sys
from pathlib import Path

from servers import find_port, run_alertmanager, run_load, run_prometheus, run_service, run_webhook, wait_for

SPEED = 60  # An hour of the rules takes a minute.
PAGE = {"alertname": "AvailabilityBudgetBurn", "severity": "page"}
STEP_TIMEOUT_S = 40


def test_a_fault_pages_once_in_one_group_and_resolves(tmp_path: Path) -> None:
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
    reported = {alert["fingerprint"] for message in messages for alert in message["alerts"]}
    assert len(messages) <= len(reported), "a message reported nothing new"


def drill(api: str, prometheus: str) -> list[str]:
    """Run the drill and return the states of the alert that it reports."""
    ran = run_drill("--api", api, "--prometheus", prometheus)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = [line for line in ran.stdout.splitlines() if PAGE["alertname"] in line]
    return [line.split(" is ")[1].split(":")[0] for line in lines]


def run_drill(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "observability.drill", *arguments]
    root = Path(__file__).parents[2]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, cwd=root)


def test_a_drill_on_a_service_without_faults_names_the_setting(tmp_path: Path) -> None:
    port = find_port()
    with run_service(tmp_path, port, {"DEVOPS_API_FAULTS": "false"}) as url:
        ran = run_drill("--api", url)
    assert ran.returncode == 1
    assert "DEVOPS_API_FAULTS=true" in ran.stderr
