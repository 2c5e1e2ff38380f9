"""Drawing nodes by weight: shared by the pickers that sample."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from meshlib.balancing.base import Picked, Random

__all__ = ["Draw", "live", "uneven"]


def live(nodes: Sequence[Picked]) -> list[Picked]:
    """The nodes with a weight above zero, or all of them when none has one (a set must not vanish by weights)."""
    weighted = [node for node in nodes if node.endpoint.weight > 0]
    return weighted or list(nodes)


def uneven(nodes: Sequence[Picked]) -> bool:
    """Whether weights differ, so that drawing has to look at them."""
    first = nodes[0].endpoint.weight
    return any(node.endpoint.weight != first for node in nodes)


class Draw:
    """Draws one node with probability proportional to its weight, in O(log n) by cumulative sums."""

    __slots__ = ("_last", "_random", "_sums", "_total", "nodes")

    def __init__(self, nodes: Sequence[Picked], random: Random) -> None:
        self.nodes: list[Picked] = list(nodes)
        self._sums = list(accumulate(node.endpoint.weight or 1.0 for node in nodes))
        self._total = self._sums[-1]
        self._last = len(self.nodes) - 1
        self._random = random

    def one(self) -> Picked:
        """A node; the bound on the index guards against rounding at the upper end."""
        index = bisect_right(self._sums, self._random() * self._total)
        return self.nodes[min(index, self._last)]
