"""One client that calls now and then, or one call after another: every pick is made of little knowledge and no load.

A handful of calls decides there what a busy client would forget within the second, so no single sample may.
"""

from __future__ import annotations

from random import Random

import pytest

from meshlib.drivers.virtual import Simulation
from tests.simulation.model import Fleet, Machine, log_normal

MEAN = 0.002
SEEDS = range(20)


def shares(
    seed: int, calls: int, *, servers: int = 3, gap: float = 0.0, first: float = 1.0, slow: float = 1.0
) -> list[float]:
    """Each server's part of the calls, every `gap` seconds or one by one; `first` and `slow` worsen server 0."""
    simulation = Simulation(seed)
    normal = log_normal(Random(seed + 1), MEAN, 0.3)
    machines = [Machine(simulation, normal, cores=100) for _ in range(servers)]
    machines[0].slowdown = slow

    def warming() -> float:
        machines[0].service = normal
        return MEAN * first

    machines[0].service = warming
    fleet = Fleet(simulation, machines)
    plan = fleet.client()
    left = calls

    def call(_: object = None) -> None:
        nonlocal left
        if left:
            left -= 1
            fleet.call(plan, None if gap else call)
            if gap:
                simulation.after(gap, call)

    call()
    simulation.run()
    return [machine.arrivals / calls for machine in machines]


@pytest.mark.parametrize("first", [1.0, 5.0])
def test_equal_servers_share_whatever_the_first_answer_took(first: float) -> None:
    """100 calls a second for 2 s, the first answer of one server five times too late: no server is left out."""
    for seed in SEEDS:
        assert min(shares(seed, 200, gap=0.01, first=first)) >= 0.15, seed


def test_equal_servers_share_among_sequential_calls() -> None:
    """300 calls one after another, at any pace: without load to compare, noise must not choose the servers."""
    for seed in SEEDS:
        assert min(shares(seed, 300)) >= 0.15, seed


@pytest.mark.parametrize("servers", [2, 3])
@pytest.mark.parametrize(("slow", "most"), [(3.0, 0.15), (10.0, 0.05)])
def test_a_slow_server_still_gets_little(servers: int, slow: float, most: float) -> None:
    """Doubt is not indifference."""
    for seed in SEEDS:
        assert shares(seed, 300, servers=servers, slow=slow)[0] <= most, seed
