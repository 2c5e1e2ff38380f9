"""A whole service fails under clients that retry: the budget bounds what they add, and recovery is immediate."""

from __future__ import annotations

from random import Random

from meshlib.drivers.virtual import Simulation
from tests.simulation.model import Fleet, Machine, Record, load, log_normal

RATE = 500.0
RATIO = 0.2
FLOOR = 10.0
WINDOW = 10.0


def test_an_outage_is_not_multiplied_by_three() -> None:
    """Three attempts a call, and yet at most 1.2 attempts a call plus the floor, in the outage's every window."""
    simulation = Simulation(4)
    service = log_normal(Random(4), 0.010, 0.5)
    machines = [Machine(simulation, service, cores=100) for _ in range(4)]
    for machine in machines:
        simulation.at(20.0, lambda machine=machine: setattr(machine, "failing", 1.0))
        simulation.at(60.0, lambda machine=machine: setattr(machine, "failing", 0.0))
    fleet = Fleet(simulation, machines)
    plans = [fleet.client(attempts=3, ejection=True) for _ in range(2)]
    record = Record(simulation, 60.0)
    load(fleet, plans, RATE, 80.0, record)
    simulation.run(20.0)
    for end in (30.0, 40.0, 50.0, 60.0):
        before = sum(machine.arrivals for machine in machines)
        simulation.run(end)
        attempts = sum(machine.arrivals for machine in machines) - before
        calls = RATE * WINDOW
        noise = 4 * calls**0.5
        assert attempts <= (1 + RATIO) * (calls + noise) + FLOOR * WINDOW * len(plans)
        assert attempts > 1.1 * calls
    simulation.run()
    assert record.success == 1.0


def test_retries_fill_small_holes() -> None:
    """While the budget lasts nothing is lost: one call in twenty fails at every server, none after retries."""
    simulation = Simulation(5)
    service = log_normal(Random(5), 0.010, 0.5)
    machines = [Machine(simulation, service, cores=100) for _ in range(4)]
    for machine in machines:
        machine.failing = 0.05
    fleet = Fleet(simulation, machines)
    record = Record(simulation)
    load(fleet, [fleet.client(attempts=3)], 200.0, 30.0, record)
    simulation.run()
    assert record.success > 0.999
