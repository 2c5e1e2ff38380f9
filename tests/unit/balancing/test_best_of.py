"""Best of several draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from meshlib.balancing.best_of import best_of
from meshlib.core.endpoint import Endpoint

CALL: Any = SimpleNamespace(now=1.0, request=None, tried=())


class Dot:
    """A node with a cost of its own."""

    def __init__(self, number: int, weight: float = 100.0) -> None:
        self.endpoint = Endpoint(host=str(number), weight=weight)
        self.price = float(number)
        self.out = False

    def usable(self, now: float) -> bool:
        return not self.out


def price(node: Any, now: float) -> float:
    found: float = node.price
    return found


def picks(nodes: Sequence[Any], choices: int, times: int = 4000, *, doubt: bool = False) -> Counter[int]:
    picker = best_of(nodes, Random(1).random, price, choices, doubt=doubt)
    found: Counter[int] = Counter()
    for _ in range(times):
        node: Any = picker.pick(CALL)
        found[int(node.price)] += 1
    return found


@pytest.mark.parametrize(("choices", "floor"), [(2, 0.237), (3, 0.118), (4, 0.059)])
def test_the_worse_half_gets_what_the_draws_leave_it(choices: int, floor: float) -> None:
    """All draws fall into the worse half of twenty: the floor that the number of choices sets."""
    found = picks([Dot(number) for number in range(20)], choices, 20_000)
    worse = sum(count for number, count in found.items() if number >= 10)
    assert worse / 20_000 == pytest.approx(floor, abs=0.012)


def test_the_first_two_draws_are_distinct() -> None:
    """The worst node never wins."""
    assert 5 not in picks([Dot(number) for number in range(6)], 3)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_small_sets_fall_back_to_two_choices(size: int) -> None:
    """Comparing all of three nodes each time would send every call to the same one."""
    found = picks([Dot(number) for number in range(size)], 3)
    assert len(found) == max(1, size - 1)


def test_the_dearest_of_three_is_not_shut_out() -> None:
    """At three and at twice the others' cost its chance is a ninth and a quarter of theirs; of four it never wins."""
    found = picks([Dot(number) for number in range(1, 4)], 3, 20_000, doubt=True)
    assert found[3] / 20_000 == pytest.approx((0.5 / 9 + 0.5 * 4 / 9) / 3, abs=0.01)
    assert 4 not in picks([Dot(number) for number in range(1, 5)], 3, doubt=True)


@pytest.mark.parametrize("weights", [(100.0,), (100.0, 50.0)])
def test_what_is_out_loses_against_what_is_in(weights: tuple[float, ...]) -> None:
    """However cheap it is, and though it is drawn as often; when all are out one of them is the answer."""
    nodes = [Dot(number, weights[number % len(weights)]) for number in range(6)]
    for node in nodes[:5]:
        node.out = True
    found = picks(nodes, 3)
    assert found[5] > 3500
    nodes[5].out = True
    assert sum(picks(nodes, 3).values()) == 4000


def test_a_node_of_twice_the_weight_gets_twice_the_picks() -> None:
    """At a cost that grows with what each is given, as queues do."""
    nodes = [Dot(number, 200.0 if number < 3 else 100.0) for number in range(6)]
    for node in nodes:
        node.price = 0.0
    picker = best_of(nodes, Random(2).random, lambda node, now: node.price + 1.0, 3)  # type: ignore[attr-defined]
    for _ in range(9000):
        chosen: Any = picker.pick(CALL)
        chosen.price += 1.0
    assert [node.price for node in nodes] == pytest.approx([2000.0] * 3 + [1000.0] * 3, rel=0.05)


def test_a_weight_that_became_zero_divides_nothing() -> None:
    """A new endpoint set changes a node before the picker is built again."""
    nodes = [Dot(number, 200.0 if number else 100.0) for number in range(4)]
    picker = best_of(nodes, Random(3).random, price, 3)
    for node in nodes[:3]:
        node.endpoint = Endpoint(host="x", weight=0.0)
    found = Counter(int(picker.pick(CALL).price) for _ in range(1000))  # type: ignore[union-attr, attr-defined]
    assert found.most_common(1)[0][0] == 3
