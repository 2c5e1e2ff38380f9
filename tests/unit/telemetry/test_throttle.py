"""Lines held back."""

from __future__ import annotations

from meshlib.telemetry.throttle import Throttle
from meshlib.testing import FakeClock


def test_one_a_subject_and_interval() -> None:
    """The first is admitted, the next ones are counted, and told with the first of the next interval."""
    clock = FakeClock()
    throttle = Throttle(30.0, clock)
    assert throttle.admit("ejection", "orders", "a") == 0
    assert throttle.admit("ejection", "orders", "a") is None
    assert throttle.admit("ejection", "orders", "b") == 0
    clock.advance(29.9)
    assert throttle.admit("ejection", "orders", "a") is None
    clock.advance(0.2)
    assert throttle.admit("ejection", "orders", "a") == 2
    clock.advance(31.0)
    assert throttle.admit("ejection", "orders", "a") == 0


def test_memory_is_bounded() -> None:
    """However many subjects there are, 1,024 are remembered, the newest."""
    throttle = Throttle(30.0, FakeClock())
    for number in range(3000):
        throttle.admit(str(number))
    assert len(throttle._seen) == 1024
    assert throttle.admit("2999") is None
    assert throttle.admit("0") == 0


def test_fork_renews_the_lock() -> None:
    """A lock that was held at the fork does not stop the child."""
    throttle = Throttle(30.0, FakeClock())
    throttle._lock.acquire()
    throttle.after_in_child()
    assert throttle.admit("x") == 0
