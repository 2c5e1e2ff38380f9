"""Exact rolling counts, whatever the clock does."""

from __future__ import annotations

import pytest

from meshlib.core.windows import Window
from meshlib.errors import ConfigError


def test_counts_are_exact() -> None:
    """Good and bad are counted apart, and the ratio is their quotient."""
    window = Window(10.0)
    for step in range(8):
        window.add(100.0 + step, step % 4 != 0)
    assert (window.good, window.bad, window.total) == (6, 2, 8)
    assert window.ratio(107.0) == 0.75


def test_an_empty_window_has_no_ratio() -> None:
    """No evidence is not a ratio of zero."""
    assert Window(10.0).ratio(5.0) is None


def test_old_buckets_leave_one_by_one() -> None:
    """Each bucket is forgotten when the window has moved past it."""
    window = Window(10.0)
    for second in range(10):
        window.add(float(second), True)
    window.roll(12.5)
    assert window.good == 7
    window.add(18.0, False)
    assert (window.good, window.bad) == (1, 1)


def test_a_long_pause_empties_it() -> None:
    """More than a span without a call leaves nothing."""
    window = Window(10.0)
    window.add(1.0, False)
    assert window.ratio(500.0) is None
    assert window.total == 0


def test_an_older_time_counts_in_the_newest_bucket() -> None:
    """Callers' clocks are read before the lock: a late arrival changes no total wrongly."""
    window = Window(10.0)
    window.add(50.0, True)
    window.add(3.0, False)
    window.roll(1.0)
    assert (window.good, window.bad) == (1, 1)
    window.roll(60.5)
    assert window.total == 0


def test_time_may_be_negative() -> None:
    """Monotonic clocks may start anywhere."""
    window = Window(1.0)
    window.add(-5.0, True)
    assert window.ratio(-4.5) == 1.0


def test_a_new_length_restarts() -> None:
    """Buckets of another width cannot be kept; the same length keeps them."""
    window = Window(10.0)
    window.add(1.0, True)
    window.resize(10.0)
    assert window.good == 1
    window.resize(5.0)
    assert (window.total, window.span) == (0, 5.0)
    window.add(1.0, False)
    assert window.bad == 1


def test_reset_forgets_all() -> None:
    """Nothing is left, and nothing returns."""
    window = Window(10.0)
    window.add(1.0, True)
    window.reset()
    window.roll(2.0)
    assert window.total == 0


def test_a_part_can_be_removed() -> None:
    """What two windows counted together leaves the larger one bucket by bucket."""
    whole, part = Window(10.0), Window(10.0)
    for second in range(5):
        whole.add(float(second), True)
        whole.add(float(second), False)
        part.add(float(second), False)
    whole.remove(part, 11.5)
    assert (whole.good, whole.bad) == (3, 0)
    whole.roll(13.5)
    assert whole.good == 1


def test_removing_a_stranger_never_goes_below_zero() -> None:
    """A part that shares nothing takes only what is there."""
    whole, part = Window(10.0), Window(10.0, buckets=3)
    part.add(1.0, True)
    part.add(1.0, False)
    whole.add(1.0, False)
    whole.remove(part, 1.0)
    assert (whole.good, whole.bad) == (0, 0)


@pytest.mark.parametrize("span", [0.0, -1.0, float("inf"), float("nan")])
def test_an_impossible_span_is_refused(span: float) -> None:
    """A window needs a length to divide."""
    with pytest.raises(ConfigError, match="span"):
        Window(span)


def test_no_buckets_are_refused() -> None:
    """One bucket at least."""
    with pytest.raises(ConfigError, match="bucket"):
        Window(1.0, 0)


def test_repr_shows_the_counts() -> None:
    """For logs and debuggers."""
    window = Window(10.0)
    window.add(1.0, True)
    assert repr(window) == "Window(10 s, 1 good, 0 bad)"


def test_notes_count_once_the_window_is_rolled() -> None:
    """What was noted without the lock is in the totals of the next roll or add, in the bucket it was noted in."""
    window = Window(10.0)
    assert not window.note(5.0), "a first bucket is begun by add"
    window.add(5.0, True)
    assert all(window.note(5.5) for _ in range(3))
    window.roll(5.5)
    assert window.good == 4
    assert window.note(5.9)
    window.add(5.9, False)
    assert (window.good, window.bad) == (5, 1)
    assert window.note(5.9)
    assert not window.note(6.0), "a bucket ends by add"
    window.roll(14.9)
    assert window.good == 6
    window.roll(15.0)
    assert window.total == 0


def test_notes_are_bounded_and_forgotten_with_the_rest() -> None:
    """A busy bucket takes no more than a page of notes at a time; what is reset holds none."""
    window = Window(10.0)
    window.add(1.0, True)
    noted = sum(window.note(1.0) for _ in range(1000))
    assert noted == 256
    window.add(1.0, True)
    assert window.good == 258
    assert window.note(1.0)
    window.reset()
    window.roll(1.0)
    assert window.total == 0
    assert window.note(1.0)
    window.resize(20.0)
    window.roll(1.0)
    assert window.total == 0
