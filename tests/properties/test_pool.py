"""Pool as a state machine: counts are exact, the bound holds, and nobody waits while a connection is idle."""

from __future__ import annotations

import threading
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from meshlib.core.deadline import NEVER
from meshlib.transport.pool import UNREPEATABLE_IDLE, Pool, Turn


class Fake:
    """A connection that counts itself."""

    def __init__(self, alive: set[Fake]) -> None:
        self.stamp = 0
        self.since = 0.0
        self.expires = NEVER
        self.alive = alive
        alive.add(self)

    def stale(self, thorough: bool) -> bool:
        return self not in self.alive

    def discard(self) -> None:
        self.alive.discard(self)


class PoolMachine(RuleBasedStateMachine):
    """Callers that take, wait, give back, lose and give up, in any order."""

    busy = Bundle("busy")
    rooms = Bundle("rooms")
    waiting = Bundle("waiting")

    def __init__(self) -> None:
        super().__init__()
        self.most = 3
        self.pool: Pool[Fake] = Pool(self.most, keep=2)
        self.alive: set[Fake] = set()
        self.held: set[Fake] = set()
        self.making = 0
        self.turns: list[Turn[Fake]] = []

    @rule(target=busy, repeatable=st.booleans(), now=st.floats(0, 10))
    def take(self, repeatable: bool, now: float) -> Fake | None:
        found = self.pool.take(now, repeatable)
        if found is not None:
            assert found not in self.held
            self.held.add(found)
        return found

    @rule(target=rooms)
    def ask(self) -> bool:
        turn = self.pool.room(NEVER)
        if turn is None:
            self.making += 1
            return True
        self.turns.append(turn)
        return False

    @rule(target=busy, room=consumes(rooms), works=st.booleans())
    def make(self, room: bool, works: bool) -> Fake | None:
        if not room:
            return None
        self.making -= 1
        if not works:
            self.pool.left()
            return None
        made = Fake(self.alive)
        self.held.add(made)
        return made

    @rule(fake=consumes(busy), expires=st.floats(0, 20), now=st.floats(0, 10))
    def give(self, fake: Fake | None, expires: float, now: float) -> None:
        if fake is not None:
            self.held.discard(fake)
            self.pool.give(fake, now, expires)

    @rule(fake=consumes(busy))
    def drop(self, fake: Fake | None) -> None:
        if fake is not None:
            self.held.discard(fake)
            self.pool.drop(fake)

    @rule(chosen=st.randoms(use_true_random=False))
    def peer_closes(self, chosen: Random) -> None:
        idle = list(self.pool.idle)
        if idle:
            fake = chosen.choice(idle)
            self.alive.discard(fake)
            self.pool.lost(fake)

    @rule(now=st.floats(0, 25))
    def sweep(self, now: float) -> None:
        self.pool.sweep(now)

    @rule(
        target=busy,
        chosen=st.randoms(use_true_random=False),
        leaves=st.booleans(),
        now=st.floats(0, 10),
        repeatable=st.booleans(),
    )
    def wake(self, chosen: Random, leaves: bool, now: float, repeatable: bool) -> Fake | None:
        granted = [turn for turn in self.turns if turn.granted]
        if not granted:
            return None
        turn = chosen.choice(granted)
        self.turns.remove(turn)
        if leaves:
            turn.abandon()
            return None
        found = self.pool.received(turn, now, repeatable)
        if found is None:
            self.pool.left()
            return None
        assert found in self.alive
        assert now < found.expires
        assert repeatable or now - found.since <= UNREPEATABLE_IDLE
        self.held.add(found)
        return found

    @rule(chosen=st.randoms(use_true_random=False))
    def give_up(self, chosen: Random) -> None:
        if self.turns:
            turn = chosen.choice(self.turns)
            self.turns.remove(turn)
            turn.abandon()

    @invariant()
    def counts_are_exact(self) -> None:
        granted = [turn for turn in self.turns if turn.granted]
        in_hand = sum(turn.connection is not None for turn in granted)
        expected = len(self.held) + self.making + len(self.pool.idle) + in_hand
        assert self.pool.open == expected + len(granted) - in_hand
        assert self.pool.open <= self.most

    @invariant()
    def nobody_waits_beside_an_idle_connection(self) -> None:
        waiting = [turn for turn in self.turns if not turn.granted]
        assert not (waiting and self.pool.idle)
        assert not waiting or self.pool.open == self.most

    @invariant()
    def idle_ones_are_alive(self) -> None:
        assert all(fake in self.alive for fake in self.pool.idle)


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_threads_lose_nothing() -> None:
    """Sixteen threads on four connections: every wait ends, the bound holds, and all come back."""
    pool: Pool[Fake] = Pool(4)
    alive: set[Fake] = set()
    most = 0
    served = []

    def work(seed: int) -> None:
        nonlocal most
        random = Random(seed)
        for _ in range(200):
            fake = pool.take(0.0, True)
            if fake is None:
                turn = pool.room(NEVER)
                if turn is not None:
                    event = threading.Event()
                    if not turn.attach(event.set):
                        assert event.wait(20)
                    fake = turn.connection
                if fake is None:
                    fake = Fake(alive)
            most = max(most, len(alive))
            if random.random() < 0.2:
                pool.drop(fake)
            else:
                pool.give(fake, 0.0, NEVER)
        served.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(served) == 16
    assert most <= 4
    assert pool.open == len(pool.idle) == len(alive)
