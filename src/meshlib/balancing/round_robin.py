"""Round robin: one after another, from a random start so that a fleet of clients does not march in step.

Unequal weights use the static stride schedule of gRPC's weighted round robin (gRFC A58): weights are scaled to
65,535, and in generation `g` node `i` is taken when its weight has earned a turn. O(1) memory, no lock, and a node
with twice the weight gets twice the picks, spread evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import ClassVar

from meshlib.balancing.base import Picked, Picker, PickingCall, Random
from meshlib.balancing.weights import live, uneven
from meshlib.core.options import Options

__all__ = ["RoundRobin", "RoundRobinOptions"]

_SCALE = 65535
_OFFSET = 32767


class RoundRobinOptions(Options, frozen=True, kw_only=True):
    """Round robin has no options."""

    group: ClassVar[str] = "balancer.round_robin"


class RoundRobin:
    """`balancer = "round_robin"`."""

    options: ClassVar[type[Options]] = RoundRobinOptions

    def __init__(self, options: Options) -> None:
        pass

    def build(self, nodes: Sequence[Picked], random: Random) -> Picker:
        """Plain rotation for equal weights, static stride otherwise."""
        nodes = live(nodes)
        start = int(random() * len(nodes))
        return _Stride(nodes, start) if uneven(nodes) else _Rotation(nodes, start)


class _Rotation:
    __slots__ = ("_count", "_next", "_nodes")

    def __init__(self, nodes: Sequence[Picked], start: int) -> None:
        self._nodes = list(nodes)
        self._count = len(nodes)
        self._next = count(start).__next__  # atomic, with and without the GIL

    def pick(self, call: PickingCall) -> Picked:
        return self._nodes[self._next() % self._count]


class _Stride:
    __slots__ = ("_count", "_next", "_nodes", "_weights")

    def __init__(self, nodes: Sequence[Picked], start: int) -> None:
        heaviest = max(node.endpoint.weight for node in nodes)
        self._nodes = list(nodes)
        self._weights = [max(1, round(node.endpoint.weight / heaviest * _SCALE)) for node in nodes]
        self._count = len(nodes)
        self._next = count(start).__next__

    def pick(self, call: PickingCall) -> Picked:
        # The heaviest node is taken in every generation, so the loop ends within one round.
        while True:
            generation, index = divmod(self._next(), self._count)
            weight = self._weights[index]
            if (weight * generation + index * _OFFSET) % _SCALE >= _SCALE - weight:
                return self._nodes[index]
