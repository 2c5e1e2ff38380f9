"""Choices: the cheaper of the drawn nodes, never one that is out while another drawn one is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle
from random import Random
from typing import Any

import pytest

from meshlib.balancing.best_of import best_of
from meshlib.balancing.choices import two_choices
from meshlib.balancing.uniform import Only
from meshlib.core.endpoint import Endpoint
from meshlib.engine import Node

NOW = 10.0


class Asking:
    now = NOW
    request = None
    tried = ()


def nodes(*weights: float) -> list[Node]:
    return [Node(Endpoint(host=f"n{number}", weight=weight)) for number, weight in enumerate(weights)]


def numbers(*values: float) -> Callable[[], float]:
    given: Iterator[float] = cycle(values)
    return lambda: next(given)


def load(node: Any, now: float) -> float:
    return node.in_flight + 1.0


def test_single_node() -> None:
    """Nothing to choose."""
    assert isinstance(two_choices(nodes(1), lambda: 0.0, load), Only)
    assert isinstance(best_of(nodes(1, 0), lambda: 0.0, load, 3), Only)


@pytest.mark.parametrize("second", [0.0, 0.5, 0.99])
def test_two_distinct_draws(second: float) -> None:
    """The second draw never hits the first node, and the cheaper one wins."""
    among = nodes(1, 1, 1)
    among[1].in_flight = 9
    picked = two_choices(among, numbers(0.4, second), load).pick(Asking())
    assert picked is not among[1]


@pytest.mark.parametrize("weights", [(1, 1), (1, 2)])
def test_out_loses_against_in(weights: tuple[float, ...]) -> None:
    """Whatever they cost, and whichever was drawn first."""
    for out in (0, 1):
        among = nodes(*weights)
        among[1 - out].in_flight = 99
        among[out].barrier = NOW + 1
        for draws in ((0.1, 0.9), (0.9, 0.1)):
            assert two_choices(among, numbers(*draws), load).pick(Asking()) is among[1 - out]


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 1)])
def test_a_draw_that_is_out_is_replaced(weights: tuple[float, ...]) -> None:
    """With one of three out the other two are compared, not taken blindly: the dear one is never picked."""
    among = nodes(*weights)
    among[0].in_flight, among[1].barrier = 50, NOW + 1
    picker = two_choices(among, Random(1).random, load)
    seen = [picker.pick(Asking()) for _ in range(200)]
    assert seen.count(among[2]) > 150
    assert among[1] not in seen


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 1)])
def test_all_out_is_an_answer_too(weights: tuple[float, ...]) -> None:
    """Then the engine decides."""
    among = nodes(*weights)
    for node in among:
        node.barrier = NOW + 1
    assert two_choices(among, Random(1).random, load).pick(Asking()) in among


def test_weighted_cost_is_divided() -> None:
    """A node of twice the weight bears twice the load."""
    light, heavy = among = nodes(1, 2)
    light.in_flight, heavy.in_flight = 1, 2  # 2 / 1 against 3 / 2
    assert two_choices(among, numbers(0.1, 0.9), load).pick(Asking()) is heavy
    heavy.in_flight = 4
    assert two_choices(among, numbers(0.1, 0.9), load).pick(Asking()) is light


@pytest.mark.parametrize(("weights", "half"), [((1, 1), 0.0), ((1, 2), 1.0)])
@pytest.mark.parametrize(("first", "luck", "wins"), [(0, 0.1, 0), (0, 0.2, 1), (1, 0.1, 1)])
def test_doubt(weights: tuple[float, ...], half: float, first: int, luck: float, wins: int) -> None:
    """The dearer draw wins in one of nine comparisons at three times the cost for its weight, if it came first."""
    among = nodes(*weights)
    costs = {"n0": 3.0, "n1": 1.0 + half}
    draws = (0.0, 0.9, luck) if first == 0 else (0.9, 0.0, luck)
    picker = two_choices(among, numbers(*draws), lambda node, now: costs[node.endpoint.host], doubt=True)
    assert picker.pick(Asking()) is among[wins]


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (1, 2, 1, 1)])
def test_best_of_three(weights: tuple[float, ...]) -> None:
    """The cheapest draw that is in; the first draw when all are out."""
    among = nodes(*weights)
    for node, busy in zip(among, (5, 50, 1, 50), strict=True):
        node.in_flight = busy
    draws = (0.1, 0.4, 0.65) if weights[1] == 1 else (0.1, 0.4, 0.7)
    assert best_of(among, numbers(*draws), load, 3).pick(Asking()) is among[2]
    among[2].barrier = NOW + 1
    assert best_of(among, numbers(*draws), load, 3).pick(Asking()) is among[0]
    for node in among:
        node.barrier = NOW + 1
    assert best_of(among, numbers(*draws), load, 3).pick(Asking()) is among[0]


def test_few_nodes_stay_a_choice() -> None:
    """With no more nodes than choices two are drawn, or the same node would always win."""
    among = nodes(1, 1, 1)
    assert type(best_of(among, lambda: 0.0, load, 3)) is type(two_choices(among, lambda: 0.0, load))
