"""A metric is declared once: its series exist from the start, and no other can be recorded."""

import pytest

from devops_api.telemetry.catalogue import LOG_DROPPED, SPANS_DROPPED, Metric
from devops_api.telemetry.instruments import Counter, Instruments

STATES = Metric("test.states", "gauge", "", "States.", {"state": ("on", "off")})
PAIRS = Metric("test.pairs", "counter", "{pair}", "Pairs.", {"left": ("a", "b"), "right": ("x", "y")})


def test_every_combination_of_attribute_values_begins_at_zero() -> None:
    counter = Counter(PAIRS)
    counter.add(2, "b", "x")
    assert [(tuple(attributes.items()), total) for attributes, total in counter.points()] == [
        ((("left", "a"), ("right", "x")), 0),
        ((("left", "a"), ("right", "y")), 0),
        ((("left", "b"), ("right", "x")), 2),
        ((("left", "b"), ("right", "y")), 0),
    ]


@pytest.mark.parametrize("values", [(), ("a",), ("a", "z"), ("x", "a"), ("a", "x", "x")])
def test_undeclared_values_cannot_be_counted(values: tuple[str, ...]) -> None:
    counter = Counter(PAIRS)
    with pytest.raises(ValueError, match=r"test\.pairs has no attribute values"):
        counter.add(1, *values)
    assert not any(total for _, total in counter.points())


def test_a_counter_without_attributes_has_one_total() -> None:
    counter = Counter(LOG_DROPPED)
    counter.add()
    counter.add(4)
    assert counter.read() == 5


def test_a_metric_has_one_counter_and_one_histogram() -> None:
    instruments = Instruments()
    assert instruments.counter(SPANS_DROPPED) is instruments.counter(SPANS_DROPPED)
    assert instruments.numbers() == (instruments.counter(SPANS_DROPPED),)


def test_observed_values_are_read_at_each_collection_and_left_out_if_that_fails() -> None:
    instruments, state = Instruments(), {"on": 1.0}

    def fail() -> float:
        raise FileNotFoundError

    instruments.observe(STATES, lambda: state["on"], {"state": "on"})
    instruments.observe(STATES, fail, {"state": "off"})
    (observed,) = instruments.numbers()
    state["on"] = 2.0
    assert list(observed.points()) == [({"state": "on"}, 2.0)]
    with pytest.raises(ValueError, match=r"test\.states has no state=broken"):
        instruments.observe(STATES, fail, {"state": "broken"})
