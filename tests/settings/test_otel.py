"""OpenTelemetry's SDK silently replaces an invalid setting by its default, so the service must refuse it."""

import pytest

from devops_api.errors import SettingsError
from devops_api.items.settings import read_item_settings
from devops_api.settings.otel import find_otel_errors


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan"),
        ("OTEL_TRACES_SAMPLER_ARG", "often"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:99999"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://collector"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://[::1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization: Bearer x"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,authorization"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x%0Ay"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", 'authorization="x"'),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "inf"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "1.5"),
    ],
)
def test_an_invalid_variable_is_named(name: str, text: str) -> None:
    (error,) = find_otel_errors({name: text})
    assert error.startswith(f"{name} must be ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:secret@collector/otlp"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2.5"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer x"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20eA==, x-scope = a/b:c,"),
    ],
)
def test_a_valid_variable_is_accepted(name: str, text: str) -> None:
    assert find_otel_errors({name: text}) == []


def test_a_queue_that_is_smaller_than_one_batch_is_refused() -> None:
    """The SDK would raise ValueError while the service starts."""
    errors = find_otel_errors({"OTEL_BSP_MAX_QUEUE_SIZE": "100"})
    assert errors == ["OTEL_BSP_MAX_QUEUE_SIZE must be at least OTEL_BSP_MAX_EXPORT_BATCH_SIZE (512)"]
    assert find_otel_errors({"OTEL_BLRP_MAX_QUEUE_SIZE": "100", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "100"}) == []


def test_errors_are_reported_with_those_of_the_service_and_without_secrets() -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "collector?token=hunter2",
        "OTEL_TRACES_SAMPLER_ARG": "2",
        "DEVOPS_API_PORT": "eighty",
    }
    with pytest.raises(SettingsError) as caught:
        read_item_settings(environment)
    assert [error.split()[0].partition("=")[0] for error in caught.value.errors] == [
        "DEVOPS_API_PORT",
        "OTEL_TRACES_SAMPLER_ARG",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ]
    assert "hunter2" not in str(caught.value)
