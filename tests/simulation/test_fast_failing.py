"""A node that fails at once beside nodes that work: fast errors must repel, never attract."""

from __future__ import annotations

from random import Random

import pytest

from meshlib.drivers.virtual import Simulation
from tests.simulation.model import Fleet, Machine, Record, load, log_normal

SERVERS = 5


def shares(cost: str, *, ejection: bool, failing: float, clients: int, seed: int = 2) -> tuple[float, float]:
    """The failing node's part of all calls over its fair part, and the share of calls that failed."""
    simulation = Simulation(seed)
    service = log_normal(Random(seed), 0.020, 0.3)
    machines = [Machine(simulation, service, cores=100) for _ in range(SERVERS)]
    machines[0].failing = failing
    fleet = Fleet(simulation, machines)
    record = Record(simulation)
    load(fleet, [fleet.client(cost=cost, ejection=ejection) for _ in range(clients)], 400.0, 30.0, record)
    simulation.run()
    part = machines[0].arrivals / sum(machine.arrivals for machine in machines)
    return part * SERVERS, 1.0 - record.success


@pytest.mark.parametrize("clients", [1, 20])
@pytest.mark.parametrize("failing", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("ejection", [False, True])
@pytest.mark.parametrize("cost", ["log", "peak"])
def test_a_fast_failing_node_gets_less_than_its_share(
    cost: str, ejection: bool, failing: float, clients: int
) -> None:
    """1 ms 503s beside 20 ms answers: well under half of the fair share, and few calls lost without any retry."""
    part, lost = shares(cost, ejection=ejection, failing=failing, clients=clients)
    assert part < 0.25
    assert lost < 0.02
