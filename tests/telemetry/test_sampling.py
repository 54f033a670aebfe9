"""Callers can force traces, which are slow, only up to a limit; otherwise the sampler's ratio decides."""

import pytest
from scrapes import NOT_SAMPLED, SPAN_ID, TRACE_ID, TRACEPARENT

from devops_api.telemetry.catalogue import SAMPLES_CAPPED
from devops_api.telemetry.instruments import Counter
from devops_api.telemetry.sampling import Sampler, Traceparent, create_trace_ids, read_traceparent

HIGH, LOW = "f" * 16, "1" * 16  # ends of trace ids, above and below any ratio that is tested


@pytest.mark.parametrize(
    ("header", "is_sampled"),
    [
        (TRACEPARENT, True),
        (NOT_SAMPLED, False),
        (f"00-{TRACE_ID}-{SPAN_ID}-03", True),
        (f"00-{TRACE_ID}-{SPAN_ID}-02", False),
        (f"01-{TRACE_ID}-{SPAN_ID}-01-later-fields", True),
    ],
)
def test_a_traceparent_has_a_trace_and_a_sampled_flag(header: str, is_sampled: bool) -> None:  # noqa: FBT001
    assert read_traceparent(header) == Traceparent(TRACE_ID, is_sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-01-more",
        f"00-{TRACE_ID}-{SPAN_ID}-1",
        f"00-{TRACE_ID}-{SPAN_ID}-01\n",
        f" {TRACEPARENT}",
    ],
)
def test_an_invalid_traceparent_is_ignored(header: str) -> None:
    assert read_traceparent(header) is None


def create_sampler(environment: dict[str, str], forced_per_s: int) -> tuple[Sampler, Counter]:
    """Create a sampler and the counter of the samples that callers did not get."""
    capped = Counter(SAMPLES_CAPPED)
    return Sampler(environment, forced_per_s, capped), capped


def sample_many(environment: dict[str, str], header: str | None, count: int = 20_000) -> float:
    sampler, _ = create_sampler(environment, forced_per_s=count)
    return sum(sampler.sample(read_traceparent(header)) for _ in range(count)) / count


@pytest.mark.parametrize(
    ("environment", "share"),
    [
        ({}, 0.01),
        ({"OTEL_TRACES_SAMPLER": "", "OTEL_TRACES_SAMPLER_ARG": ""}, 0.01),  # Empty is unset.
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}, 1.0),  # The specification's default argument.
        ({"OTEL_TRACES_SAMPLER_ARG": "0.2"}, 0.2),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}, 0.5),
        ({"OTEL_TRACES_SAMPLER": "always_on"}, 1.0),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, 0.0),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_on"}, 1.0),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, 0.0),
    ],
)
def test_requests_without_a_parent_are_sampled_at_the_ratio(environment: dict[str, str], share: float) -> None:
    assert sample_many(environment, None) == pytest.approx(share, rel=0.5)
    assert sample_many(environment, "no traceparent") == pytest.approx(share, rel=0.5)


@pytest.mark.parametrize("name", ["parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"])
def test_a_parent_decides_if_the_sampler_is_parent_based(name: str) -> None:
    environment = {"OTEL_TRACES_SAMPLER": name}
    assert sample_many(environment, TRACEPARENT) == 1
    assert sample_many(environment, NOT_SAMPLED) == 0


def test_the_trace_id_decides_if_the_sampler_is_a_ratio() -> None:
    environment = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    assert sample_many(environment, f"00-{TRACE_ID[:16]}{LOW}-{SPAN_ID}-00") == 1
    assert sample_many(environment, f"00-{TRACE_ID[:16]}{HIGH}-{SPAN_ID}-01") == 0


@pytest.mark.parametrize("name", ["parentbased_traceidratio", "parentbased_always_off", "traceidratio"])
def test_callers_force_no_more_samples_than_the_limit_and_the_rest_is_counted(name: str) -> None:
    """By the flag that says sampled, or by a trace id that is below the ratio."""
    environment = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": "0.75"}
    sampler, capped = create_sampler(environment, forced_per_s=10)
    forced = sum(sampler.sample(read_traceparent(TRACEPARENT)) for _ in range(1_000))
    assert 10 <= forced <= 20  # 20 if a second ended in between
    assert capped.read() == 1_000 - forced


def test_samples_that_the_sampler_takes_anyway_are_not_forced() -> None:
    sampler, capped = create_sampler({"OTEL_TRACES_SAMPLER": "always_on"}, forced_per_s=0)
    assert sampler.sample(read_traceparent(TRACEPARENT))
    assert sampler.sample(read_traceparent(NOT_SAMPLED))
    assert capped.read() == 0


def test_requests_that_the_ratio_leaves_out_do_not_count_as_forced() -> None:
    environment = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    sampler, capped = create_sampler(environment, forced_per_s=0)
    assert not sampler.sample(read_traceparent(f"00-{TRACE_ID[:16]}{HIGH}-{SPAN_ID}-01"))
    assert capped.read() == 0


def test_the_limit_does_not_apply_to_requests_without_a_parent() -> None:
    sampler, _ = create_sampler({"OTEL_TRACES_SAMPLER": "parentbased_always_on"}, forced_per_s=0)
    assert not sampler.sample(read_traceparent(TRACEPARENT))
    assert sampler.sample(None)


def test_a_request_without_a_span_is_in_the_trace_of_its_caller_or_in_a_new_one() -> None:
    with_parent, alone = create_trace_ids(read_traceparent(TRACEPARENT)), create_trace_ids(None)
    assert with_parent.trace_id == TRACE_ID
    assert with_parent.span_id not in {SPAN_ID, "0" * 16}
    assert (len(alone.trace_id), len(alone.span_id)) == (32, 16)
    assert create_trace_ids(None).trace_id != alone.trace_id
