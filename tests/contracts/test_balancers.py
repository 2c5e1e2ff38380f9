"""What every registered balancer keeps."""

from __future__ import annotations

import time
from collections import Counter
from random import Random
from typing import Any

import pytest

from meshlib.balancing import BALANCERS
from meshlib.core.endpoint import Endpoint
from meshlib.core.options import Options
from meshlib.core.outcome import OK, Kind, Outcome
from meshlib.engine import Node

NOW = 1000.0
NAMES = sorted(BALANCERS)
FAILED = Outcome(Kind.FAILURE, "reset", "broke")


class Asking:
    """The call that a picker sees."""

    now = NOW
    request: object = None
    tried: tuple[Any, ...] = ()


def nodes(*weights: float) -> list[Node]:
    return [Node(Endpoint(host=f"n{number}", port=1, weight=weight)) for number, weight in enumerate(weights)]


def made(name: str) -> Any:
    kind = BALANCERS.get(name)
    return kind(kind.options())


def picks(name: str, among: list[Node], count: int, seed: int = 7, *, busy: bool = False) -> Counter[str]:
    """How often each node is picked; `busy` keeps each picked node in flight for a while, as real calls do."""
    picker = made(name).build(among, Random(seed).random)
    found: Counter[str] = Counter()
    window: list[Node] = []
    for _ in range(count):
        node = picker.pick(Asking())
        found[node.host] += 1
        if busy:
            node.in_flight += 1
            window.append(node)
            if len(window) > 2 * len(among):
                window.pop(0).in_flight -= 1
    return found


def chi_square(found: Counter[str], expected: dict[str, float]) -> float:
    return sum((found[host] - share) ** 2 / share for host, share in expected.items())


# Critical values of chi-square at p = 0.0001, by degrees of freedom: a fair balancer fails with one seed in 10,000.
CRITICAL = {3: 21.11, 9: 33.72}


@pytest.mark.parametrize("name", NAMES)
def test_options_are_options(name: str) -> None:
    """Each has a frozen group of options of its own, all with defaults."""
    kind = BALANCERS.get(name)
    assert issubclass(kind.options, Options)
    assert kind.options() == kind.options()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weights", [(1,), (1, 1), (1, 2), (100,) * 5, (1, 10, 100), (0, 5), (0, 0, 0)])
def test_picks_only_from_its_nodes(name: str, weights: tuple[float, ...]) -> None:
    """Never another one, never none; a weight of 0 gets nothing while another has one, and no set vanishes by weights."""
    among = nodes(*weights)
    found = picks(name, among, 500)
    assert set(found) <= {node.host for node in among}
    if any(weights):
        assert not any(found[node.host] for node in among if node.endpoint.weight == 0)
    else:
        assert len(found) == len(among)


@pytest.mark.parametrize("name", NAMES)
def test_equal_weights_share_equally(name: str) -> None:
    """Ten idle nodes: each gets its tenth, within chance."""
    found = picks(name, nodes(*[100.0] * 10), 20_000)
    assert chi_square(found, {f"n{number}": 2000.0 for number in range(10)}) < CRITICAL[9]


@pytest.mark.parametrize("name", NAMES)
def test_unequal_weights_share_by_weight(name: str) -> None:
    """A balancer that draws by weight alone is exact; one that compares load as well stays in the right order."""
    weights = {"n0": 10.0, "n1": 20.0, "n2": 30.0, "n3": 40.0}
    among = nodes(*weights.values())
    for node in among:
        node.ewma, node.stamp = 0.01, NOW
    found = picks(name, among, 20_000, busy=True)
    if name in ("random", "round_robin"):
        assert chi_square(found, {host: weight * 200 for host, weight in weights.items()}) < CRITICAL[3]
    else:
        assert found["n0"] < found["n1"] < found["n2"] < found["n3"]
        for host, weight in weights.items():
            assert found[host] == pytest.approx(weight * 200, rel=0.35)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [2, 3, 10])
def test_usable_nodes_are_found(name: str, count: int) -> None:
    """With one of the nodes out, the four picks of a claim nearly always find another: the scan is for the rest."""
    among = nodes(*[100.0] * count)
    among[0].barrier = NOW + 60
    picker = made(name).build(among, Random(3).random)
    missed = sum(all(not picker.pick(Asking()).usable(NOW) for _ in range(4)) for _ in range(2000))
    # A draw that ignores usability misses with 1/count each time: 1/16 of the claims of two nodes.
    assert missed <= 2000 * count**-4 * 1.5


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_picks(name: str) -> None:
    """Randomness comes from the argument alone."""
    assert picks(name, nodes(1, 2, 3), 200, seed=5) == picks(name, nodes(1, 2, 3), 200, seed=5)


@pytest.mark.parametrize("name", NAMES)
def test_learning_is_harmless(name: str) -> None:
    """What observes takes any outcome and any time, and picks go on."""
    balancer, among = made(name), nodes(1, 1, 1)
    for node in among:
        for outcome in (OK, FAILED, Outcome(Kind.THROTTLED, "throttled", "busy", pushback=1e9)):
            for seconds in (0.0, 1e-9, 1.0, 1e6):
                if hasattr(balancer, "observe"):
                    balancer.observe(node, outcome, seconds, NOW)
        if hasattr(balancer, "waited"):
            balancer.waited(node, 3.0, NOW - 5)
    assert balancer.build(among, Random(1).random).pick(Asking()) in among


@pytest.mark.parametrize("name", NAMES)
def test_cost_of_a_pick(name: str) -> None:
    """O(1) or O(log n): ten thousand nodes cost hardly more than ten. The bound is generous, benchmarks/pick.py is exact."""

    def each(count: int, uneven: bool) -> float:
        weights = [100.0 + number % 7 * uneven for number in range(count)]
        picker = made(name).build(nodes(*weights), Random(1).random)
        asking, best = Asking(), float("inf")
        for _ in range(5):
            begun = time.perf_counter()
            for _ in range(300):
                picker.pick(asking)
            best = min(best, (time.perf_counter() - begun) / 300)
        return best

    for uneven in (False, True):
        assert each(10_000, uneven) < 50e-6
        assert each(10_000, uneven) < 12 * each(10, uneven)
