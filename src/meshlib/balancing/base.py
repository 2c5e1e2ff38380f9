"""The contract of balancers.

`Balancer.build(nodes, random)` runs on the control path after every change of the set and may take its time;
`Picker.pick(call)` runs on every attempt, outside the cluster's lock, in O(1) or O(log n), allocates nothing
and returns a node or None. The engine claims the node afterwards and picks again when the claim fails, so a pick is
advice, and a stale one is harmless (grpc-go: balancer builds, picker picks).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from meshlib.core.endpoint import Endpoint
from meshlib.core.options import Options
from meshlib.core.outcome import Outcome

__all__ = ["Balancer", "Learner", "Picked", "Picker", "PickingCall", "Random"]

Random = Callable[[], float]


class Picked(Protocol):
    """What a picker may read of a node. Written by the engine and by learners, under the cluster's lock."""

    endpoint: Endpoint
    in_flight: int
    ewma: float
    """Learned time to head in seconds; 0.0 while nothing has been learned."""
    stamp: float
    """When `ewma` last took a sample."""
    oldest: float
    """When the oldest attempt that still waits for its head began; inf when none waits."""

    calls: int
    """Attempts ever sent there, those in flight included."""
    failures: int
    """How many of them failed."""

    def usable(self, now: float) -> bool:
        """Whether a new attempt may go there: not ejected, draining or probing."""
        ...


class PickingCall(Protocol):
    """What a picker may read of the call it picks for."""

    @property
    def now(self) -> float:
        """The instant of this attempt, monotonic seconds."""
        ...

    @property
    def request(self) -> object:
        """The transport's own request object, for balancers that hash it."""
        ...

    @property
    def tried(self) -> Sequence[object]:
        """Nodes that earlier attempts of this call used, oldest first."""
        ...


class Picker(Protocol):
    """An immutable choice among a fixed list of nodes."""

    def pick(self, call: PickingCall) -> Picked | None:
        """A node, or None when there is none to offer."""
        ...


class Balancer(Protocol):
    """A factory of pickers with its own frozen options."""

    options: ClassVar[type[Options]]

    def __init__(self, options: Options) -> None: ...

    def build(self, nodes: Sequence[Picked], random: Random) -> Picker:
        """A picker over `nodes` (never empty)."""
        ...


class Learner(Protocol):
    """What a balancer adds when it learns from results. Called under the cluster's lock; no I/O, no waiting."""

    def observe(self, node: Picked, outcome: Outcome, seconds: float, now: float) -> None:
        """An attempt on `node` took `seconds` to its head (or to its failure)."""
        ...

    def waited(self, node: Picked, seconds: float, now: float) -> None:
        """The caller gave up on `node` after `seconds`: a lower bound of what it would have cost."""
        ...
