"""Power of two choices: of two random nodes the cheaper one, whatever "cheap" means to the balancer.

Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (1996); Finagle's P2CPick. Usability is compared
before cost: a cheap node that is out loses against a dear one that is in.

Where both draws are nearly the whole set, the dearest of two or three nodes would lose every comparison and, unused, never
learn that it is dear no more. With `doubt` the dearer draw wins now and then: its chance falls with the square of the ratio
(half of the comparisons at 1, 6 % at 3, 0.5 % at 10), so that equal nodes share equally and bad ones see hardly anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from meshlib.balancing.base import Picked, Picker, PickingCall, Random
from meshlib.balancing.uniform import Only
from meshlib.balancing.weights import Draw, live, uneven

__all__ = ["Cost", "stand_in", "two_choices"]

Cost = Callable[[Picked, float], float]
_WALK = 8


def two_choices(nodes: Sequence[Picked], random: Random, cost: Cost, *, doubt: bool = False) -> Picker:
    """Two distinct random nodes when the weights are equal; drawn by weight otherwise. `doubt` suits learned costs."""
    nodes = live(nodes)
    if len(nodes) == 1:
        return Only(nodes[0])
    kind = _Weighted if uneven(nodes) else _Equal
    return kind(nodes, random, cost, doubt)


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
    __slots__ = ("_cost", "_count", "_doubt", "_nodes", "_others", "_random")

    def __init__(self, nodes: Sequence[Picked], random: Random, cost: Cost, doubt: bool) -> None:
        self._nodes = list(nodes)
        self._count = len(nodes)
        self._others = self._count - 1
        self._random = random
        self._cost = cost
        self._doubt = doubt

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
        price, other = self._cost(a, now), self._cost(b, now)
        if price <= other:
            return a
        # Squares: which of the two was drawn first is chance already, so one-sided doubt is fair to both.
        return a if self._doubt and price * price * self._random() < other * other else b


class _Weighted:
    __slots__ = ("_cost", "_doubt", "_draw", "_random")

    def __init__(self, nodes: Sequence[Picked], random: Random, cost: Cost, doubt: bool) -> None:
        self._draw = Draw(nodes, random)
        self._random = random
        self._cost = cost
        self._doubt = doubt

    def pick(self, call: PickingCall) -> Picked:
        a, b = self._draw.one(), self._draw.one()
        now = call.now
        if not a.usable(now):
            a = stand_in(self._draw.nodes, self._random, now, b) or b
        if not b.usable(now):
            b = stand_in(self._draw.nodes, self._random, now, a) or a
        # Drawn by weight already; the cost is divided by it too, or a light node would look idle beside a heavy one.
        price = self._cost(a, now) * b.endpoint.weight
        other = self._cost(b, now) * a.endpoint.weight
        if price <= other:
            return a
        return a if self._doubt and price * price * self._random() < other * other else b
