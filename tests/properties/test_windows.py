"""A Window is the same as a list of samples, bucket by bucket."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshlib.core.windows import Window

STEPS = st.floats(-3.0, 30.0)


@given(
    start=st.floats(-100.0, 1e6),
    span=st.sampled_from([0.7, 1.0, 10.0, 60.0]),
    buckets=st.integers(1, 12),
    steps=st.lists(st.tuples(STEPS, st.booleans()), max_size=80),
)
def test_a_window_is_a_list_of_samples(
    start: float, span: float, buckets: int, steps: list[tuple[float, bool]]
) -> None:
    """Totals equal those of a naive model, with a clock that also goes backwards."""
    window = Window(span, buckets)
    width = span / buckets
    samples: list[tuple[int, bool]] = []
    now, newest = start, float("-inf")
    for step, good in steps:
        now += step * span / 10
        newest = max(newest, now // width)
        window.add(now, good)
        samples.append((int(newest), good))
        counted = [each for bucket, each in samples if bucket > newest - buckets]
        assert (window.good, window.bad) == (counted.count(True), counted.count(False))
        assert window.ratio(now) == counted.count(True) / len(counted)


@given(
    span=st.sampled_from([0.7, 10.0]),
    steps=st.lists(st.tuples(st.floats(0.0, 4.0), st.booleans(), st.booleans()), max_size=60),
)
def test_removing_a_part_leaves_the_others(span: float, steps: list[tuple[float, bool, bool]]) -> None:
    """The sum without one part is the other part, then and whenever it is looked at later."""
    whole, first, second = Window(span), Window(span), Window(span)
    now = 0.0
    for step, mine, good in steps:
        now += step * span / 10
        whole.add(now, good)
        (first if mine else second).add(now, good)
    whole.remove(first, now)
    for later in range(12):
        at = now + later * span / 10
        whole.roll(at)
        second.roll(at)
        assert (whole.good, whole.bad) == (second.good, second.bad)
