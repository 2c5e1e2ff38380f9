"""Power of two choices: of two random nodes the cheaper one, whatever "cheap" means to the balancer.

Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (1996); Finagle's P2CPick. Usability is compared
before cost: a cheap node that is out loses against a dear one that is in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from meshlib.balancing.base import Picked, Picker, PickingCall, Random
from meshlib.balancing.uniform import Only
from meshlib.balancing.weights import Draw, live, uneven

__all__ = ["Cost", "stand_in", "two_choices"]

Cost = Callable[[Picked, float], float]
_WALK = 8


def two_choices(nodes: Sequence[Picked], random: Random, cost: Cost) -> Picker:
    """Two distinct random nodes when the weights are equal; drawn by weight otherwise."""
    nodes = live(nodes)
    if len(nodes) == 1:
        return Only(nodes[0])
    return _Weighted(nodes, random, cost) if uneven(nodes) else _Equal(nodes, random, cost)


def stand_in(nodes: Sequence[Picked], random: Random, now: float, beside: Picked) -> Picked | None:
    """A usable node in place of a draw that is out, other than `beside`; None when a short walk from a random place finds none.

    Without it one node that is out makes every pick that draws it blind: with one of three out, a slow one of the other two
    would keep a third of the calls. The walk's direction is drawn too, or the node behind the missing one would get all
    of its draws.
    """
    count = len(nodes)
    index = int(random() * count)
    step = 1 if random() < 0.5 else -1
    for _ in range(min(count, _WALK)):
        node = nodes[index]
        if node is not beside and node.usable(now):
            return node
        index = (index + step) % count
    return None


class _Equal:
    __slots__ = ("_cost", "_count", "_nodes", "_others", "_random")

    def __init__(self, nodes: Sequence[Picked], random: Random, cost: Cost) -> None:
        self._nodes = list(nodes)
        self._count = len(nodes)
        self._others = self._count - 1
        self._random = random
        self._cost = cost

    def pick(self, call: PickingCall) -> Picked:
        first = int(self._random() * self._count)
        second = int(self._random() * self._others)
        # Drawn from one fewer and shifted past the first: two distinct nodes, every pair equally likely.
        if second >= first:
            second += 1
        a, b = self._nodes[first], self._nodes[second]
        now = call.now
        if not a.usable(now):
            a = stand_in(self._nodes, self._random, now, b) or b
        if not b.usable(now):
            b = stand_in(self._nodes, self._random, now, a) or a
        return a if self._cost(a, now) <= self._cost(b, now) else b


class _Weighted:
    __slots__ = ("_cost", "_draw", "_random")

    def __init__(self, nodes: Sequence[Picked], random: Random, cost: Cost) -> None:
        self._draw = Draw(nodes, random)
        self._random = random
        self._cost = cost

    def pick(self, call: PickingCall) -> Picked:
        a, b = self._draw.one(), self._draw.one()
        now = call.now
        if not a.usable(now):
            a = stand_in(self._draw.nodes, self._random, now, b) or b
        if not b.usable(now):
            b = stand_in(self._draw.nodes, self._random, now, a) or a
        # Drawn by weight already; the cost is divided by it too, or a light node would look idle beside a heavy one.
        cheaper = self._cost(a, now) * b.endpoint.weight <= self._cost(b, now) * a.endpoint.weight
        return a if cheaper else b
