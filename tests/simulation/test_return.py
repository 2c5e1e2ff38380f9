"""With the default balancer and ejection: a bad node is left after hardly a request a client, and traffic comes back."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from meshlib.drivers.virtual import Simulation
from tests.simulation.model import Fleet, Machine, Record, load, log_normal

CLIENTS = 10
SERVERS = 5


def killed(machine: Machine, on: bool) -> None:
    machine.down = on


def hung(machine: Machine, on: bool) -> None:
    machine.hung = on


def slow(machine: Machine, on: bool) -> None:
    machine.slowdown = 10.0 if on else 1.0


@pytest.mark.parametrize(("fault", "most"), [(killed, 100), (hung, 30), (slow, 100)])
def test_a_restored_node_has_its_traffic_back_within_a_minute_and_a_half(
    fault: Callable[[Machine, bool], None], most: int
) -> None:
    """Bad for 30 s: few calls are spent on it, retries lose none, and it gets another chance: a killed one by a connect
    every few seconds of each client, a slow one by its fading cost."""
    simulation = Simulation(9)
    random = Random(9)
    machines = [Machine(simulation, log_normal(random, 0.020, 0.5), cores=100) for _ in range(SERVERS)]
    fleet = Fleet(simulation, machines)
    simulation.at(10.0, lambda: fault(machines[0], True))
    simulation.at(40.0, lambda: fault(machines[0], False))
    record = Record(simulation)
    plans = [fleet.client(timeout=2.0, attempts=3, ejection=True) for _ in range(CLIENTS)]
    load(fleet, plans, 100.0, 150.0, record)

    def arrivals(until: float) -> list[int]:
        before = [machine.arrivals for machine in machines]
        simulation.run(until)
        return [machine.arrivals - one for machine, one in zip(machines, before, strict=True)]

    simulation.run(10.0)
    assert arrivals(40.0)[0] <= most
    simulation.run(130.0)
    counts = arrivals(150.0)
    assert counts[0] > 0.5 * sum(counts) / SERVERS
    simulation.run()
    assert record.success == 1.0
