"""Ejection through the engine, with round robin, so that only ejection can take traffic away."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from meshlib.drivers.virtual import Simulation
from meshlib.engine import CallPlan
from tests.simulation.model import Fleet, Machine, Record, load, log_normal

RATE = 200.0


class Site:
    """Servers, one client with ejection, and load from the start to the end."""

    def __init__(
        self, servers: int, seconds: float, *, timeout: float = 1.0, attempts: int = 1, since: float = 0.0
    ) -> None:
        self.simulation = Simulation(servers)
        service = log_normal(Random(servers), 0.020, 0.3)
        self.machines = [Machine(self.simulation, service, cores=100) for _ in range(servers)]
        fleet = Fleet(self.simulation, self.machines)
        self.plan: CallPlan = fleet.client("round_robin", ejection=True, timeout=timeout, attempts=attempts)
        self.record = Record(self.simulation, since)
        load(fleet, [self.plan], RATE, seconds, self.record)

    def change(self, at: float, fault: Callable[[Machine], None], *machines: int) -> None:
        for machine in machines:
            self.simulation.at(at, lambda machine=machine: fault(self.machines[machine]))

    def ejected(self) -> set[int]:
        nodes = self.plan.cluster.nodes.values()
        return {int(node.host) for node in nodes if node.health is not None and node.health.ejected}

    def arrivals(self, until: float) -> list[int]:
        before = [machine.arrivals for machine in self.machines]
        self.simulation.run(until)
        return [machine.arrivals - one for machine, one in zip(self.machines, before, strict=True)]

    @property
    def panic(self) -> bool:
        detector = self.plan.cluster.detector
        assert detector is not None
        return detector.panic


def killed(machine: Machine) -> None:
    machine.down = True


def failing(machine: Machine) -> None:
    machine.failing = 1.0


def hung(machine: Machine) -> None:
    machine.hung = True


def restored(machine: Machine) -> None:
    machine.down = machine.hung = False
    machine.failing = 0.0


@pytest.mark.parametrize("servers", [2, 3, 5])
def test_a_killed_node_is_left_alone_and_comes_back(servers: int) -> None:
    """One refused connect is enough; a connect every few seconds finds out when it is there again."""
    site = Site(servers, 60.0, timeout=0.5)
    site.change(10.0, killed, 0)
    site.change(20.0, restored, 0)
    site.simulation.run(10.5)
    assert site.ejected() == set()
    assert site.arrivals(20.0)[0] <= 8
    # The longest pause is 10 s, plus half.
    site.simulation.run(20.0 + 15.0)
    counts = site.arrivals(60.0)
    assert counts[0] == pytest.approx(sum(counts) / servers, rel=0.05)


@pytest.mark.parametrize(("fault", "within"), [(failing, 0.5), (hung, 2.0)])
@pytest.mark.parametrize("servers", [2, 3, 5])
def test_a_bad_node_goes_within_bounded_time_and_comes_back(
    servers: int, fault: Callable[[Machine], None], within: float
) -> None:
    """Out after five failures (a hang needs the attempt's timeout first); back at the next probe after it recovers."""
    site = Site(servers, 60.0, timeout=0.5)
    site.change(10.0, fault, 0)
    site.change(20.0, restored, 0)
    site.simulation.run(10.0 + within)
    assert site.ejected() == {0}
    probes = site.arrivals(20.0)[0]
    assert probes <= 10
    # Ten seconds out: back-off has reached 8 s, plus or minus half.
    site.simulation.run(20.0 + 12.5)
    assert site.ejected() == set()
    counts = site.arrivals(60.0)
    assert counts[0] == pytest.approx(sum(counts) / servers, rel=0.05)


def test_a_total_outage_ejects_nobody() -> None:
    """No node is worse than the others: it is the breaker's business, and recovery is immediate."""
    site = Site(5, 30.0, since=20.0)
    site.change(10.0, failing, *range(5))
    site.change(20.0, restored, *range(5))
    site.simulation.run(19.9)
    assert site.ejected() == set()
    site.simulation.run()
    assert site.record.success == 1.0


def test_one_bad_of_two_goes() -> None:
    """The smallest cluster still ejects."""
    site = Site(2, 20.0)
    site.change(5.0, failing, 1)
    site.simulation.run(6.0)
    assert site.ejected() == {1}


def test_two_bad_of_five_go_together() -> None:
    """Where Envoy's standard-deviation rule would keep both."""
    site = Site(5, 20.0)
    site.change(5.0, failing, 1, 3)
    site.simulation.run(6.0)
    assert site.ejected() == {1, 3}
    assert not site.panic


def test_three_bad_of_five_panic() -> None:
    """Beyond `max_share` all nodes are used again rather than the rest drowned; it ends with the recovery of one."""
    site = Site(5, 40.0)
    site.change(5.0, failing, 0, 1, 2)
    site.change(15.0, restored, 0, 1, 2)
    site.simulation.run(7.0)
    assert site.panic
    assert min(site.arrivals(14.0)) > 100
    site.simulation.run()
    assert not site.panic
    assert site.ejected() == set()


def test_retries_hide_a_killed_node_entirely() -> None:
    """Not one call is lost, neither at the kill nor by the attempts to reach it again."""
    site = Site(3, 20.0, attempts=3)
    site.change(5.0, killed, 2)
    site.simulation.run()
    assert site.record.success == 1.0
