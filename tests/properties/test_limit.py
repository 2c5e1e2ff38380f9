"""The limiter as a state machine, and under threads: no turn is lost, none is given twice."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from random import Random
from threading import Event, Lock, Thread

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from meshlib.core.wait import Wait
from meshlib.resilience.limit import Limiter, LimitOptions


class LimiterMachine(RuleBasedStateMachine):
    """Against a model: a number of holders and a plain list of waiters."""

    def __init__(self) -> None:
        super().__init__()
        self.limit: int | None = 1
        self.queue = 3
        self.limiter = Limiter(LimitOptions(concurrency=1, queue=3))
        self.held = 0
        self.line: list[Wait] = []
        self.turns: list[Wait] = []
        self.woken: list[Wait] = []

    def full(self) -> bool:
        return self.limit is not None and self.held >= self.limit

    def settle(self) -> None:
        """What the model grants: the longest waiting, while there is room."""
        while self.line and not self.full():
            turn = self.line.pop(0)
            self.held += 1
            self.turns.append(turn)
            assert turn.granted

    @rule()
    def acquire(self) -> None:
        """Taken while there is room, else queued while there is a place, else refused."""
        answer = self.limiter.acquire(1.0)
        if not self.full():
            assert answer is True
            self.held += 1
        elif len(self.line) < self.queue:
            assert isinstance(answer, Wait)
            turn = answer
            assert not turn.attach(lambda: self.woken.append(turn))
            self.line.append(turn)
        else:
            assert answer is None

    @precondition(lambda self: self.held > len(self.turns))
    @rule()
    def release(self) -> None:
        """A slot comes back."""
        self.limiter.release()
        self.held -= 1
        self.settle()

    @precondition(lambda self: self.turns)
    @rule(data=st.data(), gives_up=st.booleans())
    def finish(self, data: st.DataObject, gives_up: bool) -> None:
        """A granted waiter takes its turn and releases, or abandons it: the same to all others."""
        turn = self.turns.pop(data.draw(st.integers(0, len(self.turns) - 1)))
        if gives_up:
            turn.abandon()
        else:
            self.limiter.release()
        self.held -= 1
        self.settle()

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A waiter gives up before its turn."""
        self.line.pop(data.draw(st.integers(0, len(self.line) - 1))).abandon()

    @rule(limit=st.sampled_from([None, 1, 2, 5]), queue=st.integers(0, 4))
    def configure(self, limit: int | None, queue: int) -> None:
        """The limit changes under way."""
        self.limiter.configure(LimitOptions(concurrency=limit, queue=queue))
        self.limit, self.queue = limit, queue
        self.settle()

    @invariant()
    def agrees(self) -> None:
        """The same holders, the same line, each granted waiter woken once."""
        assert (self.limiter.used, self.limiter.queued) == (self.held, len(self.line))
        assert not any(turn.granted for turn in self.line)
        assert len(self.woken) == len(set(map(id, self.woken)))
        assert all(turn in self.woken for turn in self.turns)


TestLimiter = LimiterMachine.TestCase
TestLimiter.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Threads change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("seed", range(3))
def test_threads_never_exceed_the_limit(seed: int, frequent_switches: None) -> None:
    """Sixteen threads take, wait, give up and release; the sum stays within the limit and returns to nought."""
    limiter = Limiter(LimitOptions(concurrency=3, queue=8))
    guard = Lock()
    inside = [0, 0, 0]  # now, most, served

    def serve() -> None:
        with guard:
            inside[0] += 1
            inside[1] = max(inside[0], inside[1])
            inside[2] += 1
        with guard:
            inside[0] -= 1
        limiter.release()

    def work(number: int) -> None:
        random = Random(seed * 100 + number)
        for _ in range(100):
            answer = limiter.acquire(1e9)
            if answer is True:
                serve()
            elif isinstance(answer, Wait):
                ready = Event()
                if random.random() < 0.3:
                    answer.abandon()  # at any moment: before, while or after it is granted
                elif answer.attach(ready.set) or ready.wait(20.0):
                    serve()
                else:
                    pytest.fail("a turn was lost")

    threads = [Thread(target=work, args=(number,), daemon=True) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    assert not any(thread.is_alive() for thread in threads)
    assert limiter.describe() == {"used": 0, "limit": 3, "queued": 0}
    assert 1 <= inside[1] <= 3
    assert inside[2] > 0
