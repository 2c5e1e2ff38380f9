"""Weights: who may be drawn, and how."""

from __future__ import annotations

from random import Random

from meshlib.balancing.weights import Draw, live, uneven
from meshlib.core.endpoint import Endpoint
from meshlib.engine import Node


def nodes(*weights: float) -> list[Node]:
    return [Node(Endpoint(host=f"n{number}", weight=weight)) for number, weight in enumerate(weights)]


def test_live() -> None:
    """Those with weight; all of them when none has one."""
    assert [node.host for node in live(nodes(0, 1, 0, 2))] == ["n1", "n3"]
    assert len(live(nodes(0, 0))) == 2


def test_uneven() -> None:
    """Whether drawing has to look at weights."""
    assert not uneven(nodes(3, 3, 3))
    assert uneven(nodes(3, 3, 2))


def test_draw_at_the_edges() -> None:
    """Random numbers at both ends stay inside; without weights everybody counts the same."""
    among = nodes(1, 2, 3)
    assert Draw(among, lambda: 0.0).one() is among[0]
    assert Draw(among, lambda: 1.0).one() is among[2]
    assert Draw(among, lambda: 0.4999).one() is among[1]
    zeros = nodes(0, 0, 0)
    draw = Draw(zeros, Random(1).random)
    assert {draw.one() for _ in range(100)} == set(zeros)
