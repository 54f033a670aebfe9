"""What requests append is counted later, from other threads: nothing may be lost on the way, or counted twice."""

from bisect import bisect_left
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from devops_api.telemetry.histograms import Series, TraceIds

BOUNDS = (1.0, 2.0, 5.0)


@given(st.lists(st.lists(st.floats(0, 10) | st.sampled_from(BOUNDS))))
def test_what_is_counted_together_is_what_would_be_counted_one_by_one(portions: list[list[float]]) -> None:
    series = Series(BOUNDS, {})
    counts, total = [0] * 4, 0.0
    for portion in portions:
        for value in portion:
            series.record(value)
            counts[bisect_left(BOUNDS, value)] += 1
        total += sum(portion)
        series.fold()
    assert (series.counts, series.total, series.pending) == (counts, total, [])


def test_a_sampled_observation_marks_the_bucket_that_it_is_counted_in() -> None:
    series = Series(BOUNDS, {})
    trace = TraceIds("1" * 32, "2" * 16)
    for value in (2.0, 7.0):
        series.record(value, trace)
    assert {index: entry.value for index, entry in series.exemplars.items()} == {1: 2.0, 3: 7.0}


def test_threads_that_count_while_others_observe_lose_nothing() -> None:
    series = Series(BOUNDS, {})
    observed = 50_000

    def observe() -> None:
        for _ in range(observed):
            series.pending.append(1.5)

    def count() -> None:
        while any(thread.is_alive() for thread in observers):
            series.fold()

    observers = [Thread(target=observe) for _ in range(2)]
    counters = [Thread(target=count) for _ in range(2)]
    for thread in (*observers, *counters):
        thread.start()
    for thread in (*observers, *counters):
        thread.join()
    series.fold()
    assert series.counts == [0, 2 * observed, 0, 0]
    assert series.total == 3.0 * observed
