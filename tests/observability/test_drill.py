"""The whole way of a page, for real: a fault, the rules in force (only faster), an Alertmanager, a webhook, the end."""

from pathlib import Path

from servers import (
    Prometheus,
    Webhook,
    find_port,
    run_alertmanager,
    run_load,
    run_prometheus,
    run_service,
    run_webhook,
    send,
    wait_for,
)

SPEED = 60  # An hour passes in a minute.
ALERT = "AvailabilityBudgetBurn"
FAST = {"long": "1h", "severity": "page"}
STEP_TIMEOUT_S = 40


def has_state(prometheus: Prometheus, state: str) -> bool:
    return any(
        alert["state"] == state and FAST.items() <= alert["labels"].items() for alert in prometheus.find_alerts(ALERT)
    )


def is_quiet(prometheus: Prometheus, webhook: Webhook) -> bool:
    pages = [alert for alert in prometheus.find_alerts(ALERT) if alert["labels"]["severity"] == "page"]
    return not pages and bool(webhook.find("resolved", ALERT))


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
        assert not prometheus.find_alerts(ALERT)

        assert send("PUT", f"{url}/faults", {"error_ratio": 1}) == 200
        wait_for("pending", lambda: has_state(prometheus, "pending"), STEP_TIMEOUT_S)
        assert not webhook.messages, "nobody is woken before `for` is over"
        wait_for("firing", lambda: has_state(prometheus, "firing"), STEP_TIMEOUT_S)
        wait_for("delivered", lambda: webhook.find("firing", ALERT), STEP_TIMEOUT_S)

        assert send("DELETE", f"{url}/faults") == 204
        wait_for("resolved", lambda: is_quiet(prometheus, webhook), 2 * STEP_TIMEOUT_S)

    first = webhook.find("firing", ALERT)[0]
    assert first["groupLabels"] == {"job": "devops-api", "severity": "page"}
    assert "Users see errors." in first["alerts"][0]["annotations"]["description"]
    told = [alert["fingerprint"] for message in webhook.find("firing", ALERT) for alert in message["alerts"]]
    assert len(webhook.find("firing", ALERT)) <= len(set(told)), "a message came without news"
