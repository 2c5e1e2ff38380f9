"""Priorities: a lower level receives traffic only while a higher one still has a usable node (RFC 2782, Envoy)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from meshlib.balancing.base import Picked, Picker, PickingCall

__all__ = ["Priorities", "by_priority"]


def by_priority(nodes: Sequence[Picked], build: Callable[[Sequence[Picked]], Picker]) -> Picker:
    """`build` over all nodes when they share one priority, else one picker a level behind Priorities."""
    levels: dict[int, list[Picked]] = {}
    for node in nodes:
        levels.setdefault(node.endpoint.priority, []).append(node)
    if len(levels) == 1:
        return build(nodes)
    return Priorities([(build(levels[priority]), levels[priority]) for priority in sorted(levels)])


class Priorities:
    """Tries level after level; the first usable node that this call has not tried yet wins."""

    __slots__ = ("_levels",)

    def __init__(self, levels: Sequence[tuple[Picker, Sequence[Picked]]]) -> None:
        self._levels = tuple(levels)

    def pick(self, call: PickingCall) -> Picked | None:
        """The first level's choice in ordinary times; a level is scanned only while its choice is not usable."""
        now, tried = call.now, call.tried
        for picker, nodes in self._levels:
            node = picker.pick(call)
            if node is not None and node.usable(now) and node not in tried:
                return node
            for node in nodes:
                if node.usable(now) and node not in tried:
                    return node
        return self._levels[0][0].pick(call)
