"""A cap on attempts in flight, and turns that are neither lost nor given twice."""

from __future__ import annotations

import pytest

from meshlib.core.wait import Wait
from meshlib.errors import ConfigError
from meshlib.resilience.limit import Limiter, LimitOptions


def turn_of(limiter: Limiter, until: float = 9.0) -> Wait:
    turn = limiter.acquire(until)
    assert isinstance(turn, Wait)
    return turn


def test_off_admits_everything_and_still_counts() -> None:
    """Without a limit nobody waits."""
    limiter = Limiter(LimitOptions())
    assert all(limiter.acquire(0.0) is True for _ in range(1000))
    assert limiter.used == 1000


def test_a_full_limit_without_a_queue_refuses() -> None:
    """None is a refusal; a release makes room."""
    limiter = Limiter(LimitOptions(concurrency=2))
    assert [limiter.acquire(0.0) for _ in range(3)] == [True, True, None]
    limiter.release()
    assert limiter.acquire(0.0) is True


def test_turns_come_in_order_of_arrival() -> None:
    """Who waits longest is next; a granted turn owns its slot."""
    limiter = Limiter(LimitOptions(concurrency=1, queue=2))
    limiter.acquire(0.0)
    first, second = turn_of(limiter, 5.0), turn_of(limiter)
    assert limiter.acquire(0.0) is None
    assert (first.reason, first.until, limiter.queued) == ("queue", 5.0, 2)
    limiter.release()
    assert (first.granted, second.granted, limiter.used) == (True, False, 1)
    limiter.release()
    assert second.granted
    limiter.release()
    assert limiter.describe() == {"used": 0, "limit": 1, "queued": 0}


def test_granting_wakes_outside_the_lock() -> None:
    """What is woken may use the limiter at once."""
    limiter = Limiter(LimitOptions(concurrency=1, queue=1))
    limiter.acquire(0.0)
    seen: list[int] = []
    assert not turn_of(limiter).attach(lambda: seen.append(limiter.describe()["used"]))
    limiter.release()
    assert seen == [1]


def test_a_waiter_that_leaves_frees_its_place() -> None:
    """A place in the queue is not held by who has gone; leaving twice is harmless."""
    limiter = Limiter(LimitOptions(concurrency=1, queue=1))
    limiter.acquire(0.0)
    gone = turn_of(limiter)
    gone.abandon()
    gone.abandon()
    assert limiter.queued == 0
    heir = turn_of(limiter)
    limiter.release()
    assert heir.granted
    assert not gone.granted


def test_an_abandoned_turn_passes_on() -> None:
    """Cancelled after the grant: the next waiter gets the slot, or it is free."""
    limiter = Limiter(LimitOptions(concurrency=1, queue=2))
    limiter.acquire(0.0)
    first, second = turn_of(limiter), turn_of(limiter)
    limiter.release()
    first.abandon()
    assert second.granted
    second.abandon()
    assert limiter.used == 0


def test_a_waiter_lost_in_a_race_is_skipped() -> None:
    """One that left between its abandonment and its removal from the queue is not granted."""
    limiter = Limiter(LimitOptions(concurrency=1, queue=2))
    limiter.acquire(0.0)
    first, second = turn_of(limiter), turn_of(limiter)
    Wait.abandon(first)  # the first half of its abandonment: still in the queue
    limiter.release()
    assert second.granted
    assert limiter.used == 1


def test_a_thousand_dead_waiters_pass_the_turn_on() -> None:
    """Waiters of a closed event loop neither keep the turn nor recurse."""
    limiter = Limiter(LimitOptions(concurrency=1, queue=5000))
    limiter.acquire(0.0)

    def closed() -> None:
        raise RuntimeError("Event loop is closed")

    for _ in range(4000):
        turn_of(limiter).attach(closed)
    last = turn_of(limiter)
    limiter.release()
    assert last.granted
    assert (limiter.used, limiter.queued) == (1, 0)


def test_a_raised_limit_grants_at_once() -> None:
    """Waiters do not wait for a release that is no longer needed."""
    limiter = Limiter(LimitOptions(concurrency=1, queue=4))
    limiter.acquire(0.0)
    turns = [turn_of(limiter) for _ in range(4)]
    limiter.configure(LimitOptions(concurrency=3, queue=4))
    assert [turn.granted for turn in turns] == [True, True, False, False]
    limiter.configure(LimitOptions())
    assert all(turn.granted for turn in turns)
    assert limiter.options == LimitOptions()


def test_a_lowered_limit_takes_nothing_back() -> None:
    """What is in flight stays; waiters wait until it has drained below the new limit."""
    limiter = Limiter(LimitOptions(concurrency=3, queue=1))
    for _ in range(3):
        limiter.acquire(0.0)
    turn = turn_of(limiter)
    limiter.configure(LimitOptions(concurrency=1, queue=1))
    limiter.release()
    limiter.release()
    assert not turn.granted
    limiter.release()
    assert turn.granted
    assert limiter.used == 1


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"queue": -1}, {"concurrency": "many"}])
def test_impossible_limits_are_refused(options: dict[str, int]) -> None:
    """Bounds are checked when the options are built."""
    with pytest.raises(ConfigError, match=r"limit\."):
        LimitOptions(**options)
