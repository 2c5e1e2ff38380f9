"""Ejection: who goes, for how long, and who must stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from meshlib.core.listener import Event
from meshlib.core.outcome import CANCELLED, OK, Kind, Outcome
from meshlib.errors import ConfigError
from meshlib.resilience.outlier import EjectionOptions, NodeHealth, OutlierDetector

BAD = Outcome(Kind.FAILURE, "503", "answered 503")
THROTTLED = Outcome(Kind.THROTTLED, "throttled", "answered 429")


class Node:
    __slots__ = ("address", "barrier", "health")

    def __init__(self, address: str) -> None:
        self.address = address
        self.barrier = 0.0
        self.health: NodeHealth | None = None

    def usable(self, now: float) -> bool:
        return now >= self.barrier


class Cluster:
    """A detector with its nodes, no jitter, and every event kept."""

    def __init__(self, count: int, **options: Any) -> None:
        self.events: list[Event] = []
        self.detector = OutlierDetector(EjectionOptions(**options), lambda: 0.5, self.events.append, "orders")
        self.nodes = [Node(f"10.0.0.{number}:80") for number in range(count)]
        self.detector.resize(count, 0.0)

    def send(self, number: int, outcome: Outcome, now: float, times: int = 1) -> None:
        node = self.nodes[number]
        for _ in range(times):
            self.detector.record(node, outcome, now, self.detector.claimed(node, now))

    def round(self, now: float, bad: Sequence[int] = (), outcome: Outcome = BAD, times: int = 1) -> None:
        for _ in range(times):
            for number, node in enumerate(self.nodes):
                if node.usable(now):
                    self.send(number, outcome if number in bad else OK, now)

    def out(self) -> list[int]:
        return [n for n, node in enumerate(self.nodes) if node.health is not None and node.health.ejected]

    def barred(self) -> list[int]:
        return [number for number, node in enumerate(self.nodes) if node.barrier]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def test_a_node_worse_than_the_others_goes() -> None:
    """Five failures in a row while the others answer, for one second."""
    cluster = Cluster(3)
    cluster.round(1.0, bad=[1], times=5)
    assert cluster.barred() == [1]
    assert cluster.nodes[1].barrier == 2.0
    assert cluster.events[0].facts == {
        "node": "10.0.0.1:80",
        "reason": "5 failures in a row",
        "seconds": 1.0,
        "out": 1,
        "nodes": 3,
    }


def test_a_low_success_ratio_goes() -> None:
    """Two of five failed, never five in a row."""
    cluster = Cluster(2)
    cluster.send(1, OK, 1.0, 10)
    for outcome in (OK, BAD, OK, OK):
        cluster.send(0, outcome, 1.0)
    assert cluster.out() == []
    cluster.send(0, BAD, 1.0)
    assert cluster.out() == [0]
    assert cluster.events[0].facts["reason"] == "2 of 5 attempts failed in 10 s"


@pytest.mark.parametrize(("count", "bad"), [(2, [0]), (3, [2]), (5, [1, 3]), (10, [0, 2, 4, 6, 8])])
def test_small_clusters_lose_their_bad_nodes(count: int, bad: list[int]) -> None:
    """One of two, two of five: as many as `max_share` allows."""
    cluster = Cluster(count)
    cluster.round(1.0, bad=bad, times=10)
    assert cluster.barred() == bad
    assert not cluster.detector.panic


def test_the_only_node_never_goes() -> None:
    """One of one is not worse than the others, not even while a removed node was better."""
    cluster = Cluster(2)
    cluster.send(1, OK, 1.0, 50)
    cluster.detector.resize(1, 1.0)
    cluster.send(0, BAD, 1.0, 50)
    assert cluster.out() == []
    assert cluster.detector.allowed == 0


@pytest.mark.parametrize("outcome", [BAD, THROTTLED])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_service_failing_everywhere_keeps_its_nodes(count: int, outcome: Outcome) -> None:
    """That is the breaker's business, also after a long good history."""
    cluster = Cluster(count)
    cluster.round(1.0, times=200)
    for step in range(200):
        cluster.round(2.0 + step / 10, bad=range(count), outcome=outcome)
    assert cluster.out() == []


def test_a_busy_node_goes_by_its_run_in_spite_of_its_history() -> None:
    """Its window is nearly all good; its run is compared over the run's own time."""
    cluster = Cluster(2)
    cluster.round(1.0, times=1000)
    cluster.round(2.0, bad=[0], times=5)
    assert cluster.out() == [0]


def test_a_rest_that_was_not_asked_proves_nothing() -> None:
    """A burst on one node waits for the first answer of another."""
    cluster = Cluster(2)
    cluster.send(0, BAD, 1.0, 20)
    assert cluster.out() == []
    cluster.send(1, OK, 1.0)
    cluster.send(0, BAD, 1.0)
    assert cluster.out() == [0]


def test_the_rest_must_be_better_by_enough() -> None:
    """Against eight of ten, eight of eleven is no outlier, eight of twelve is."""
    cluster = Cluster(2, better_by=0.1)
    for number in (0, 1):
        cluster.send(number, OK, 1.0, 8)
    cluster.send(1, BAD, 1.0, 2)
    cluster.send(0, BAD, 1.0, 3)
    assert cluster.out() == []
    cluster.send(0, BAD, 1.0)
    assert cluster.out() == [0]


def test_throttles_count_in_the_ratio_only() -> None:
    """No run of throttles ejects; a low ratio of them does; a run goes on across them."""
    cluster = Cluster(2, success_ratio=0.0)
    cluster.round(1.0, bad=[0], outcome=THROTTLED, times=50)
    assert cluster.out() == []
    cluster.round(1.0, bad=[0], times=4)
    cluster.round(1.0, bad=[0], outcome=THROTTLED, times=100)
    assert cluster.out() == []
    cluster.round(1.0, bad=[0])
    assert cluster.out() == [0]
    by_ratio = Cluster(2)
    by_ratio.round(1.0, bad=[0], outcome=THROTTLED, times=5)
    assert by_ratio.out() == [0]


def test_own_throttles_are_not_held_against_the_rest() -> None:
    """Throttles inside a run are the node's own: the rest is still seen as good."""
    cluster = Cluster(2, success_ratio=0.0, better_by=1.0)
    cluster.send(0, BAD, 1.0, 4)
    cluster.send(0, THROTTLED, 1.0, 10)
    cluster.send(1, OK, 1.0)
    cluster.send(0, BAD, 1.0)
    assert cluster.out() == [0]


def test_the_run_rule_can_be_off() -> None:
    """Only the ratio counts then."""
    cluster = Cluster(2, consecutive_failures=None, minimum_requests=100)
    cluster.round(1.0, bad=[0], times=99)
    assert cluster.out() == []
    cluster.round(1.0, bad=[0])
    assert cluster.out() == [0]


def test_ignored_results_touch_nothing() -> None:
    """A cancelled call says nothing about its node."""
    cluster = Cluster(2)
    cluster.send(0, CANCELLED, 1.0, 50)
    assert cluster.nodes[0].health is None


def test_the_first_claim_after_its_time_is_the_only_probe() -> None:
    """A good probe restores; until its result nobody else is let through."""
    cluster = Cluster(3)
    cluster.round(1.0, bad=[0], times=5)
    node, detector = cluster.nodes[0], cluster.detector
    assert not detector.claimed(node, 1.5)
    assert detector.claimed(node, 2.0)
    assert not node.usable(2.0)
    assert not detector.claimed(node, 2.1)
    detector.record(node, OK, 2.2, True)
    assert (node.barrier, cluster.out()) == (0.0, [])
    assert cluster.kinds() == ["ejection", "restored"]
    assert not detector.claimed(node, 2.3)
    assert not detector.claimed(cluster.nodes[1], 2.3)


@pytest.mark.parametrize("outcome", [BAD, THROTTLED])
def test_a_failed_probe_doubles_the_time_out(outcome: Outcome) -> None:
    """1, 2, 4 ... 60, 60 seconds."""
    cluster = Cluster(2)
    cluster.round(0.0, bad=[0], times=5)
    node, now, times = cluster.nodes[0], 0.0, []
    for _ in range(8):
        times.append(node.barrier - now)
        now = node.barrier
        cluster.send(0, outcome, now)
    assert times == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert node.health is not None
    assert node.health.ejections == 9


def test_time_out_is_jittered() -> None:
    """Plus or minus half."""
    draws = iter([0.0, 0.999999])
    detector = OutlierDetector(EjectionOptions(), lambda: next(draws))
    bad, good = Node("a"), Node("b")
    detector.resize(2, 0.0)
    detector.record(good, OK, 0.0, False)
    for _ in range(4):
        detector.record(bad, BAD, 0.0, False)
    detector.record(good, OK, 0.0, False)
    detector.record(bad, BAD, 0.0, False)
    assert bad.barrier == 0.5
    detector.record(bad, BAD, 1.0, detector.claimed(bad, 1.0))
    assert bad.barrier == pytest.approx(4.0, abs=1e-3)


def test_the_time_out_is_reset_after_a_quiet_window() -> None:
    """Ejected again soon after it came back: longer. After a healthy window: from the start."""
    cluster = Cluster(2)
    cluster.round(0.0, bad=[0], times=5)
    cluster.round(1.0)
    cluster.round(3.0, bad=[0], times=5)
    assert cluster.nodes[0].barrier == 5.0
    cluster.round(5.0)
    cluster.round(15.0, times=5)
    cluster.round(15.5, bad=[0], times=5)
    assert cluster.nodes[0].barrier == 16.5


def test_an_ignored_probe_is_due_again_at_once() -> None:
    """Its caller left: the next claim is the probe."""
    cluster = Cluster(2)
    cluster.round(1.0, bad=[0], times=5)
    cluster.send(0, CANCELLED, 2.0)
    assert cluster.nodes[0].usable(2.0)
    assert cluster.detector.claimed(cluster.nodes[0], 2.0)


def test_a_lost_probe_keeps_nobody_out() -> None:
    """Its lease runs out and the next claim is a probe."""
    cluster = Cluster(2)
    cluster.round(1.0, bad=[0], times=5)
    assert cluster.detector.claimed(cluster.nodes[0], 2.0)
    assert not cluster.nodes[0].usable(11.9)
    assert cluster.nodes[0].usable(12.0)
    assert cluster.detector.claimed(cluster.nodes[0], 12.0)


def test_late_results_of_an_ejected_node_decide_nothing() -> None:
    """Attempts that began before the ejection neither restore nor extend it."""
    cluster = Cluster(2)
    cluster.round(1.0, bad=[0], times=5)
    node, detector = cluster.nodes[0], cluster.detector
    for outcome in (OK, BAD, CANCELLED):
        detector.record(node, outcome, 3.0, False)
        detector.record(node, outcome, 3.0, True)
    assert node.barrier == 2.0
    assert cluster.out() == [0]


def test_a_restored_node_starts_afresh() -> None:
    """Its old failures are forgotten, in the cluster's sum too."""
    cluster = Cluster(2)
    cluster.round(1.0, times=3)
    cluster.send(0, BAD, 1.0, 100)
    cluster.send(1, OK, 1.0)
    cluster.send(0, BAD, 1.0)
    cluster.round(2.0)
    assert cluster.out() == []
    cluster.send(0, BAD, 2.5, 4)
    assert cluster.out() == []
    cluster.send(1, OK, 2.5)
    cluster.send(0, BAD, 2.5)
    assert cluster.out() == [0]


def test_more_than_the_share_is_panic() -> None:
    """Three bad of four: all are used, nobody is barred, and it is said."""
    cluster = Cluster(4)
    cluster.round(1.0, bad=[0, 1, 2], times=5)
    assert cluster.out() == [0, 1, 2]
    assert cluster.barred() == []
    assert cluster.detector.panic
    assert cluster.detector.describe() == {"ejected": 3, "allowed": 2, "panic": True}
    assert cluster.events[-1].facts == {"on": True, "out": 3, "allowed": 2, "nodes": 4}


def test_panic_ends_when_enough_have_recovered() -> None:
    """One good answer after its time restores one; the others are barred again until theirs."""
    cluster = Cluster(4)
    cluster.round(1.0, bad=[0, 1, 2], times=5)
    cluster.send(0, OK, 1.5)
    cluster.send(1, BAD, 2.5)
    assert cluster.detector.panic
    cluster.send(0, OK, 2.5)
    assert not cluster.detector.panic
    assert cluster.out() == [1, 2]
    assert [cluster.nodes[number].barrier for number in range(4)] == [0.0, 4.5, 2.0, 0.0]
    assert cluster.kinds()[-2:] == ["restored", "panic"]
    assert cluster.events[-1].facts["on"] is False
    cluster.send(2, OK, 2.6)
    assert cluster.out() == [1]


def test_panic_never_bars_a_newly_bad_node() -> None:
    """While all are used, a further outlier is remembered and used too."""
    cluster = Cluster(3)
    cluster.round(1.0, bad=[0, 1], times=5)
    assert cluster.detector.panic
    cluster.round(1.5, bad=[0, 1], times=5)
    assert cluster.out() == [0, 1]
    cluster.round(1.5, times=20)
    cluster.round(1.5, bad=[2], times=5)
    assert cluster.out() == [0, 1, 2]
    assert cluster.barred() == []


def test_a_probe_under_way_when_panic_begins_still_counts() -> None:
    """Restores when good; given back when ignored, without a barrier."""
    cluster = Cluster(3)
    cluster.round(1.0, bad=[0], times=5)
    probe = cluster.detector.claimed(cluster.nodes[0], 2.0)
    cluster.round(2.0, bad=[1], times=5)
    assert probe
    assert cluster.detector.panic
    cluster.detector.record(cluster.nodes[0], CANCELLED, 2.1, probe)
    assert cluster.barred() == []
    cluster.send(0, OK, 2.2)
    assert not cluster.detector.panic


def test_all_may_never_be_out() -> None:
    """A share of 1.0 still leaves one."""
    cluster = Cluster(3, max_share=1.0)
    assert cluster.detector.allowed == 2
    cluster = Cluster(3, max_share=0.0)
    assert cluster.detector.allowed == 1


def test_resizing_begins_and_ends_panic() -> None:
    """Fewer nodes allow fewer out."""
    cluster = Cluster(4)
    cluster.round(1.0, bad=[0, 1], times=5)
    assert cluster.barred() == [0, 1]
    cluster.detector.resize(3, 1.0)
    assert cluster.detector.panic
    assert cluster.barred() == []
    cluster.detector.resize(4, 1.0)
    assert cluster.barred() == [0, 1]


def test_the_last_node_left_is_restored() -> None:
    """It was worse than others who are gone."""
    cluster = Cluster(2)
    cluster.round(1.0, bad=[0], times=5)
    cluster.detector.forget(cluster.nodes[1], 1.5)
    cluster.detector.resize(1, 1.5)
    assert (cluster.out(), cluster.barred()) == ([], [])
    assert cluster.kinds() == ["ejection", "restored"]
    assert not cluster.detector.panic


def test_a_removed_node_is_forgotten() -> None:
    """Its samples, its ejection and its barrier."""
    cluster = Cluster(4)
    cluster.round(1.0, bad=[0, 1, 2], times=5)
    for node in (cluster.nodes[0], cluster.nodes[3], Node("stranger")):
        cluster.detector.forget(node, 1.0)
        assert (node.health, node.barrier) == (None, 0.0)
    assert not cluster.detector.panic
    assert cluster.barred() == [1, 2]


def test_clocks_read_out_of_order_do_no_harm() -> None:
    """A result whose time is older counts as the newest known."""
    cluster = Cluster(2)
    cluster.round(50.0, times=2)
    cluster.round(3.0, bad=[0], times=5)
    assert cluster.nodes[0].barrier == 51.0
    cluster.detector.forget(cluster.nodes[0], 55.0)
    cluster.send(1, OK, 52.0)
    health = cluster.nodes[1].health
    assert health is not None
    health.window.roll(64.0)
    assert health.window.good == 1


def test_options_apply_in_place() -> None:
    """Another window starts empty everywhere, another share is obeyed at once, who is out stays out."""
    cluster = Cluster(5)
    cluster.nodes.append(Node("never asked"))
    cluster.round(1.0, bad=[0, 1], times=5)
    cluster.detector.configure(EjectionOptions(window=30.0, max_share=0.2), cluster.nodes, 1.0)
    assert cluster.detector.panic
    assert cluster.detector.options.window == 30.0
    health = cluster.nodes[2].health
    assert health is not None
    assert (health.window.span, health.window.total) == (30.0, 0)
    cluster.detector.configure(EjectionOptions(window=30.0), cluster.nodes, 1.0)
    assert cluster.barred() == [0, 1]


@pytest.mark.parametrize("options", [{"success_ratio": 2}, {"window": 0}, {"max_share": -0.1}, {"jitter": 3}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    """Bounds are checked when the options are built, and the key is named."""
    with pytest.raises(ConfigError, match=rf"ejection\.{next(iter(options))}"):
        EjectionOptions(**options)
