"""Cluster: the nodes of one (service, subset), who may have which, and what became of it.

The lock guards counters, never a call: picks run outside it, a claim and a settlement are a few statements inside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

from meshlib.balancing.priority import by_priority
from meshlib.core.deadline import NEVER
from meshlib.core.hint import Hint
from meshlib.core.outcome import Outcome
from meshlib.core.wait import Wait
from meshlib.engine.attempt import Attempt
from meshlib.engine.node import Node
from meshlib.resilience.backoff import doubled, spread

if TYPE_CHECKING:
    from meshlib.balancing.base import Balancer, Picker
    from meshlib.core.endpoint import Key
    from meshlib.core.hint import Hints
    from meshlib.core.snapshot import EndpointSet
    from meshlib.engine.call import Call
    from meshlib.resilience.outlier import EjectionOptions, OutlierDetector

__all__ = ["PICKS", "Cluster"]

PICKS = 4
"""Picks before a scan: 0.25^4 is under 1 % when half of the nodes are out (Finagle's maxEffort)."""

DEPARTED_FOR = 30.0
"""How long the memory of a node outlives its address: a flapping registry must not wipe what was learned."""

UNREACHABLE_FIRST, UNREACHABLE_LONGEST = 1.0, 10.0
"""Seconds, on average, between attempts to reach a node that refuses connections: doubling from the first to the longest."""

_SLICE = 128
_WORST = (10, 0)


class Cluster:
    """Created once per (service, subset) and kept over policies. Thread-safe.

    `ready` turns True with the first published set and never back; `problem` says why there is none yet.
    """

    def __init__(
        self,
        name: str,
        balancer: Balancer,
        random: Callable[[], float],
        *,
        subset: str = "",
        detector: OutlierDetector | None = None,
        hints: Hints | None = None,
        dropped: Callable[[Node], None] | None = None,
    ) -> None:
        self.name = name
        self.subset = subset
        self.random = random
        self.hints = hints
        self._unreachable: dict[Key, int] = {}
        """Nodes that no connection could be made to, and how often that was found, until one can."""
        self.detector = detector
        self.dropped = dropped
        self.lock: Lock = Lock()
        self.picker: Picker | None = None
        self.nodes: dict[Key, Node] = {}
        self.departed: dict[Key, Node] = {}
        self.ready: bool = False
        self.problem = "no answer from discovery yet"
        self.snapshot: EndpointSet | None = None
        self.abandoned: deque[Attempt | Call] = deque()
        """What finalisers could not give back themselves, because they must not take a lock (house rule 11)."""
        self._expecting: dict[Wait, None] = {}
        self.use(balancer)

    def use(self, balancer: Balancer) -> None:
        """Pick with `balancer` from now on; what the nodes have learned stays."""
        self.balancer = balancer
        self._observe: Callable[[Node, Outcome, float, float], None] | None = getattr(
            balancer, "observe", None
        )
        self._waited: Callable[[Node, float, float], None] | None = getattr(balancer, "waited", None)
        if self.nodes:
            self.picker = self._picker(list(self.nodes.values()))

    def configure(
        self,
        balancer: Balancer | None,
        detector: OutlierDetector | None,
        ejection: EjectionOptions | None,
        now: float,
    ) -> None:
        """Follow a changed policy: another balancer (None keeps it), ejection on with these options, or off."""
        if balancer is not None:
            self.use(balancer)
        with self.lock:
            present = self.detector
            if ejection is None:
                if present is not None:
                    for node in (*self.nodes.values(), *self.departed.values()):
                        present.forget(node, now)
                self.detector = None
            elif present is None:
                self.detector = detector
                if detector is not None:
                    detector.resize(len(self.nodes), now)
            elif present.options != ejection:
                present.configure(ejection, (*self.nodes.values(), *self.departed.values()), now)

    # --- data path ---------------------------------------------------------------------------------------------------

    def claim(self, call: Call, now: float, until: float, picks: int = PICKS) -> Attempt | None:
        """Pick a node and take it: in-flight count, probe. None when the set is empty or has not come yet.

        `picks` is how often the picker may still be asked.
        """
        if self.abandoned:
            self.collect(now)
        picker = self.picker
        if picker is None:
            return None
        node: Any = picker.pick(call)
        if node is not None and node not in call.tried:
            with self.lock:
                if node.barrier <= now:
                    attempt = Attempt(call, node, now, until)
                    if node.health is not None and node.health.ejected and self.detector is not None:
                        attempt.probe = self.detector.claimed(node, now)
                    return attempt
        if node is None or picks == 1:
            return self._scan(call, now, until)
        return self.claim(call, now, until, picks - 1)

    def settle(self, attempt: Attempt, outcome: Outcome, now: float, held: bool) -> None:
        """An attempt was classified. Its lease is given back too unless `held` by a body that is still open."""
        node = attempt.node
        started = attempt.started
        took = (attempt.head or now) - (attempt.opened or started)
        stale = False
        with self.lock:
            waiting: Any = node.waiting  # there since the claim
            del waiting[attempt]
            if started <= node.oldest:
                node.oldest = next(iter(waiting)).started if waiting else NEVER
            if outcome.ok:
                if self._observe is not None:
                    self._observe(node, outcome, took, now)
                if self._unreachable:
                    self._unreachable.pop(node.key, None)
            else:
                stale = self._spoilt(node, outcome, took, now)
            if self.detector is not None and node.departed == NEVER:
                self.detector.record(node, outcome, now, attempt.probe)
                attempt.probe = False
                if node.health is not None and node.health.ejected and not self.detector.panic:
                    # Out for its time, and unlearned for its probe: what it was charged would keep every pick away from
                    # it for minutes after it is well again. The cold-start guard lets one attempt in at a time.
                    node.ewma = 0.0
            if not held:
                attempt.held = False
                node.in_flight -= 1
        if attempt.slot and not held:
            _free(attempt)
        if stale and self.hints is not None:
            self.hints.put(Hint("refresh", self.name, node.address))

    def _spoilt(self, node: Node, outcome: Outcome, took: float, now: float) -> bool:
        """An attempt did not succeed: whether so much cannot be reached that it is time to ask discovery again."""
        if not outcome.charged:
            if self._waited is not None:
                self._waited(node, took, now)
            return False
        node.failures += 1
        if self._observe is not None:
            self._observe(node, outcome, took, now)
        if outcome.cause != "unsent" or node.departed != NEVER:
            return False
        self._unreached(node, now)
        return 2 * len(self._unreachable) >= len(self.nodes)

    def _unreached(self, node: Node, now: float) -> None:
        """No connection could be made: nothing goes there for a moment, then whoever comes first tries again.

        What a connect says is that the instance is not there now, and nothing about its speed: it is unlearned, so that it
        has its share again as soon as it is back, instead of fading in over minutes (Finagle's fail-fast).
        """
        if node.barrier > now:
            return  # one of several attempts that found out together
        times = self._unreachable.get(node.key, 0)
        self._unreachable[node.key] = times + 1
        if len(self.nodes) > 1:
            pause = doubled(UNREACHABLE_FIRST, UNREACHABLE_LONGEST, times)
            node.barrier = now + spread(pause, 0.5, self.random)
            node.ewma = 0.0

    def release(self, attempt: Attempt, now: float, outcome: Outcome | None = None) -> None:
        """A streamed body ended: the lease comes back, and a failure in the body is reported to node and detector."""
        node = attempt.node
        with self.lock:
            if not attempt.held:
                return
            attempt.held = False
            node.in_flight -= 1
            if outcome is not None and outcome.charged:
                node.failures += 1
                if self.detector is not None and node.departed == NEVER:
                    self.detector.record(node, outcome, now, False)
        if attempt.slot:
            _free(attempt)

    def _scan(self, call: Call, now: float, until: float) -> Attempt | None:
        """Picks kept failing. Look at every node once; then panic: better a node believed bad than no attempt at all."""
        nodes = list(self.nodes.values())
        if not nodes:
            return None
        tried = call.tried
        start = int(self.random() * len(nodes))
        found, best = nodes[start], _WORST
        with self.lock:
            for index in range(start, start + len(nodes)):
                node = nodes[index % len(nodes)]
                rank = _rank(node, now, tried)
                if rank < best:
                    found, best = node, rank
                    if not rank[0]:
                        break
            attempt = Attempt(call, found, now, until)
            if found.health is not None and found.health.ejected and self.detector is not None:
                attempt.probe = self.detector.claimed(found, now)
        return attempt

    def collect(self, now: float) -> None:
        """Settle what finalisers left: bodies and calls that were dropped without being closed."""
        while True:
            try:
                left = self.abandoned.popleft()
            except IndexError:
                return
            if isinstance(left, Attempt):
                self.release(left, now)
            else:
                left.close(now)

    # --- control path ------------------------------------------------------------------------------------------------

    def apply(self, snapshot: EndpointSet, now: float) -> Generator[None, None, None]:
        """Make `snapshot` the set to pick from. A generator: the control path pauses at every yield.

        Nodes whose key stays, or comes back in time, keep everything; calls go on with the old picker until one assignment
        replaces it. One at a time for each cluster; one that is given up midway leaves the set as it was.
        """
        nodes: dict[Key, Node] = {}
        back: list[Node] = []
        levels: set[int] = set()
        known, departed = self.nodes, self.departed
        endpoints = iter(snapshot.endpoints)
        while batch := list(islice(endpoints, _SLICE)):
            for endpoint in batch:
                key = (endpoint.host, endpoint.port)
                node = known.get(key)
                if node is None:
                    node = departed.get(key)
                    if node is None:
                        node = Node(endpoint)
                    else:
                        node.departed = now  # so that no tick between two slices forgets it
                        back.append(node)
                node.endpoint = endpoint
                nodes[key] = node
                levels.add(endpoint.priority)
            yield
        gone: list[Node] = []
        keys = iter(known)
        while some := list(islice(keys, 4 * _SLICE)):
            gone += [known[key] for key in some if key not in nodes]
            yield
        everyone = list(nodes.values())
        yield
        picker = (self._build if len(levels) == 1 else self._picker)(everyone) if everyone else None
        yield
        with self.lock:
            self._swap(nodes, gone, back, now)
            self.picker = picker
            self.snapshot = snapshot
            self.ready = True
            expecting, self._expecting = self._expecting, {}
        for wait in list(expecting):
            wait.grant()
            wait.wake()
        self.forget(now)

    def _swap(self, nodes: dict[Key, Node], gone: list[Node], back: list[Node], now: float) -> None:
        """Under the lock: `nodes` are the set. A node that is away is neither compared nor counted with the others."""
        detector, departed = self.detector, self.departed
        for node in gone:
            node.departed = now
            departed[node.key] = node
            if detector is not None:
                detector.leave(node, now)
        for node in back:
            node.departed = NEVER
            departed.pop(node.key, None)
            if detector is not None:
                detector.rejoin(node)
        self.nodes = nodes
        self._unreachable.clear()
        if detector is not None:
            detector.resize(len(nodes), now)

    def forget(self, now: float) -> None:
        """Drop the memory of nodes that left long enough ago and serve no call any more."""
        self.collect(now)
        with self.lock:
            old = [
                node
                for node in self.departed.values()
                if now - node.departed >= DEPARTED_FOR and not node.in_flight
            ]
            for node in old:
                del self.departed[node.key]
                if self.detector is not None:
                    self.detector.forget(node, now)
        if self.dropped is not None:
            for node in old:
                self.dropped(node)

    def expect(self, until: float) -> Wait:
        """A turn that comes with the first set."""
        wait = _FirstSet(until, self._expecting)
        with self.lock:
            if self.ready:
                wait.grant()
            else:
                self._expecting[wait] = None
        return wait

    def emptiness(self) -> str:
        """Why there is no node to be had, for the error."""
        if not self.ready:
            return self.problem
        source = self.snapshot.source if self.snapshot is not None else ""
        return f"discovery ({source or 'static'}) knows no instance of {self.name}"

    def _picker(self, nodes: list[Node]) -> Picker:
        return by_priority(nodes, self._build)

    def _build(self, nodes: Any) -> Picker:
        return self.balancer.build(nodes, self.random)


def _rank(node: Node, now: float, tried: tuple[Node, ...]) -> tuple[int, int]:
    """How little a node is wanted: usable and not tried, out but not tried, usable and not the one that just failed, any but
    that one, any.

    What this very call has met is fresher evidence than what put a node out: that one may be back by now. Weightless nodes
    come after all others, and primary levels before their fallbacks.
    """
    if tried and node is tried[-1]:
        rank = 4
    else:
        rank = (2 if node in tried else 0) + (1 if node.barrier > now else 0)
    endpoint = node.endpoint
    return rank if endpoint.weight > 0 else rank + 5, endpoint.priority


class _FirstSet(Wait):
    """A Wait that leaves with its waiter: a source that never answers must not be remembered by every call it failed."""

    __slots__ = ("_line",)

    def __init__(self, until: float, line: dict[Wait, None]) -> None:
        super().__init__("snapshot", until)
        self._line = line

    def abandon(self) -> None:
        super().abandon()
        self._line.pop(self, None)


def _free(attempt: Attempt) -> None:
    """Give the limit's slot back; outside the cluster's lock, because it may wake a waiter."""
    attempt.slot = False
    attempt.call.plan.limiter.release()  # type: ignore[union-attr]  # it gave the slot
