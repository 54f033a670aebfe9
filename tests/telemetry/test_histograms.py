"""Observations are counted later, by other threads: none may be lost or counted twice."""

from bisect import bisect_left
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devops_api.telemetry.catalogue import REQUEST_DURATION
from devops_api.telemetry.histograms import Histogram, Series, TraceIds

BOUNDS = (1.0, 2.0, 5.0)


@given(st.lists(st.lists(st.floats(0, 10) | st.sampled_from(BOUNDS))))
def test_observations_folded_together_are_counted_as_one_by_one(portions: list[list[float]]) -> None:
    series = Series(BOUNDS, {})
    counts, total = [0] * 4, 0.0
    for portion in portions:
        for value in portion:
            series.record(value)
            counts[bisect_left(BOUNDS, value)] += 1
        total += sum(portion)
        series.fold()
    assert (series.counts, series.total, series.pending) == (counts, total, [])


def test_a_sampled_observation_is_the_exemplar_of_its_bucket() -> None:
    series = Series(BOUNDS, {})
    trace = TraceIds("1" * 32, "2" * 16)
    for value in (2.0, 7.0):
        series.record(value, trace)
    assert {index: entry.value for index, entry in series.exemplars.items()} == {1: 2.0, 3: 7.0}


def test_threads_that_fold_while_others_record_lose_nothing() -> None:
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


def test_attributes_that_the_catalogue_does_not_declare_cannot_be_recorded() -> None:
    histogram = Histogram(REQUEST_DURATION)
    for attributes in ({"http.request.method": "BREW"}, {"user.agent": "x"}, {"error.type": "KeyError"}):
        with pytest.raises(ValueError, match=r"http\.server\.request\.duration has no "):
            histogram.open_series(attributes)


def test_a_silent_histogram_keeps_nothing() -> None:
    histogram = Histogram(REQUEST_DURATION, is_silent=True)
    series = histogram.open_series()
    for _ in range(3):
        series.record(1.0)
        series.pending.append(1.0)
    assert (len(series.pending), list(histogram)) == (0, [])
