"""Best of several: the power of two choices with further draws, for costs that tell slow nodes from fast ones.

Two draws bound how well any cost can steer: when half of the nodes are slow, both draws are slow ones in 24 % of the picks,
however much is known. A third lowers that floor to 11 %, a fourth to 4 %, and each costs a draw and a comparison. More draws
also follow stale knowledge more eagerly (Mitzenmacher, "How Useful Is Old Information?", 2000), so few are best;
docs/design/003-balancing-cost.md has the measurements. Learned costs of two or three nodes are compared with
`doubt` (`choices`).
"""

from __future__ import annotations

from collections.abc import Sequence

from meshlib.balancing.base import Picked, Picker, PickingCall, Random
from meshlib.balancing.choices import Cost, stand_in, two_choices
from meshlib.balancing.weights import Draw, live, uneven

__all__ = ["best_of"]

_OUT = float("inf")
_FEW = 3
"""So many nodes are compared with doubt. Among more, twenty say, it costs a fleet of unequal servers 4 to 10 % of p99."""


def best_of(
    nodes: Sequence[Picked], random: Random, cost: Cost, choices: int, *, doubt: bool = False
) -> Picker:
    """The cheapest of `choices` draws; of two while there are no more nodes than that, so that it stays a choice."""
    nodes = live(nodes)
    if choices < 3 or len(nodes) <= choices:
        return two_choices(nodes, random, cost, doubt=doubt and len(nodes) <= _FEW)
    if uneven(nodes):
        return _Weighted(nodes, random, cost, choices)
    return _Equal(nodes, random, cost, choices)


class _Equal:
    __slots__ = ("_cost", "_count", "_further", "_nodes", "_others", "_random")

    def __init__(self, nodes: Sequence[Picked], random: Random, cost: Cost, choices: int) -> None:
        self._nodes = list(nodes)
        self._count = len(nodes)
        self._others = self._count - 1
        self._further = range(choices - 1)
        self._random = random
        self._cost = cost

    def pick(self, call: PickingCall) -> Picked:
        now, random, nodes, cost = call.now, self._random, self._nodes, self._cost
        first = int(random() * self._count)
        best = nodes[first]
        lowest = cost(best, now) if best.usable(now) else _OUT
        for _ in self._further:
            # Never the first again; that two further draws meet is harmless and not worth preventing.
            other = int(random() * self._others)
            if other >= first:
                other += 1
            node = nodes[other]
            if not node.usable(now):
                found = stand_in(nodes, random, now, best)
                if found is None:
                    continue
                node = found
            price = cost(node, now)
            if price < lowest:
                best, lowest = node, price
        return best


class _Weighted:
    __slots__ = ("_choices", "_cost", "_draw", "_random")

    def __init__(self, nodes: Sequence[Picked], random: Random, cost: Cost, choices: int) -> None:
        self._draw = Draw(nodes, random)
        self._random = random
        self._choices = range(choices)
        self._cost = cost

    def pick(self, call: PickingCall) -> Picked:
        now, cost = call.now, self._cost
        best: Picked | None = None
        lowest, heft = _OUT, 1.0
        for _ in self._choices:
            node = self._draw.one()
            if best is None:
                best = node
            if not node.usable(now):
                node = stand_in(self._draw.nodes, self._random, now, best) or node
            if node.usable(now):
                # Drawn by weight already; the cost is divided by it too, or a light node would look idle beside a heavy
                # one. Crosswise, because a weight may have become 0 since this picker was built.
                price, weight = cost(node, now), node.endpoint.weight
                if price * heft < lowest * weight:
                    best, lowest, heft = node, price, weight
        assert best is not None
        return best
