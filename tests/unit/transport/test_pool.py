"""Pool: newest first, bounded, fair to waiters, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meshlib.core.deadline import NEVER
from meshlib.transport.pool import Pool


class Fake:
    """A connection that says what it is told to say."""

    def __init__(self, stamp: int = 0) -> None:
        self.stamp = stamp
        self.since = 0.0
        self.expires = NEVER
        self.dead = False
        self.closed = False
        self.thorough: list[bool] = []

    def stale(self, thorough: bool) -> bool:
        self.thorough.append(thorough)
        return self.dead

    def discard(self) -> None:
        self.closed = True


@pytest.fixture
def pool() -> Pool[Fake]:
    return Pool()


def opened(pool: Pool[Fake], now: float = 0.0, expires: float = NEVER) -> Fake:
    """A connection that was made and is idle since `now`."""
    assert pool.room(NEVER) is None
    fake = Fake(pool.stamp)
    pool.give(fake, now, expires)
    return fake


def test_newest_first(pool: Pool[Fake]) -> None:
    """What came back last goes out first."""
    older, newer = opened(pool, 1.0), opened(pool, 2.0)
    assert [pool.take(3.0, True), pool.take(3.0, True), pool.take(3.0, True)] == [newer, older, None]
    assert pool.open == 2


def test_an_expired_connection_is_closed_not_used(pool: Pool[Fake]) -> None:
    """At its expiry a connection is too old."""
    old = opened(pool, 0.0, expires=5.0)
    assert pool.take(5.0, True) is None
    assert old.closed
    assert pool.open == 0


def test_a_dead_connection_is_skipped(pool: Pool[Fake]) -> None:
    """The next idle one is used instead."""
    alive, dead = opened(pool), opened(pool)
    dead.dead = True
    assert pool.take(1.0, True) is alive
    assert dead.closed
    assert pool.open == 1


def test_what_may_not_be_repeated_avoids_long_idle_connections(pool: Pool[Fake]) -> None:
    """More than two seconds idle: left for others, and a fresh one is asked for."""
    idle = opened(pool, 0.0)
    assert pool.take(2.5, False) is None
    assert not idle.closed
    assert pool.take(2.5, True) is idle


def test_what_may_not_be_repeated_asks_the_kernel(pool: Pool[Fake]) -> None:
    """The look at a connection is thorough exactly then."""
    idle = opened(pool, 0.0)
    assert pool.take(1.0, False) is idle
    pool.give(idle, 1.0, NEVER)
    pool.take(1.0, True)
    assert idle.thorough == [True, False]


def test_another_stamp_is_not_used_again(pool: Pool[Fake]) -> None:
    """After a rotation old connections close instead of going out."""
    old = opened(pool)
    pool.stamp = 2
    assert pool.take(1.0, True) is None
    assert old.closed


def test_one_made_before_the_rotation_is_not_kept(pool: Pool[Fake]) -> None:
    """A connection in use during a rotation closes when it comes back."""
    old = opened(pool)
    assert pool.take(0.0, True) is old
    pool.stamp = 2
    pool.give(old, 1.0, NEVER)
    assert old.closed
    assert pool.open == 0


def test_keep_bounds_the_idle(pool: Pool[Fake]) -> None:
    """More than `keep` idle connections are not kept."""
    pool = Pool(keep=1)
    first, second = opened(pool), opened(pool)
    assert not first.closed
    assert second.closed
    assert pool.open == 1


def test_most_makes_the_next_wait_and_gets_the_connection() -> None:
    """A waiter is handed what comes back."""
    pool: Pool[Fake] = Pool(most=1)
    first = opened(pool)
    assert pool.take(0.0, True) is first
    turn = pool.room(NEVER)
    assert turn is not None
    assert not turn.granted
    pool.give(first, 1.0, NEVER)
    assert turn.granted
    assert turn.connection is first
    assert not pool.idle


def test_a_waiter_gets_the_room_of_one_that_died() -> None:
    """With None in hand it makes its own, already counted."""
    pool: Pool[Fake] = Pool(most=1)
    first = opened(pool)
    pool.take(0.0, True)
    turn = pool.room(NEVER)
    assert turn is not None
    pool.drop(first)
    assert turn.granted
    assert turn.connection is None
    assert pool.open == 1


def test_who_left_is_passed_over() -> None:
    """A waiter that gave up does not swallow a connection."""
    pool: Pool[Fake] = Pool(most=1)
    first = opened(pool)
    pool.take(0.0, True)
    gone, patient = pool.room(NEVER), pool.room(NEVER)
    assert gone is not None
    assert patient is not None
    gone.abandon()
    pool.give(first, 1.0, NEVER)
    assert patient.connection is first


def test_a_granted_turn_that_is_abandoned_passes_on() -> None:
    """Cancelled after the grant: the connection goes to the next, or becomes idle."""
    pool: Pool[Fake] = Pool(most=1)
    first = opened(pool)
    pool.take(0.0, True)
    one, two = pool.room(NEVER), pool.room(NEVER)
    assert one is not None
    assert two is not None
    pool.give(first, 1.0, NEVER)
    one.abandon()
    assert two.connection is first
    two.abandon()
    assert list(pool.idle) == [first]
    assert pool.open == 1


def test_granted_room_that_is_abandoned_is_freed() -> None:
    """The count goes down when nobody is left."""
    pool: Pool[Fake] = Pool(most=1)
    first = opened(pool)
    pool.take(0.0, True)
    turn = pool.room(NEVER)
    assert turn is not None
    pool.drop(first)
    turn.abandon()
    assert pool.open == 0


def test_a_peer_that_closes_an_idle_connection_makes_room(pool: Pool[Fake]) -> None:
    """And one in use is not counted twice."""
    idle = opened(pool)
    pool.lost(idle)
    assert pool.open == 0
    busy = opened(pool)
    pool.take(0.0, True)
    pool.lost(busy)
    assert pool.open == 1
    pool.drop(busy)
    assert pool.open == 0


def test_sweeping_closes_what_is_over(pool: Pool[Fake]) -> None:
    """Idle connections end without anybody asking for them."""
    old, young = opened(pool, 0.0, 5.0), opened(pool, 0.0, 9.0)
    pool.sweep(6.0)
    assert (old.closed, young.closed) == (True, False)
    assert pool.open == 1


def test_a_retired_pool_keeps_nothing(pool: Pool[Fake]) -> None:
    """Idle ones close now, the one in use when it comes back."""
    idle, busy = opened(pool), opened(pool)
    assert pool.take(0.0, True) is busy
    pool.retire()
    assert idle.closed
    pool.give(busy, 1.0, NEVER)
    assert busy.closed
    assert pool.open == 0


# What a waiter wakes to.


def woken(pool: Pool[Fake], now: float, repeatable: bool, between: Callable[[Fake], Any]) -> Fake | None:
    """What a call gets that waited for the only connection, when this happened between grant and waking."""
    held = opened(pool)
    assert pool.take(0.0, True) is held
    turn = pool.room(NEVER)
    assert turn is not None
    pool.give(held, 0.0, 9.0)
    between(held)
    found = pool.received(turn, now, repeatable)
    assert found in (None, held)
    assert held.closed is (found is None)
    assert held.thorough[1:] in ([], [True])  # after `take`
    assert pool.open == 1
    return found


@pytest.mark.parametrize(
    ("now", "repeatable", "between", "fit"),
    [
        (1.0, True, lambda held: None, True),
        (1.0, False, lambda held: None, True),
        (3.0, True, lambda held: None, True),
        (3.0, False, lambda held: None, False),
        (9.0, True, lambda held: None, False),
        (1.0, True, lambda held: setattr(held, "dead", True), False),
        (1.0, True, lambda held: setattr(held, "stamp", -1), False),
    ],
)
def test_a_waiter_looks_at_what_it_got(now: float, repeatable: bool, between: Any, fit: bool) -> None:
    """It is as choosy as `take`; instead of what is unfit it makes a connection, in the same room."""
    pool: Pool[Fake] = Pool(most=1)
    assert (woken(pool, now, repeatable, between) is not None) is fit


def test_a_waiter_that_got_room_makes_its_own() -> None:
    """Already counted."""
    pool: Pool[Fake] = Pool(most=1)
    first = opened(pool)
    pool.take(0.0, True)
    turn = pool.room(NEVER)
    assert turn is not None
    pool.drop(first)
    assert pool.received(turn, 0.0, True) is None
    assert pool.open == 1


def test_an_idle_connection_that_is_unfit_for_one_serves_the_line_at_once() -> None:
    """Who may not use it queues for it, sees that, and replaces it."""
    pool: Pool[Fake] = Pool(most=1)
    old = opened(pool)
    assert pool.take(3.0, False) is None
    turn = pool.room(NEVER)
    assert turn is not None
    assert turn.granted
    assert pool.received(turn, 3.0, False) is None
    assert old.closed
    assert (pool.open, len(pool.idle)) == (1, 0)


# Threads in between.


class Meddled(dict[Fake, None]):
    """Idle connections, and what another thread does just before one is put there or just after one was taken."""

    def __init__(self, pool: Pool[Fake]) -> None:
        super().__init__(pool.idle)
        self.before_put: Callable[[], Any] | None = None
        self.after_taken: Callable[[], Any] | None = None
        pool.idle = self

    def popitem(self) -> tuple[Fake, None]:
        found = super().popitem()
        does, self.after_taken = self.after_taken, None
        if does is not None:
            does()
        return found

    def __setitem__(self, connection: Fake, nothing: None) -> None:
        does, self.before_put = self.before_put, None
        if does is not None:
            does()
        super().__setitem__(connection, nothing)


def test_a_waiter_that_comes_while_a_connection_is_put_back() -> None:
    """The only other one in line had left: the connection is offered once more."""
    pool: Pool[Fake] = Pool(most=1)
    first = opened(pool)
    pool.take(0.0, True)
    gone = pool.room(NEVER)
    assert gone is not None
    gone.abandon()
    turns: list[Any] = []
    idle = Meddled(pool)
    idle.after_taken = lambda: setattr(idle, "before_put", lambda: turns.append(pool.room(NEVER)))
    pool.give(first, 0.0, NEVER)
    assert turns[0].connection is first


def test_a_waiter_that_comes_while_one_is_looked_at() -> None:
    """It gets what the other may not use."""
    pool: Pool[Fake] = Pool(most=1)
    first = opened(pool)
    turns: list[Any] = []
    Meddled(pool).after_taken = lambda: turns.append(pool.room(NEVER))
    assert pool.take(3.0, False) is None
    assert turns[0].connection is first


@pytest.mark.parametrize("how", ["given", "looked at", "unwanted"])
def test_a_pool_that_is_retired_meanwhile(how: str) -> None:
    """What is put back too late closes."""
    pool: Pool[Fake] = Pool(most=1)
    first = opened(pool)
    idle = Meddled(pool)
    idle.before_put = pool.retire
    if how == "looked at":
        pool.take(3.0, False)
    else:
        idle.before_put = None
        pool.take(0.0, True)
        gone = pool.room(NEVER)
        assert gone is not None
        if how == "unwanted":
            gone.abandon()
            idle.after_taken = pool.retire
        else:
            idle.before_put = pool.retire
            gone.abandon()
        pool.give(first, 0.0, NEVER)
    assert first.closed
    assert (pool.open, len(pool.idle)) == (0, 0)


class Gone(dict[Fake, None]):
    """Another thread is always faster."""

    def popitem(self) -> tuple[Fake, None]:
        self.clear()
        raise KeyError


def test_another_thread_took_the_last_one() -> None:
    """Nothing is left, for callers and for waiters; who waits goes on waiting."""
    pool: Pool[Fake] = Pool(most=1)
    first = opened(pool)
    pool.idle = Gone(pool.idle)
    assert pool.take(0.0, True) is None
    pool.idle = Gone({first: None})
    turn = pool.room(NEVER)
    assert turn is not None
    assert not turn.granted


def test_another_thread_took_what_was_to_be_swept() -> None:
    """It closes it when it sees how old it is; the sweep leaves it alone."""
    pool: Pool[Fake] = Pool()
    first = opened(pool, 0.0, 5.0)

    class Taken(dict[Fake, None]):
        def pop(self, *arguments: Any) -> Any:
            return arguments[-1]

    pool.idle = Taken(pool.idle)
    pool.sweep(6.0)
    assert not first.closed
    assert pool.open == 1
