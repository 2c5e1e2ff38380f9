"""Closed, open, half-open."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib.core.listener import Event
from meshlib.errors import ConfigError
from meshlib.resilience.breaker import BreakerOptions, CircuitBreaker, State


def steady() -> float:
    """No jitter: the middle of the range."""
    return 0.5


def state(breaker: CircuitBreaker) -> State:
    """Read anew each time: type checkers would take it for unchanged across calls."""
    return breaker.state


def make(**options: Any) -> CircuitBreaker:
    return CircuitBreaker("orders", BreakerOptions(**options), steady)


def call(breaker: CircuitBreaker, now: float, good: bool, elapsed: float = 0.01) -> bool:
    permit = breaker.admit(now)
    if permit:
        breaker.record(permit, good, elapsed, now)
    return bool(permit)


def opened(now: float = 100.0, **options: Any) -> CircuitBreaker:
    breaker = make(consecutive_failures=1, **options)
    assert call(breaker, now, False)
    assert state(breaker) is State.OPEN
    return breaker


def test_opens_at_the_ratio_of_enough_calls() -> None:
    """Half of twenty; nineteen say nothing yet."""
    breaker = make()
    for number in range(19):
        call(breaker, 1.0, number % 2 == 0)
    assert state(breaker) is State.CLOSED
    call(breaker, 1.0, False)
    assert state(breaker) is State.OPEN
    assert breaker.admit(1.0) == 0
    assert (breaker.since, breaker.until) == (1.0, 6.0)


def test_a_good_call_never_opens() -> None:
    """The twentieth call was good: the newest evidence speaks against opening."""
    breaker = make()
    for number in range(20):
        call(breaker, 1.0, number == 19)
    assert state(breaker) is State.CLOSED


def test_old_failures_do_not_count() -> None:
    """What has left the window says nothing."""
    breaker = make()
    for second in range(40):
        call(breaker, float(second), second % 4 == 0)
    assert state(breaker) is State.CLOSED


def test_consecutive_failures_open_at_once() -> None:
    """Five in a row, reset by each good call."""
    breaker = make(consecutive_failures=5)
    for good in [False] * 4 + [True] + [False] * 4:
        call(breaker, 1.0, good)
    assert state(breaker) is State.CLOSED
    call(breaker, 1.0, False)
    assert state(breaker) is State.OPEN


def test_slow_calls_open() -> None:
    """Good but slow: as bad as failed when there are too many."""
    breaker = make(slow_call=1.0, slow_ratio=0.5, minimum_calls=4)
    for elapsed in (0.5, 0.5, 1.0):
        call(breaker, 1.0, True, elapsed)
    assert state(breaker) is State.CLOSED
    call(breaker, 1.0, True, 2.0)
    assert state(breaker) is State.OPEN


def test_slow_calls_start_afresh_with_a_new_bound() -> None:
    """Turned off, or moved, the old slow calls mean nothing."""
    breaker = make(slow_call=1.0, slow_ratio=0.5, minimum_calls=4)
    for _ in range(3):
        call(breaker, 1.0, True, 2.0)
    breaker.configure(BreakerOptions(minimum_calls=4, failure_ratio=0.9))
    call(breaker, 1.0, False, 2.0)
    assert state(breaker) is State.CLOSED
    assert breaker.options.slow_call is None


def test_one_good_probe_closes() -> None:
    """After its time one call is let through, and closes."""
    breaker = opened()
    assert breaker.admit(104.9) == 0
    probe = breaker.admit(105.0)
    assert probe
    assert state(breaker) is State.HALF_OPEN
    assert breaker.admit(105.0) == 0
    breaker.record(probe, True, 0.1, 105.1)
    assert state(breaker) is State.CLOSED
    assert breaker.describe(105.1) == {
        "state": "closed",
        "since": 0.0,
        "until": None,
        "calls": 0,
        "failures": 0,
    }


def test_a_failed_probe_doubles_the_time() -> None:
    """5, 10, 20, 40, 60, 60 seconds."""
    breaker, now, times = opened(0.0), 0.0, []
    for _ in range(6):
        assert breaker.until is not None
        times.append(breaker.until - now)
        now = breaker.until
        assert call(breaker, now, False)
    assert times == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_the_open_time_is_jittered() -> None:
    """Plus or minus half."""
    draws = iter([0.0, 0.999999])
    breaker = CircuitBreaker("f", BreakerOptions(consecutive_failures=1), lambda: next(draws))
    call(breaker, 0.0, False)
    assert breaker.until == 2.5
    call(breaker, 2.5, False)
    assert breaker.until == pytest.approx(17.5, abs=1e-3)


def test_a_base_above_the_maximum_stays() -> None:
    """`open_for` alone may be longer than the default maximum."""
    breaker, now = opened(0.0, open_for=100.0), 0.0
    for _ in range(3):
        assert breaker.until == now + 100.0
        now = breaker.until
        call(breaker, now, False)


def test_the_time_is_reset_after_a_window_closed() -> None:
    """Closed for less than a window goes on doubling, for a whole one starts again."""
    breaker = opened(0.0)
    call(breaker, 5.0, True)
    call(breaker, 14.0, False)
    assert breaker.until == 24.0
    call(breaker, 24.0, True)
    call(breaker, 34.0, False)
    assert breaker.until == 39.0


def test_all_probes_must_succeed() -> None:
    """Two of two close; the places of finished ones are not given again."""
    breaker = opened(half_open_probes=2)
    first, second = breaker.admit(105.0), breaker.admit(105.0)
    assert len({0, first, second}) == 3
    breaker.record(first, True, 0.1, 105.1)
    assert breaker.admit(105.1) == 0
    breaker.record(second, True, 0.1, 105.2)
    assert state(breaker) is State.CLOSED


def test_one_bad_probe_of_several_opens() -> None:
    """And the answers of the others are late."""
    breaker = opened(half_open_probes=2)
    first, second = breaker.admit(105.0), breaker.admit(105.0)
    breaker.record(first, False, 0.1, 105.1)
    breaker.record(second, True, 0.1, 105.2)
    assert state(breaker) is State.OPEN


def test_permits_of_an_earlier_state_are_ignored() -> None:
    """A call admitted before the breaker opened neither closes nor reopens it."""
    breaker = make(consecutive_failures=1)
    early, late = breaker.admit(1.0), breaker.admit(1.0)
    breaker.record(early, False, 0.1, 1.0)
    breaker.record(late, True, 0.1, 2.0)
    breaker.record(0, False, 0.1, 2.0)
    assert state(breaker) is State.OPEN
    call(breaker, 6.0, True)
    breaker.record(late, False, 0.1, 7.0)
    breaker.release(late, 7.0)
    assert state(breaker) is State.CLOSED
    assert breaker.describe(7.0)["calls"] == 0


def test_a_released_probe_gives_its_place_back() -> None:
    """Cancelled by its caller, or refused by ourselves: the next call is the probe."""
    breaker = opened()
    probe = breaker.admit(105.0)
    breaker.release(probe, 105.0)
    breaker.record(probe, False, 0.1, 105.0)
    assert state(breaker) is State.HALF_OPEN
    assert breaker.admit(105.0)


def test_releasing_while_closed_changes_nothing() -> None:
    """An IGNORED call is not counted."""
    breaker = make()
    breaker.release(breaker.admit(1.0), 1.0)
    assert breaker.describe(1.0)["calls"] == 0


def test_a_lost_probe_does_not_wedge() -> None:
    """Its lease runs out and another call is let through."""
    breaker = opened()
    assert breaker.admit(105.0)
    assert breaker.admit(114.9) == 0
    assert breaker.admit(115.0)
    assert breaker.admit(115.0) == 0


def test_a_late_probe_still_counts() -> None:
    """A service that answers after more than a lease can close its breaker."""
    breaker = opened()
    late = breaker.admit(105.0)
    breaker.admit(115.0)
    breaker.record(late, True, 12.0, 117.0)
    assert state(breaker) is State.CLOSED


def test_lost_probes_do_not_pile_up() -> None:
    """Only so many are remembered."""
    breaker = opened()
    probes = [breaker.admit(105.0 + 10.0 * number) for number in range(50)]
    assert all(probes)
    breaker.record(probes[0], True, 1.0, 700.0)
    assert state(breaker) is State.HALF_OPEN
    breaker.record(probes[-2], True, 1.0, 700.0)
    assert state(breaker) is State.CLOSED


def test_retry_after_says_when() -> None:
    """The rest of its time, a probe's lease, or now."""
    breaker = opened()
    assert breaker.retry_after(101.0) == 4.0
    assert breaker.retry_after(200.0) == 0.0
    probe = breaker.admit(105.0)
    assert breaker.retry_after(107.0) == 8.0
    breaker.release(probe, 107.0)
    assert breaker.retry_after(107.0) == 0.0
    call(breaker, 107.0, True)
    assert breaker.retry_after(107.0) == 0.0


def test_fewer_probes_than_have_passed_close() -> None:
    """Three were asked for, one has passed, one is asked for now."""
    breaker = opened(half_open_probes=3)
    call(breaker, 105.0, True)
    breaker.configure(BreakerOptions())
    assert breaker.retry_after(106.0) == 0.0
    assert breaker.admit(106.0)
    assert state(breaker) is State.CLOSED


def test_options_apply_in_place() -> None:
    """An open breaker stays open; a window of another length starts empty."""
    breaker = opened()
    breaker.configure(BreakerOptions(window=30.0))
    assert (breaker.state, breaker.until) == (State.OPEN, 105.0)
    closed = make(minimum_calls=2)
    call(closed, 1.0, False)
    closed.configure(BreakerOptions(minimum_calls=2, window=20.0))
    call(closed, 1.0, False)
    assert state(closed) is State.CLOSED


def test_each_transition_is_told_with_its_reason() -> None:
    """Closed to open to half-open to closed, in order."""
    events: list[Event] = []
    breaker = CircuitBreaker("pay", BreakerOptions(minimum_calls=1), steady, events.append, "function")
    call(breaker, 1.0, False)
    call(breaker, 6.0, True)
    assert [(event.facts["from"], event.facts["to"]) for event in events] == [
        ("closed", "open"),
        ("open", "half-open"),
        ("half-open", "closed"),
    ]
    assert {(event.kind, event.service, event.facts["kind"]) for event in events} == {
        ("breaker", "pay", "function")
    }
    assert [event.facts["reason"] for event in events] == [
        "1 of 1 calls failed in 10 s",
        "its time was over",
        "1 of 1 probes succeeded",
    ]


def test_describe_is_relative_to_now() -> None:
    """Seconds ago and seconds ahead; nothing where nothing happened yet."""
    assert make().describe(5.0)["since"] is None
    breaker = opened()
    facts = breaker.describe(101.0)
    assert (facts["state"], facts["since"], facts["until"]) == ("open", 1.0, 4.0)
    assert repr(breaker) == "CircuitBreaker('orders', open)"


@pytest.mark.parametrize(
    "options",
    [
        {"failure_ratio": 0},
        {"failure_ratio": 1.1},
        {"window": 0},
        {"open_for": "soon"},
        {"half_open_probes": 0},
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    """Bounds are checked when the options are built, and the key is named."""
    with pytest.raises(ConfigError, match=rf"breaker\.{next(iter(options))}"):
        BreakerOptions(**options)


def test_options_explain_themselves() -> None:
    """Every option's reason stands beside its default."""
    import typing

    hints = typing.get_type_hints(BreakerOptions, include_extras=True)
    hints.pop("group")
    assert all("description='" in repr(hint) or 'description="' in repr(hint) for hint in hints.values())
