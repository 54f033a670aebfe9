"""Who may decide that a request is traced, and how often: the slow path must not be for sale."""

import pytest

from devops_api.telemetry.sampling import Sampler, Traceparent, read_traceparent, trace_id_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("header", "is_sampled"),
    [
        (PARENT, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"00-{TRACE}-{SPAN}-02", False),
        (f"01-{TRACE}-{SPAN}-01-what-comes-later", True),
    ],
)
def test_a_traceparent_says_its_trace_and_whether_it_is_sampled(header: str, is_sampled: bool) -> None:  # noqa: FBT001
    assert read_traceparent(header) == Traceparent(TRACE, is_sampled)
    assert trace_id_of(header) == TRACE


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01\n",
        f" {PARENT}",
    ],
)
def test_what_is_no_traceparent_says_nothing(header: str) -> None:
    assert read_traceparent(header) is None
    assert trace_id_of(header) is None


def sample_many(environment: dict[str, str], header: str | None, count: int = 20_000) -> float:
    sampler = Sampler(environment, forced_per_s=count)
    return sum(sampler.sample(header) for _ in range(count)) / count


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
def test_a_parent_decides_where_the_sampler_is_parent_based(name: str) -> None:
    environment = {"OTEL_TRACES_SAMPLER": name}
    assert sample_many(environment, PARENT) == 1
    assert sample_many(environment, f"00-{TRACE}-{SPAN}-00") == 0


def test_the_trace_id_decides_where_the_sampler_is_a_ratio_alone() -> None:
    environment = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    low, high = f"00-{TRACE[:16]}{'1' * 16}-{SPAN}-00", f"00-{TRACE[:16]}{'f' * 16}-{SPAN}-01"
    assert sample_many(environment, low) == 1
    assert sample_many(environment, high) == 0


@pytest.mark.parametrize("name", ["parentbased_traceidratio", "parentbased_always_off", "traceidratio"])
def test_callers_force_no_more_samples_than_the_cap_and_the_rest_is_counted(name: str) -> None:
    """By the flag that says sampled, or by a trace id that is below the ratio."""
    sampler = Sampler({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": "0.75"}, forced_per_s=10)
    forced = sum(sampler.sample(PARENT) for _ in range(1_000))
    assert 10 <= forced <= 20  # Twenty where a second ended in between.
    assert sampler.capped.read() == 1_000 - forced


def test_what_is_sampled_whatever_the_caller_says_is_not_forced() -> None:
    sampler = Sampler({"OTEL_TRACES_SAMPLER": "always_on"}, forced_per_s=0)
    assert sampler.sample(PARENT)
    assert sampler.sample(f"00-{TRACE}-{SPAN}-00")
    assert sampler.capped.read() == 0


def test_what_the_ratio_leaves_out_does_not_count_as_forced() -> None:
    sampler = Sampler({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}, forced_per_s=0)
    assert not sampler.sample(f"00-{TRACE[:16]}{'f' * 16}-{SPAN}-01")
    assert sampler.capped.read() == 0


def test_the_cap_does_not_take_from_requests_without_a_parent() -> None:
    sampler = Sampler({"OTEL_TRACES_SAMPLER": "parentbased_always_on"}, forced_per_s=0)
    assert not sampler.sample(PARENT)
    assert sampler.sample(None)
