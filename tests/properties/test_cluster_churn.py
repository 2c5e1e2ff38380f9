"""Sets come and go while calls are in flight: nothing is lost, nothing is counted twice."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from meshlib.balancing import BALANCERS
from meshlib.core.endpoint import Endpoint
from meshlib.core.outcome import CANCELLED, OK, Kind, Outcome
from meshlib.core.snapshot import EndpointSet
from meshlib.engine import BUFFERED, IDEMPOTENT, REPLAYABLE, Attempt, CallPlan, Cluster, Node
from meshlib.engine.cluster import DEPARTED_FOR
from meshlib.errors import MeshError
from meshlib.resilience import EjectionOptions, OutlierDetector
from meshlib.resilience.retry import RetryOptions, RetryPolicy
from tests.rpc import RETRIED, RPC, Request

HOSTS = [f"n{number}" for number in range(6)]
OUTCOMES = [
    OK,
    OK,
    CANCELLED,
    Outcome(Kind.FAILURE, "reset", "broke"),
    Outcome(Kind.FAILURE, "unsent", "refused", retry_safe=True, delivered="no"),
    Outcome(Kind.THROTTLED, "throttled", "busy"),
]


class Churn(RuleBasedStateMachine):
    """The control path and many calls, one step at a time."""

    streams: Bundle[Any] = Bundle("streams")
    calls: Bundle[Any] = Bundle("calls")
    works: Bundle[Any] = Bundle("works")

    def __init__(self) -> None:
        super().__init__()
        random = Random(1).random
        kind = BALANCERS.get("p2c")
        detector = OutlierDetector(EjectionOptions(consecutive_failures=2, minimum_requests=2), random)
        self.dropped: list[Node] = []
        self.cluster = Cluster(
            "orders", kind(kind.options()), random, detector=detector, dropped=self.dropped.append
        )
        retry = RetryPolicy(RetryOptions(on=RETRIED, attempts=4))
        self.plan = CallPlan("orders", self.cluster, RPC, random, retry=retry, max_attempts=4, timeout=1e6)
        self.now = 1000.0
        self.held: dict[Attempt, None] = {}
        self.seen: set[Node] = set()
        self.ready = False
        self.work: Any = None
        self.published: list[str] = []

    def note(self) -> None:
        self.seen |= {*self.cluster.nodes.values(), *self.cluster.departed.values()}

    @rule(
        hosts=st.lists(st.sampled_from(HOSTS), unique=True),
        priority=st.integers(0, 1),
        weight=st.sampled_from([0, 1, 100]),
    )
    def apply(self, hosts: list[str], priority: int, weight: float) -> None:
        """A whole set at once; an older one that was under way is given up."""
        self.begin(hosts, priority, weight)
        self.end()

    @rule(
        hosts=st.lists(st.sampled_from(HOSTS), unique=True),
        priority=st.integers(0, 1),
        weight=st.sampled_from([0, 1, 100]),
    )
    def begin(self, hosts: list[str], priority: int, weight: float) -> None:
        """The first slice of a set."""
        if self.work is not None:
            self.work.close()
        endpoints = [
            Endpoint(
                host=host, port=1, priority=priority * (index % 2), weight=weight if index % 3 == 0 else 100
            )
            for index, host in enumerate(hosts)
        ]
        self.pending = hosts
        self.work = self.cluster.apply(EndpointSet(endpoints), self.now)
        next(self.work)
        self.note()

    @rule()
    def end(self) -> None:
        """The rest of the slices."""
        if self.work is not None:
            for _ in self.work:
                pass
            self.work = None
            self.ready = True
            self.published = self.pending
            self.note()

    @rule(target=calls, buffered=st.booleans())
    def open(self, buffered: bool) -> Any:
        """A call that has an attempt in flight, or None."""
        call = self.plan.open(Request(), self.now, IDEMPOTENT | REPLAYABLE | (BUFFERED if buffered else 0))
        return self.attempt(call)

    def attempt(self, call: Any) -> Any:
        try:
            step = call.begin(self.now)
        except MeshError:
            call.close(self.now)
            assert not self.cluster.nodes
            return None
        if not isinstance(step, Attempt):
            assert not self.ready
            call.close(self.now)
            return None
        assert step.node in self.cluster.nodes.values()
        self.held[step] = None
        return call

    @rule(target=streams, call=consumes(calls), outcome=st.sampled_from(OUTCOMES))
    def end_of_attempt(self, call: Any, outcome: Outcome) -> Any:
        """An attempt ends; a retry goes on with another one, also through later sets."""
        return self.finish(call, outcome)

    def finish(self, call: Any, outcome: Outcome) -> Any:
        while call is not None:
            attempt = call.last
            delay = call.finish(attempt, outcome, self.now)
            if not attempt.held:
                del self.held[attempt]
            if delay is None:
                call.close(self.now)
                return attempt if attempt.held else None
            call = self.attempt(call)
        return None

    @rule(bad=st.sampled_from(HOSTS), count=st.integers(4, 12))
    def burst(self, bad: str, count: int) -> None:
        """Many calls, one after the other, while one host fails."""
        for _ in range(count):
            call = self.plan.open(Request(), self.now, BUFFERED)
            if self.attempt(call) is not None:
                self.finish(call, OUTCOMES[3] if call.last.node.host == bad else OK)

    @rule(call=consumes(calls))
    def cancel(self, call: Any) -> None:
        """A caller gives up."""
        if call is not None:
            call.close(self.now)
            del self.held[call.last]

    @rule(attempt=consumes(streams), how=st.sampled_from(["close", "break", "abandon"]))
    def body(self, attempt: Attempt | None, how: str) -> None:
        """A streamed body is closed, breaks, or is dropped."""
        if attempt is None:
            return
        if how == "abandon":
            attempt.abandon()
            self.cluster.collect(self.now)
        else:
            attempt.release(self.now, OUTCOMES[3] if how == "break" else None)
        del self.held[attempt]

    @rule(seconds=st.sampled_from([0.1, 2.0, DEPARTED_FOR - 1, DEPARTED_FOR]))
    def pass_time(self, seconds: float) -> None:
        """Time passes and the control path ticks; a set does not take that long to apply."""
        if self.work is not None:
            seconds = min(seconds, 0.1)
        self.now += seconds
        self.cluster.forget(self.now)

    @invariant()
    def in_flight_is_exact(self) -> None:
        """Each node counts the leases that are out, no more and no less."""
        known = {*self.cluster.nodes.values(), *self.cluster.departed.values()}
        for node in self.seen | known:
            assert node.in_flight == sum(attempt.node is node for attempt in self.held)
            waiting = [attempt.started for attempt in node.waiting or ()]
            assert node.oldest == min(waiting, default=float("inf"))

    @invariant()
    def no_node_is_lost(self) -> None:
        """Every Node ever made is published, departed or dropped, in exactly one place."""
        published, departed = set(self.cluster.nodes.values()), set(self.cluster.departed.values())
        assert not published & departed
        lost = self.seen - published - departed - set(self.dropped)
        assert not lost
        assert not published & set(self.dropped)
        assert not any(node.in_flight for node in self.dropped)
        assert all(node.departed == float("inf") for node in published)
        assert sorted(node.host for node in published) == sorted(self.published)

    @invariant()
    def ready_never_falls_back(self) -> None:
        """Once there was a set, there is one."""
        assert self.cluster.ready == self.ready
        assert (self.cluster.picker is not None) == bool(self.cluster.nodes)

    @invariant()
    def ejected_are_published(self) -> None:
        """The detector counts nobody who is away."""
        detector = self.cluster.detector
        assert detector is not None
        out = sum(node.health is not None and node.health.ejected for node in self.cluster.nodes.values())
        assert detector.describe()["ejected"] == out
        assert detector.panic == (out > detector.allowed)


TestChurn = Churn.TestCase
TestChurn.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
