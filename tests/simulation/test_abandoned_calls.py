"""Callers with timeouts of their own cancel before any of ours: a hung node must lose its attraction all the same."""

from __future__ import annotations

from random import Random

import pytest

from meshlib.drivers.virtual import Flight, Simulation
from tests.simulation.model import Fleet, Machine, log_normal

PATIENCE = 0.3
RATE = 100.0
SECONDS = 60.0


def lost(cost: str, clients: int, *, bound: bool = True) -> float:
    """The share of calls that their caller cancelled, with one of three nodes hung from the tenth second on."""
    simulation = Simulation(6)
    random = Random(6)
    machines = [Machine(simulation, log_normal(random, 0.020, 0.5), cores=100) for _ in range(3)]
    simulation.at(10.0, lambda: setattr(machines[0], "hung", True))
    fleet = Fleet(simulation, machines)
    plans = [fleet.client(cost=cost, timeout=10.0, ejection=True) for _ in range(clients)]
    if not bound:
        for plan in plans:
            plan.cluster._waited = None
    flights: list[Flight] = []
    cancelled: list[Flight] = []

    def give_up(flight: Flight) -> None:
        if not flight.over:
            cancelled.append(flight)
            flight.cancel()

    def arrive() -> None:
        if simulation.now < SECONDS:
            flight = fleet.call(plans[int(random.random() * clients)])
            flights.append(flight)
            simulation.after(PATIENCE, lambda: give_up(flight))
            simulation.after(random.expovariate(RATE), arrive)

    arrive()
    simulation.run()
    return len(cancelled) / len(flights)


@pytest.mark.parametrize(
    ("cost", "clients", "most"), [("log", 1, 0.01), ("log", 10, 0.02), ("peak", 1, 0.05), ("peak", 10, 0.02)]
)
def test_a_hung_node_costs_next_to_nothing(cost: str, clients: int, most: float) -> None:
    """Ejection sees no outcome at all here; the time that callers waited is what drives them away."""
    assert lost(cost, clients) < most


def test_without_the_lower_bound_it_stays_attractive() -> None:
    """What the recorded wait is worth: nothing else would ever be learned of the node."""
    assert lost("log", 10, bound=False) > 3 * lost("log", 10)
