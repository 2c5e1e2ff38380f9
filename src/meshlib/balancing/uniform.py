"""Random: every node with probability proportional to its weight. The baseline that needs no state at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from meshlib.balancing.base import Picked, Picker, PickingCall, Random
from meshlib.balancing.weights import Draw, live, uneven
from meshlib.core.options import Options

__all__ = ["Only", "Uniform", "UniformOptions"]


class UniformOptions(Options, frozen=True, kw_only=True):
    """Random has no options."""

    group: ClassVar[str] = "balancer.random"


class Uniform:
    """`balancer = "random"`."""

    options: ClassVar[type[Options]] = UniformOptions

    def __init__(self, options: Options) -> None:
        pass

    def build(self, nodes: Sequence[Picked], random: Random) -> Picker:
        """Uniform when the weights are equal, else by cumulative sums."""
        nodes = live(nodes)
        return _Weighted(nodes, random) if uneven(nodes) else _Equal(nodes, random)


class Only:
    """The picker of a set with one node."""

    __slots__ = ("_node",)

    def __init__(self, node: Picked) -> None:
        self._node = node

    def pick(self, call: PickingCall) -> Picked:
        """The node."""
        return self._node


class _Equal:
    __slots__ = ("_count", "_nodes", "_random")

    def __init__(self, nodes: Sequence[Picked], random: Random) -> None:
        self._nodes = list(nodes)
        self._count = len(nodes)
        self._random = random

    def pick(self, call: PickingCall) -> Picked:
        return self._nodes[int(self._random() * self._count)]


class _Weighted:
    __slots__ = ("_draw",)

    def __init__(self, nodes: Sequence[Picked], random: Random) -> None:
        self._draw = Draw(nodes, random)

    def pick(self, call: PickingCall) -> Picked:
        return self._draw.one()
