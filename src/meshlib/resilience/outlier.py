"""OutlierDetector: take an instance out of a cluster while it does worse than the others, and try it again.

The rules are Finagle's failure accrual and Linkerd's unified breaker (consecutive run, exact success ratio, one probe)
with what both lack: a node goes only while the rest of the cluster does better. A service that fails everywhere has no
outliers, and is the circuit breaker's business. Envoy's standard-deviation rule is not used, because with two bad
nodes of five it ejects neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar, Protocol

from msgspec import Meta

from meshlib.core.listener import Event
from meshlib.core.options import Options, Span
from meshlib.core.outcome import Outcome
from meshlib.core.windows import Window
from meshlib.resilience.backoff import doubled, spread

__all__ = ["Ejectable", "EjectionOptions", "NodeHealth", "OutlierDetector"]

_LONG_AGO = float("-inf")
# A probe that has not come back after the default timeout of a whole call is lost (or very late): the next claim is
# another one. An endless barrier would leave the node out for ever if its one probe were never settled.
_LEASE = 10.0
_ROUNDING = 1e-9


class EjectionOptions(Options, frozen=True, kw_only=True):
    """`ejection`: when an instance is taken out, for how long, and how many may be out."""

    group: ClassVar[str] = "ejection"

    success_ratio: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1.0,
            description="Ejected below this share of successes (Finagle, Linkerd: 0.8); 0 never.",
        ),
    ] = 0.8
    minimum_requests: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Attempts in the window below which the ratio says nothing (Finagle: 5).",
        ),
    ] = 5
    window: Annotated[
        Span, Meta(description="How far back attempts are counted, in ten exact buckets (Linkerd: 10 s).")
    ] = 10.0
    consecutive_failures: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(
            description="Failures in a row that eject whatever the ratio (Envoy, Finagle: 5); none turns the rule off."
        ),
    ] = 5
    better_by: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1.0,
            description="How much higher the success ratio of the other nodes must be. Without it one outage of the "
            "service ejects its nodes one after another (envoy#2671, istio#20135).",
        ),
    ] = 0.1
    base: Annotated[
        Span, Meta(description="First time out, on average (Linkerd: 1 s): a restart is quick to return.")
    ] = 1.0
    maximum: Annotated[
        Span,
        Meta(description="What `base` doubles to while probes fail, before its jitter (Linkerd: 60 s)."),
    ] = 60.0
    jitter: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1.0,
            description="Plus or minus this share of the time out, so that clients do not probe a weak node together "
            "(Linkerd: 0.5).",
        ),
    ] = 0.5
    max_share: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1.0,
            description="Share of the nodes that may be out, one at least of two or more; beyond it all are used. "
            "Envoy panics below one half too; its cap of 10 % ejects nothing in clusters under ten (envoy#27909).",
        ),
    ] = 0.5


class NodeHealth:
    """What the detector remembers of one node, from its first recorded attempt on.

    `window` holds its results, `run` its failures in a row, `ejections` how often it was taken out in all. While
    `ejected`, it is due for its probe at `until` (monotonic seconds), and `probing` says that one is under way.
    """

    __slots__ = ("ejected", "ejections", "exponent", "mark", "probing", "restored", "run", "until", "window")

    def __init__(self, span: float) -> None:
        self.window: Window = Window(span)
        self.run: int = 0
        self.mark: tuple[int, int] = (0, 0)
        self.ejections: int = 0
        self.exponent: int = 0
        self.ejected: bool = False
        self.probing: bool = False
        self.until: float = 0.0
        self.restored: float = _LONG_AGO


class Ejectable(Protocol):
    """A node, as the detector sees it.

    `barrier` is 0.0 while the node may be used, else the monotonic time before which it may not. `health` is None
    until its first recorded attempt. `address` names it in events.
    """

    barrier: float
    health: NodeHealth | None

    @property
    def address(self) -> str:
        """`host:port`, for people."""
        ...


class OutlierDetector:
    """Ejection for one cluster. Every method is called under the cluster's lock: there is none in here.

    All are O(1) but those that begin or end a panic or apply options. `emit` gets the Events "ejection", "restored" and
    "panic" and must be as plain as `deque.append`. `nodes` is told by `resize`; nothing is ejected before that.
    """

    __slots__ = (
        "_bad",
        "_emit",
        "_good",
        "_latest",
        "_nodes",
        "_options",
        "_out",
        "_random",
        "_service",
        "_window",
        "panic",
    )

    def __init__(
        self,
        options: EjectionOptions,
        random: Callable[[], float],
        emit: Callable[[Event], object] | None = None,
        service: str = "",
    ) -> None:
        self._options = options
        self._random = random
        self._emit = emit
        self._service = service
        self._window = Window(options.window)  # always the sum of the nodes' windows
        self._good = self._bad = 0  # since the beginning, for the marks of runs
        self._latest = _LONG_AGO
        self._nodes = 0
        self._out: dict[int, tuple[Ejectable, NodeHealth]] = {}
        self.panic: bool = False
        """Whether more would be out than may be, so that ejected nodes are used too."""

    @property
    def options(self) -> EjectionOptions:
        """What is in force."""
        return self._options

    @property
    def allowed(self) -> int:
        """How many nodes may be out: never all of them, one at least of two or more."""
        return (
            min(self._nodes - 1, max(1, int(self._nodes * self._options.max_share))) if self._nodes > 1 else 0
        )

    # the hot path

    def record(self, node: Ejectable, outcome: Outcome, now: float, probe: bool) -> None:
        """One attempt on `node` was classified; `probe` is what `claimed` answered for it."""
        ok = outcome.ok
        if not ok and not outcome.charged:
            if probe:
                self._give_back(node)
            return
        # Callers read the clock before they take the lock. One bucket for both windows keeps their difference exact.
        if now < self._latest:
            now = self._latest
        else:
            self._latest = now
        health = node.health
        if health is None:
            health = node.health = NodeHealth(self._options.window)
        own, whole = health.window, self._window
        if now >= own.edge:
            own.roll(now)
            whole.roll(now)  # its edge is never before a node's
        if ok:
            own.good += 1
            whole.good += 1
            health.run = 0
            self._good += 1
            if health.ejected:
                self._judge(node, health, True, now, probe)
        else:
            self._charge(node, health, outcome, now, probe)

    def claimed(self, node: Ejectable, now: float) -> bool:
        """An ejected node is about to be used: whether this attempt is its probe. Others then wait for its result."""
        health = node.health
        if health is None or not health.ejected or self.panic or now < node.barrier:
            return False
        health.probing = True
        node.barrier = now + _LEASE
        return True

    # accrue

    def _charge(self, node: Ejectable, health: NodeHealth, outcome: Outcome, now: float, probe: bool) -> None:
        health.window.bad += 1
        self._window.bad += 1
        if outcome.failed:
            if health.run == 0:
                health.mark = (self._good, self._bad)
            health.run += 1
        elif health.run:
            # A throttle is no failure in a row, but it is this node's own: the rest must not be charged with it.
            health.mark = (health.mark[0], health.mark[1] + 1)
        self._bad += 1
        if health.ejected:
            self._judge(node, health, False, now, probe)
        elif reason := self._tripped(health):
            self._eject(node, health, reason, now)

    def _tripped(self, health: NodeHealth) -> str:
        options, own = self._options, health.window
        most = options.consecutive_failures
        if most is not None and health.run >= most and self._run_is_local(health):
            return f"{health.run} failures in a row"
        total = own.good + own.bad
        if (
            total >= options.minimum_requests
            and own.good < options.success_ratio * total
            and self._better(self._window.good - own.good, self._window.bad - own.bad, own.good / total)
        ):
            return f"{own.bad} of {total} attempts failed in {options.window:g} s"
        return ""

    def _run_is_local(self, health: NodeHealth) -> bool:
        """Compared over the run's own time, because a busy node's window is full of good answers from before it."""
        good, bad = health.mark
        return self._better(self._good - good, self._bad - bad - health.run, 0.0)

    def _better(self, good: int, bad: int, ratio: float) -> bool:
        """Whether a rest with these counts does better than `ratio`. One that was not asked does not."""
        total = good + bad
        return total > 0 and good / total - ratio >= self._options.better_by - _ROUNDING

    # eject

    def _eject(self, node: Ejectable, health: NodeHealth, reason: str, now: float) -> None:
        if self._nodes < 2:
            return
        if now - health.restored >= self._options.window:
            health.exponent = 0
        health.ejected = True
        self._out[id(node)] = (node, health)
        self._bar(node, health, reason, now)
        self._settle(now)

    def _bar(self, node: Ejectable, health: NodeHealth, reason: str, now: float) -> None:
        options = self._options
        seconds = doubled(options.base, options.maximum, health.exponent)
        if seconds < options.maximum:
            health.exponent += 1
        seconds = spread(seconds, options.jitter, self._random)
        health.until = now + seconds
        health.ejections += 1
        if not self.panic:
            node.barrier = health.until
        facts = {"node": node.address, "reason": reason, "seconds": seconds, "out": len(self._out)}
        self._tell("ejection", now, {**facts, "nodes": self._nodes})

    # probe

    def _give_back(self, node: Ejectable) -> None:
        health = node.health
        if health is not None and health.ejected and health.probing:
            health.probing = False
            if not self.panic:
                node.barrier = health.until  # long past: the next claim is the probe

    def _judge(self, node: Ejectable, health: NodeHealth, ok: bool, now: float, probe: bool) -> None:
        """A result of an ejected node: the probe's counts and, in panic, the first once its time is up.

        Others were begun before the ejection, or say nothing that the next probe will not.
        """
        if not (probe and health.probing) and not (self.panic and now >= health.until):
            return
        health.probing = False
        if ok:
            self._restore(node, health, now)
        else:
            self._bar(node, health, "its probe failed", now)

    def _restore(self, node: Ejectable, health: NodeHealth, now: float) -> None:
        health.ejected = health.probing = False
        health.run = 0
        health.restored = now
        self._window.remove(health.window, now)
        health.window.reset()
        node.barrier = 0.0
        del self._out[id(node)]
        self._tell("restored", now, {"node": node.address, "out": len(self._out), "nodes": self._nodes})
        self._settle(now)

    # share and panic

    def _settle(self, now: float) -> None:
        panic = len(self._out) > self.allowed
        if panic == self.panic:
            return
        self.panic = panic
        for node, health in self._out.values():
            node.barrier = 0.0 if panic else health.until
        facts = {"on": panic, "out": len(self._out), "allowed": self.allowed, "nodes": self._nodes}
        self._tell("panic", now, facts)

    def resize(self, nodes: int, now: float) -> None:
        """The cluster has so many nodes now. An only node has nobody to be worse than: it is restored."""
        self._nodes = nodes
        if nodes < 2:
            now = self._advance(now)
            for node, health in list(self._out.values()):
                self._restore(node, health, now)
        self._settle(now)

    def leave(self, node: Ejectable, now: float) -> None:
        """The node is not in the cluster for now: the others are no longer compared or counted with it. `resize` follows.

        Its ejection is remembered, so that a flapping registry does not bring a bad instance back.
        """
        health = node.health
        if health is not None:
            self._window.remove(health.window, self._advance(now))
            health.window.reset()
            self._out.pop(id(node), None)

    def rejoin(self, node: Ejectable) -> None:
        """A node that left is back, as bad as it was. `resize` follows."""
        health = node.health
        if health is not None and health.ejected:
            health.probing = False  # whatever had been sent to it said nothing to us
            self._out[id(node)] = (node, health)
            node.barrier = 0.0 if self.panic else health.until

    def forget(self, node: Ejectable, now: float) -> None:
        """The node has left the cluster; if it comes back, nothing is held against it."""
        health = node.health
        if health is not None:
            now = self._advance(now)
            self._window.remove(health.window, now)
        node.health = None
        node.barrier = 0.0
        if self._out.pop(id(node), None) is not None:
            self._settle(now)

    def configure(self, options: EjectionOptions, nodes: Iterable[Ejectable], now: float) -> None:
        """Apply changed options in place, to the cluster's `nodes` too.

        Windows of another length start empty; what is ejected stays so until its time is up.
        """
        self._options = options
        self._window.resize(options.window)
        for node in nodes:
            if node.health is not None:
                node.health.window.resize(options.window)
        self._settle(now)

    def describe(self) -> dict[str, Any]:
        """Plain values for `state()`."""
        return {"ejected": len(self._out), "allowed": self.allowed, "panic": self.panic}

    def _advance(self, now: float) -> float:
        self._latest = max(now, self._latest)
        return self._latest

    def _tell(self, kind: str, now: float, facts: dict[str, Any]) -> None:
        if self._emit is not None:
            self._emit(Event(kind, self._service, now, facts))
