"""The compiled plan and the naive chain of `tests/reference.py` decide alike, for the same clock and the same seeds."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlib.balancing.uniform import Uniform, UniformOptions
from meshlib.core.endpoint import Endpoint
from meshlib.core.listener import Listener
from meshlib.core.outcome import OK, Kind, Outcome
from meshlib.core.snapshot import EndpointSet
from meshlib.drivers import sync
from meshlib.engine import BUFFERED, HOP, IDEMPOTENT, REPLAYABLE, CallPlan, Cluster
from meshlib.errors import MeshError
from meshlib.resilience import (
    BreakerOptions,
    BudgetOptions,
    CircuitBreaker,
    EjectionOptions,
    Limiter,
    LimitOptions,
    OutlierDetector,
    RetryBudget,
)
from meshlib.resilience.retry import RetryOptions, RetryPolicy
from meshlib.testing import FakeClock
from tests.reference import Ended, RefCall, Reference, Rules
from tests.rpc import RPC, BrokenError, BusyError, Family, Reply, Request, RpcError, UnreachableError

KINDS = ("ok", "503", "429", "429 no", "unsent", "reset", "timeout", "ignored", "cancelled", "foreign")


class CancelError(BaseException):
    """What a caller's cancellation looks like to a thread."""


class Recording(Uniform):
    """Random, and a learner that writes down what it is told."""

    def __init__(self) -> None:
        super().__init__(UniformOptions())
        self.learned: list[tuple[str, str, float]] = []

    def observe(self, node: Any, outcome: Outcome, seconds: float, now: float) -> None:
        self.learned.append((node.address, outcome.cause, seconds))

    def waited(self, node: Any, seconds: float, now: float) -> None:
        self.learned.append((node.address, "waited", seconds))


class Watch(Listener):
    """Remembers the last call."""

    stop: str | None = None
    began = ended = 0

    def call_started(self, call: Any) -> None:
        self.stop = None

    def attempt_started(self, call: Any, attempt: Any) -> None:
        self.began += 1

    def attempt_finished(self, call: Any, attempt: Any, outcome: Outcome) -> None:
        self.ended += 1

    def call_finished(self, call: Any, outcome: Outcome | None) -> None:
        self.stop = None if call.stop is None else call.stop.word


def classified(reply: Any) -> Outcome:
    """The reference's classifier: the same table, told from the reply alone."""
    if isinstance(reply, BaseException):
        return RPC.classify_error(reply, None)  # type: ignore[arg-type]
    return RPC.classify(reply)


def streams(seed: int) -> Callable[[str], Callable[[], float]]:
    return lambda part: Random(f"{seed} {part}").random


def answer(clock: FakeClock, kind: str, seconds: float, until: float) -> Any:
    """Play one scripted attempt: let time pass, then reply or raise."""
    left = max(0.0, until - clock())
    if kind == "timeout" or seconds > left:
        clock.advance(left)
        raise TimeoutError("late")
    clock.advance(seconds)
    if kind == "429":
        return Reply("RESOURCE_EXHAUSTED", **{"retry-pushback": "0.2"})
    if kind == "429 no":
        return Reply("RESOURCE_EXHAUSTED", **{"retry-pushback": "-1"})
    raised: dict[str, BaseException] = {
        "unsent": UnreachableError(),
        "reset": BrokenError(),
        "ignored": BusyError(),
        "cancelled": CancelError(),
        "foreign": LookupError(),
    }
    if kind in raised:
        raise raised[kind]
    return Reply("UNAVAILABLE" if kind == "503" else "OK")


class Engine:
    """The plan under test, wired from the same rules."""

    def __init__(self, rules: Rules, count: int, clock: FakeClock, seed: int) -> None:
        self.clock = clock
        stream = streams(seed)
        self.balancer = Recording()
        self.detector = None
        if rules.ejection is not None:
            ratio, requests, row, base, most, share = rules.ejection
            options = EjectionOptions(
                success_ratio=ratio,
                minimum_requests=requests,
                consecutive_failures=row,
                base=base,
                maximum=most,
                max_share=share,
            )
            self.detector = OutlierDetector(options, stream("detector"))
        self.cluster = Cluster("orders", self.balancer, stream("cluster"), detector=self.detector)
        endpoints = EndpointSet(Endpoint(host=f"n{number}", port=1) for number in range(count))
        for _ in self.cluster.apply(endpoints, clock()):
            pass
        self.breaker = None
        if rules.breaker is not None:
            failed, calls, in_row, open_for, longest = rules.breaker
            self.breaker = CircuitBreaker(
                "orders",
                BreakerOptions(
                    failure_ratio=failed,
                    minimum_calls=calls,
                    consecutive_failures=in_row,
                    open_for=open_for,
                    max_open_for=longest,
                ),
                stream("breaker"),
            )
        self.budget = None
        if rules.budget is not None:
            share_of, floor, window = rules.budget
            self.budget = RetryBudget(BudgetOptions(ratio=share_of, floor=floor, window=window))
        self.limiter = None if rules.limit is None else Limiter(LimitOptions(concurrency=rules.limit))
        self.watch = Watch()
        self.plan = CallPlan(
            "orders", self.cluster, RPC, stream("plan"), timeout=rules.timeout, attempt_timeout=rules.attempt_timeout,
            retry=RetryPolicy(RetryOptions(attempts=rules.attempts, on=rules.on)) if rules.retries else None,
            max_attempts=rules.attempts, budget=self.budget, breaker=self.breaker, limiter=self.limiter,
            listener=self.watch, raise_on_exhausted=rules.raise_on_exhausted,
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Everything that a call may have changed."""
        return {
            "now": self.clock(),
            "nodes": [
                (
                    node.address.partition(":")[0],
                    node.in_flight,
                    node.calls,
                    node.failures,
                    node.barrier,
                    node.health is not None and node.health.ejected,
                    0 if node.health is None else node.health.ejections,
                )
                for node in self.cluster.nodes.values()
            ],
            "panic": self.detector is not None and self.detector.panic,
            "breaker": None if self.breaker is None else self.breaker.state.value,
            "budget": None if self.budget is None else round(self.budget.balance(self.clock()), 6),
            "limit": None if self.limiter is None else self.limiter.used,
            "learned": [(a.partition(":")[0], cause, took) for a, cause, took in self.balancer.learned],
            "stop": self.watch.stop,
        }


def reference_state(reference: Reference, clock: FakeClock, stop: str | None) -> dict[str, Any]:
    return {
        "now": clock(),
        "nodes": [
            (n.address, n.in_flight, n.calls, n.failures, n.barrier, n.ejected, n.ejections)
            for n in reference.nodes
        ],
        "panic": reference.ejector is not None and reference.ejector.panic,
        "breaker": None if reference.breaker is None else reference.breaker.state,
        "budget": None if reference.budget is None else round(max(0.0, reference.budget.balance(clock())), 6),
        "limit": None if reference.rules.limit is None else reference.in_flight,
        "learned": reference.learned,
        "stop": stop,
    }


def name_of(error: BaseException) -> str:
    if isinstance(error, MeshError):
        return next(base.__name__ for base in type(error).__mro__ if base.__module__ == "meshlib.errors")
    return "mapped" if isinstance(error, RpcError) else type(error).__name__


rules = st.builds(
    Rules,
    timeout=st.sampled_from([0.3, 1.0, 10.0]),
    attempt_timeout=st.sampled_from([None, 0.1, 2.0]),
    attempts=st.integers(1, 5),
    on=st.sampled_from(
        [("unsent", "reset", "timeout", "throttled", "UNAVAILABLE"), ("unsent", "UNAVAILABLE"), ("reset",)]
    ),
    retries=st.sampled_from([True, True, True, False]),
    budget=st.sampled_from([None, (0.2, 0.0, 10.0), (0.5, 0.2, 10.0), (0.2, 10.0, 10.0)]),
    breaker=st.sampled_from(
        [None, (0.5, 2, None, 1.0, 4.0), (0.5, 20, 3, 0.5, 8.0), (1.0, 3, None, 5.0, 60.0)]
    ),
    limit=st.sampled_from([None, None, 1, 2]),
    ejection=st.sampled_from(
        [None, (0.8, 2, 2, 1.0, 4.0, 0.5), (0.8, 5, 5, 1.0, 60.0, 0.5), (0.5, 3, None, 0.5, 0.5, 1.0)]
    ),
    raise_on_exhausted=st.booleans(),
)
seconds = st.sampled_from([0.0, 0.0, 0.004, 0.05, 0.4])
scripted = (
    st.lists(st.tuples(st.sampled_from(KINDS), seconds), min_size=1, max_size=6)
    | st.lists(
        st.tuples(st.sampled_from(["503", "503", "ok", "reset", "429"]), seconds), min_size=1, max_size=6
    )
    | st.just([("503", 0.0)] * 6)
)
calls = st.tuples(
    st.just("call"),
    st.integers(0, 15) | st.just(IDEMPOTENT | REPLAYABLE) | st.just(IDEMPOTENT | REPLAYABLE | BUFFERED),
    st.sampled_from([0.0, 0.0, 0.02, 5.0]),
    scripted,
)
steps = st.lists(
    calls
    | calls
    | st.tuples(st.just("advance"), st.sampled_from([0.1, 0.9, 3.0, 20.0]))
    | st.tuples(st.just("close"), st.integers(0, 1), st.booleans()),
    min_size=1,
    max_size=30,
)


class Pair:
    """Both sides, each with a clock of its own, and what is compared after every step."""

    def __init__(self, chosen: Rules, count: int, seed: int) -> None:
        self.clock, self.other = FakeClock(1000.0), FakeClock(1000.0)
        self.engine = Engine(chosen, count, self.clock, seed)
        names = [f"n{number}" for number in range(count)]
        self.reference = Reference(
            chosen, names, self.other, self.other.advance, streams(seed), classified, Family.transport_errors
        )
        self.bodies: list[tuple[Any, Any]] = []
        self.stop: str | None = None

    def call(self, flags: int, within: float, script: list[tuple[str, float]]) -> None:
        ours = self.through_engine(flags, within, script)
        theirs = self.through_reference(flags, within, script)
        assert ours[:3] == theirs[:3]
        if ours[3] is not None or theirs[3] is not None:
            self.bodies.append((ours[3], theirs[3]))

    def through_engine(self, flags: int, within: float, script: list[tuple[str, float]]) -> tuple[Any, ...]:
        left, sent = list(script), []

        def send(attempt: Any, request: Any) -> Any:
            attempt.context = None
            sent.append((attempt.node.host, round(attempt.until, 9), attempt))
            return answer(self.clock, *(left.pop(0) if left else ("ok", 0.0)), attempt.until)

        self.clock.sleeps.clear()
        deadline = self.clock() + within if within else 0.0
        facts: Any = None
        try:
            result: Any = sync.drive(
                self.engine.plan, Request(), send, self.clock, flags, deadline, self.clock.sleep
            ).code
        except (Exception, CancelError) as error:
            result = name_of(error)
            if isinstance(error, MeshError):
                facts = [(one.address.partition(":")[0], one.cause) for one in error.attempts]
        held = sent[-1][2] if sent and sent[-1][2].held else None
        return result, [one[:2] for one in sent], (list(self.clock.sleeps), facts), held

    def through_reference(
        self, flags: int, within: float, script: list[tuple[str, float]]
    ) -> tuple[Any, ...]:
        left, sent = list(script), []

        def send(one: Any, request: Any) -> Any:
            sent.append((one.node.address, round(one.until, 9)))
            return answer(self.other, *(left.pop(0) if left else ("ok", 0.0)), one.until)

        self.reference.sleeps.clear()
        now = self.other()
        call = RefCall(
            "r", bool(flags & IDEMPOTENT), bool(flags & REPLAYABLE), bool(flags & BUFFERED), bool(flags & HOP),
            now + within if within else float("inf"), now,
        )  # fmt: skip
        facts: Any = None
        try:
            result: Any = self.reference.call(call, send).code
        except Ended as ended:
            result = ended.name
            if result != "mapped":
                facts = [(one.node.address, one.outcome.cause) for one in call.tries]  # type: ignore[union-attr]
        except (Exception, CancelError) as error:
            result = name_of(error)
        self.stop = call.stop if result != "CircuitOpenError" else self.stop
        held = call.tries[-1] if call.tries and call.tries[-1].held else None
        return result, sent, (list(self.reference.sleeps), facts), held

    def close(self, index: int, broken: bool) -> None:
        if index < len(self.bodies):
            ours, theirs = self.bodies.pop(index)
            outcome = Outcome(Kind.FAILURE, "reset", "broke") if broken else None
            for _ in range(2):
                ours.release(self.clock(), outcome)
                self.reference.closed(theirs, outcome)

    def compare(self) -> None:
        ours, theirs = self.engine.state(), reference_state(self.reference, self.other, self.stop)
        assert ours == theirs
        assert self.engine.watch.began == self.engine.watch.ended


@settings(max_examples=800, deadline=None)
@given(rules, st.integers(1, 6), st.integers(0, 2**16), steps)
def test_plan_equals_reference(chosen: Rules, count: int, seed: int, taken: list[Any]) -> None:
    """Same nodes tried, same bounds and pauses, same errors, and the same state of everything afterwards."""
    pair = Pair(chosen, count, seed)
    for step in taken:
        if step[0] == "call":
            pair.call(*step[1:])
        elif step[0] == "advance":
            pair.clock.advance(step[1])
            pair.other.advance(step[1])
        else:
            pair.close(*step[1:])
        pair.compare()


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(rules, st.integers(1, 6), st.integers(0, 2**16), steps)
def test_plan_equals_reference_at_length(chosen: Rules, count: int, seed: int, taken: list[Any]) -> None:
    """The same, for longer."""
    test_plan_equals_reference.hypothesis.inner_test(chosen, count, seed, taken)


def test_ok_is_shared() -> None:
    """A good reply is classified without making an object."""
    assert classified(Reply()) is OK
