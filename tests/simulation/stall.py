"""The stalled-node case: eleven servers of median 167 ms, one of which takes 2 s for half of a minute."""

from __future__ import annotations

from math import exp
from random import Random

from meshlib.drivers.virtual import Simulation
from tests.simulation.fleets import POLICIES
from tests.simulation.model import Fleet, Machine, Record, load, log_normal

SIGMA = 0.4
MEDIAN = 0.167
"""Published is the median; the spread is ours, chosen so that hardly any ordinary answer (4 in 100,000) takes 1 s."""


def stalled(policy: str, seed: int, clients: int = 1, *, ejection: bool = False) -> float:
    """The share of calls that succeed: 1,000 a second, 1 s timeout, no retries, the stall from 15 s to 45 s of 60 s."""
    simulation = Simulation(seed)
    normal = log_normal(Random(seed + 1), MEDIAN * exp(SIGMA * SIGMA / 2), SIGMA)
    machines = [Machine(simulation, normal, cores=10_000) for _ in range(11)]
    simulation.at(15.0, lambda: setattr(machines[0], "service", lambda: 2.0))
    simulation.at(45.0, lambda: setattr(machines[0], "service", normal))
    fleet = Fleet(simulation, machines)
    record = Record(simulation)
    plans = [fleet.client(**POLICIES[policy], ejection=ejection) for _ in range(clients)]
    load(fleet, plans, 1000.0, 60.0, record)
    simulation.run()
    return record.success
