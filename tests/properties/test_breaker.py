"""The breaker as a state machine: it never exceeds its probes and cannot get stuck."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from meshlib.core.listener import Event
from meshlib.resilience.breaker import BreakerOptions, CircuitBreaker, State

OPTIONS = st.builds(
    BreakerOptions,
    failure_ratio=st.sampled_from([0.1, 0.5, 1.0]),
    window=st.sampled_from([1.0, 10.0]),
    minimum_calls=st.integers(1, 5),
    consecutive_failures=st.sampled_from([None, 1, 3]),
    slow_call=st.sampled_from([None, 0.5]),
    slow_ratio=st.sampled_from([0.5, 1.0]),
    open_for=st.sampled_from([0.5, 5.0, 90.0]),
    half_open_probes=st.integers(1, 3),
)
ALLOWED = {("closed", "open"), ("open", "half-open"), ("half-open", "open"), ("half-open", "closed")}


class BreakerMachine(RuleBasedStateMachine):
    """Calls begin, end well or badly, late or never, while time passes and options change."""

    permits: Bundle[int] = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.events: list[Event] = []
        self.draw = 0.5
        self.breaker = CircuitBreaker(
            "x", BreakerOptions(minimum_calls=3), lambda: self.draw, self.events.append
        )
        self.probes: dict[int, float] = {}
        self.phase = 0
        self.seen: set[int] = set()
        self.most = 1

    def enter(self) -> None:
        """A new state: probes of the last one are no longer counted."""
        if len(self.events) != self.phase:
            self.phase = len(self.events)
            self.probes = {}
            self.most = self.breaker.options.half_open_probes

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 6.0, 11.0, 100.0]), draw=st.floats(0.0, 0.99))
    def wait(self, seconds: float, draw: float) -> None:
        """Time passes."""
        self.now += seconds
        self.draw = draw

    @rule(target=permits)
    def begin(self) -> int:
        """A call asks; closed admits everybody, open nobody before its time."""
        before, until = self.breaker.state, self.breaker.until
        permit = self.breaker.admit(self.now)
        self.enter()
        if before is State.CLOSED:
            assert permit
        if before is State.OPEN:
            assert until is not None
            assert bool(permit) == (self.now >= until)
        if self.breaker.state is State.HALF_OPEN and permit:
            assert permit not in self.seen
            self.probes[permit] = self.now + max(10.0, self.breaker.options.open_for)
            assert sum(end > self.now for end in self.probes.values()) <= self.most
        self.seen.add(permit)
        return permit

    @rule(permit=consumes(permits), good=st.booleans(), elapsed=st.sampled_from([0.01, 0.5]))
    def end(self, permit: int, good: bool, elapsed: float) -> None:
        """A call ends, possibly states later."""
        self.breaker.record(permit, good, elapsed, self.now)
        self.probes.pop(permit, None)
        self.enter()

    @rule(permit=consumes(permits))
    def ignore(self, permit: int) -> None:
        """A call says nothing; no state changes by it."""
        before = self.breaker.state
        self.breaker.release(permit, self.now)
        self.probes.pop(permit, None)
        assert self.breaker.state is before

    @rule(permit=consumes(permits))
    def lose(self, permit: int) -> None:
        """A call is never settled."""

    @rule(options=OPTIONS)
    def configure(self, options: BreakerOptions) -> None:
        """New options change no state."""
        before = (self.breaker.state, self.breaker.until)
        self.breaker.configure(options)
        assert (self.breaker.state, self.breaker.until) == before
        self.most = max(self.most, options.half_open_probes)

    @rule()
    def recovers(self) -> None:
        """Never stuck: after enough time a call is admitted, and good calls close it."""
        self.now += 200.0
        for _ in range(4):
            permit = self.breaker.admit(self.now)
            assert permit
            self.breaker.record(permit, True, 0.0, self.now)
        self.enter()
        assert self.breaker.state is State.CLOSED

    @invariant()
    def facts_are_consistent(self) -> None:
        """Transitions are legal, `until` belongs to open, `retry_after` tells the truth."""
        chain: list[Any] = [(event.facts["from"], event.facts["to"]) for event in self.events]
        assert set(chain) <= ALLOWED
        assert all(one[1] == two[0] for one, two in pairwise(chain))
        assert (self.breaker.until is not None) == (self.breaker.state is State.OPEN)
        assert 0.0 <= self.breaker.retry_after(self.now) <= 135.0
        assert self.breaker.describe(self.now)["state"] == self.breaker.state.value


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
