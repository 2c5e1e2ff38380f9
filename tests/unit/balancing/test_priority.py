"""Priorities: a fallback level is used when the primary has nobody left for this call."""

from __future__ import annotations

from typing import Any

from meshlib.balancing.priority import Priorities, by_priority
from meshlib.balancing.uniform import Only, Uniform, UniformOptions
from meshlib.core.endpoint import Endpoint
from meshlib.engine import Node

NOW = 10.0


class Asking:
    now = NOW
    request = None

    def __init__(self, *tried: Node) -> None:
        self.tried = tried


def nodes(*priorities: int) -> list[Node]:
    return [Node(Endpoint(host=f"n{number}", priority=level)) for number, level in enumerate(priorities)]


def build(among: Any) -> Any:
    return Uniform(UniformOptions()).build(among, lambda: 0.0)


def test_one_level_costs_nothing() -> None:
    """No wrapper."""
    assert not isinstance(by_priority(nodes(2, 2), build), Priorities)


def test_levels_in_order() -> None:
    """The lowest number first, the next when it is out or tried, the first again when nobody is left."""
    a, b, c = among = nodes(1, 0, 0)
    picker = by_priority(among, build)
    assert picker.pick(Asking()) is b
    assert picker.pick(Asking(b)) is c
    b.barrier = NOW + 1
    assert picker.pick(Asking()) is c
    c.barrier = NOW + 1
    assert picker.pick(Asking()) is a
    a.barrier = NOW + 1
    assert picker.pick(Asking()) is b


def test_picker_without_an_offer() -> None:
    """A level whose picker offers nobody is scanned."""
    [a] = nodes(0)

    class Empty:
        def pick(self, call: Any) -> None:
            return None

    assert Priorities([(Empty(), [a])]).pick(Asking()) is a
    assert Priorities([(Only(a), [])]).pick(Asking(a)) is a
