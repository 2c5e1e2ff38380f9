"""The detector as a state machine: never all out, never beyond the share without panic, always back again."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from meshlib.core.outcome import CANCELLED, OK, Kind, Outcome
from meshlib.resilience.outlier import EjectionOptions, NodeHealth, OutlierDetector

BAD = Outcome(Kind.FAILURE, "reset", "reset the connection")
THROTTLED = Outcome(Kind.THROTTLED, "throttled", "answered 429")


class Node:
    def __init__(self, number: int) -> None:
        self.address = f"10.0.0.{number}:80"
        self.barrier = 0.0
        self.health: NodeHealth | None = None

    @property
    def ejected(self) -> bool:
        return self.health is not None and self.health.ejected


class OutlierMachine(RuleBasedStateMachine):
    """Attempts on random nodes end in random ways; nodes come and go; probes get lost."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.draw = 0.5
        self.made = 0
        self.events: list[tuple[str, int]] = []
        self.nodes: list[Node] = []
        self.open: list[tuple[Node, bool]] = []

    @initialize(count=st.integers(1, 6), share=st.sampled_from([0.0, 0.3, 0.5, 1.0]))
    def build(self, count: int, share: float) -> None:
        """A cluster of one to six."""
        self.detector = OutlierDetector(
            EjectionOptions(max_share=share),
            lambda: self.draw,
            lambda event: self.events.append((event.kind, len(self.nodes))),
            "orders",
        )
        for _ in range(count):
            self.add()

    @rule(seconds=st.sampled_from([0.05, 0.4, 1.0, 5.0, 30.0]), draw=st.floats(0.0, 0.99))
    def wait(self, seconds: float, draw: float) -> None:
        """Time passes."""
        self.now += seconds
        self.draw = draw

    def claim(self, node: Node) -> bool:
        return self.detector.claimed(node, self.now) if node.ejected else False

    @rule(
        pick=st.integers(0, 5),
        outcome=st.sampled_from([OK, BAD, BAD, THROTTLED, CANCELLED]),
        times=st.integers(1, 7),
    )
    def attempt(self, pick: int, outcome: Outcome, times: int) -> None:
        """Some attempts on one node, if it may be used, with the same end."""
        node = self.nodes[pick % len(self.nodes)]
        for _ in range(times):
            if self.now >= node.barrier:
                self.detector.record(node, outcome, self.now, self.claim(node))

    @rule(outcome=st.sampled_from([OK, BAD]), bad=st.sets(st.integers(0, 5)), times=st.integers(1, 6))
    def traffic(self, outcome: Outcome, bad: set[int], times: int) -> None:
        """Even traffic on all that may be used, some of it bad."""
        for _ in range(times):
            for number, node in enumerate(self.nodes):
                if self.now >= node.barrier:
                    result = BAD if number in bad else outcome
                    self.detector.record(node, result, self.now, self.claim(node))

    @rule(pick=st.integers(0, 5))
    def begin(self, pick: int) -> None:
        """An attempt that ends later, or never."""
        node = self.nodes[pick % len(self.nodes)]
        if self.now >= node.barrier:
            self.open.append((node, self.claim(node)))

    @precondition(lambda self: self.open)
    @rule(outcome=st.sampled_from([OK, BAD, THROTTLED, CANCELLED]), late=st.sampled_from([0.0, 3.0]))
    def end(self, outcome: Outcome, late: float) -> None:
        """Its result arrives, its clock read somewhat earlier."""
        node, probe = self.open.pop(0)
        if node in self.nodes:
            self.detector.record(node, outcome, self.now - late, probe)

    @precondition(lambda self: len(self.nodes) < 6)
    @rule()
    def add(self) -> None:
        """A node joins."""
        self.made += 1
        self.nodes.append(Node(self.made))
        self.detector.resize(len(self.nodes), self.now)

    @precondition(lambda self: len(self.nodes) > 1)
    @rule(pick=st.integers(0, 5))
    def remove(self, pick: int) -> None:
        """A node leaves."""
        node = self.nodes.pop(pick % len(self.nodes))
        self.detector.forget(node, self.now)
        self.detector.resize(len(self.nodes), self.now)
        assert (node.health, node.barrier) == (None, 0.0)

    @rule(span=st.sampled_from([5.0, 10.0]), share=st.sampled_from([0.0, 0.5, 1.0]))
    def configure(self, span: float, share: float) -> None:
        """Options change under way."""
        self.detector.configure(EjectionOptions(window=span, max_share=share), self.nodes, self.now)

    @rule()
    def recovers(self) -> None:
        """When everything answers again, every node is back after the longest time out."""
        self.now += 91.0
        for node in self.nodes:
            assert self.now >= node.barrier
            self.detector.record(node, OK, self.now, self.claim(node))
        assert not any(node.ejected or node.barrier for node in self.nodes)
        assert not self.detector.panic

    @invariant()
    def somebody_is_always_there(self) -> None:
        """Barred nodes are ejected, within the share and never all; beyond it all are open and it is called panic."""
        if not self.nodes:
            return
        out = [node for node in self.nodes if node.ejected]
        barred = [node for node in self.nodes if node.barrier > 0.0]
        allowed = self.detector.allowed
        assert allowed < len(self.nodes)
        assert all(node.ejected for node in barred)
        assert self.detector.panic == (len(out) > allowed)
        assert len(barred) == (0 if self.detector.panic else len(out))
        assert self.detector.describe() == {
            "ejected": len(out),
            "allowed": allowed,
            "panic": self.detector.panic,
        }

    @invariant()
    def one_of_one_is_never_ejected(self) -> None:
        """Nothing is ejected while there is one node."""
        assert ("ejection", 1) not in self.events
        if len(self.nodes) == 1:
            assert not self.nodes[0].ejected

    @invariant()
    def the_cluster_is_the_sum_of_its_nodes(self) -> None:
        """ "The rest" is exact: the cluster's window is the sum of its nodes' windows."""
        if not self.nodes:
            return
        whole = self.detector._window
        parts = [node.health.window for node in self.nodes if node.health is not None]
        # Copies are rolled: looking must not move the detector's own windows.
        whole, *parts = (deepcopy(window) for window in (whole, *parts))
        for window in (whole, *parts):
            window.roll(self.now)
        assert whole.good == sum(part.good for part in parts)
        assert whole.bad == sum(part.bad for part in parts)


TestOutlier = OutlierMachine.TestCase
TestOutlier.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
