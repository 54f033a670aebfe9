"""Prometheus names are derived from the names, kinds and units that the catalogue declares."""

import pytest

from devops_api.telemetry.catalogue import Metric, create_service_metrics, label_name


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (Metric("items.created", "counter", "{item}", ""), "items_created_total"),
        (Metric("process.cpu.time", "counter", "s", ""), "process_cpu_time_seconds_total"),
        (Metric("store.size", "gauge", "By", ""), "store_size_bytes"),
        (Metric("items.ready", "gauge", "", ""), "items_ready"),
    ],
)
def test_prometheus_names_follow_from_names_kinds_and_units(metric: Metric, name: str) -> None:
    assert metric.prometheus_name == name


def test_labels_follow_from_attributes() -> None:
    assert label_name("http.response.status_code") == "http_response_status_code"


def test_metrics_of_the_service_carry_its_prefix() -> None:
    assert [metric.prometheus_name for metric in create_service_metrics("notes")] == [
        "notes_requests_shed_total",
        "notes_ready",
        "notes_event_loop_delay_seconds",
    ]
