"""Cluster: claims, settlements, leases, and sets that come and go."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from meshlib.balancing.uniform import Uniform, UniformOptions
from meshlib.core.endpoint import Endpoint
from meshlib.core.hint import Hints
from meshlib.core.outcome import OK, Kind, Outcome
from meshlib.core.snapshot import EndpointSet
from meshlib.engine import BUFFERED, IDEMPOTENT, REPLAYABLE, Attempt, CallPlan, Cluster, Node
from meshlib.engine.cluster import DEPARTED_FOR
from meshlib.resilience import EjectionOptions, OutlierDetector
from tests.rpc import Request, idle, plan_of, publish

NOW = 1000.0
SAFE = IDEMPOTENT | REPLAYABLE
FAILED = Outcome(Kind.FAILURE, "reset", "broke")
REFUSED = Outcome(Kind.FAILURE, "unsent", "refused", retry_safe=True, delivered="no")


def claimed(plan: CallPlan, now: float = NOW, *tried: Node) -> Attempt:
    call = plan.open(Request(), now, SAFE | BUFFERED)
    call.now = now
    call.tried = tried
    attempt = plan.cluster.claim(call, now, now + 1)
    assert attempt is not None
    return attempt


def settled(
    plan: CallPlan, attempt: Attempt, outcome: Outcome = OK, now: float = NOW, held: bool = False
) -> None:
    attempt.finished, attempt.outcome = now, outcome
    plan.cluster.settle(attempt, outcome, now, held)


def node(plan: CallPlan, host: str) -> Node:
    return plan.cluster.nodes[host, 1]


def ejecting(*hosts: str, **options: Any) -> CallPlan:
    detector = OutlierDetector(EjectionOptions(consecutive_failures=1, jitter=0.0, **options), lambda: 0.5)
    return plan_of(*hosts, detector=detector)


def eject(plan: CallPlan, host: str, now: float = NOW) -> None:
    """One success elsewhere, one failure here."""
    detector, out = plan.cluster.detector, node(plan, host)
    assert detector is not None
    detector.record(out, FAILED, now, False)
    other = next(one for one in plan.cluster.nodes.values() if one is not out and one.barrier <= now)
    detector.record(other, OK, now, False)
    detector.record(out, FAILED, now, False)
    assert out.barrier > now


def test_nothing_to_claim() -> None:
    """No set yet, and an empty set: no attempt."""
    plan = plan_of()
    call = plan.open(Request(), NOW)
    assert plan.cluster.claim(call, NOW, NOW) is None
    publish(plan.cluster)
    assert plan.cluster.claim(call, NOW, NOW) is None
    assert plan.cluster._scan(call, NOW, NOW) is None


def test_in_flight_and_oldest() -> None:
    """Counts go up and down; the oldest attempt that waits for its head is known, whatever order they end in."""
    plan = plan_of("a")
    attempts = [claimed(plan, NOW + number) for number in range(3)]
    a = node(plan, "a")
    assert (a.in_flight, a.calls, a.oldest) == (3, 3, NOW)
    settled(plan, attempts[1])
    assert a.oldest == NOW
    settled(plan, attempts[0])
    assert a.oldest == NOW + 2
    settled(plan, attempts[2])
    assert idle(plan)


def test_picks_that_fail_end_in_a_scan() -> None:
    """A picker that knows only one node does not keep the others from being found."""
    plan = plan_of("a", "b", "c")
    a, b, c = plan.cluster.nodes.values()

    class Stubborn:
        def pick(self, call: Any) -> Any:
            return a

    plan.cluster.picker = Stubborn()
    assert claimed(plan, NOW, a).node in (b, c)
    b.barrier = NOW + 5
    assert claimed(plan, NOW, a).node is c
    assert claimed(plan, NOW, c, a).node is b, (
        "not tried, though it is out, before one that this call has met"
    )
    c.barrier = NOW + 5
    assert claimed(plan, NOW, a).node in (b, c), "panic: any but the one that has just failed"
    publish(plan.cluster, "a")
    plan.cluster.picker = Stubborn()
    assert claimed(plan, NOW, a).node is a, "the only one there is"


def test_picker_without_an_offer() -> None:
    """None from a picker leads to the scan at once."""
    plan = plan_of("a")

    class Empty:
        def pick(self, call: Any) -> Any:
            return None

    plan.cluster.picker = Empty()
    assert claimed(plan).node.host == "a"


def test_scan_respects_weights_and_priorities() -> None:
    """A node without weight is taken only when there is nothing else; panic stays on the primary level."""
    drained = Endpoint(host="drained", port=1, weight=0)
    plan = plan_of("a", drained)
    a = node(plan, "a")
    assert claimed(plan, NOW, a).node is a
    plan = plan_of("a", "b", Endpoint(host="spare", port=1, priority=1))
    for one in plan.cluster.nodes.values():
        one.barrier = NOW + 5
    for _ in range(20):
        assert claimed(plan, NOW, node(plan, "a")).node.host == "b"


def test_probe_is_claimed_once() -> None:
    """When an ejected node's time is up, one attempt probes it and the others go elsewhere until the result."""
    plan = ejecting("a", "b", "c", base=1.0)
    eject(plan, "a")
    later = NOW + 1.5
    attempts = [claimed(plan, later) for _ in range(8)]
    [probe] = [attempt for attempt in attempts if attempt.node.host == "a"]
    assert probe.probe
    settled(plan, probe, OK, later)
    assert not probe.probe
    assert node(plan, "a").state(later) == "ready"


def test_feedback_reaches_the_balancer() -> None:
    """Successes and failures are observed with the time to the head; what a caller gave up on is a lower bound."""
    seen: list[tuple[str, float]] = []

    class Learner(Uniform):
        def observe(self, node: Any, outcome: Outcome, seconds: float, now: float) -> None:
            seen.append((outcome.cause, seconds))

        def waited(self, node: Any, seconds: float, now: float) -> None:
            seen.append(("waited", seconds))

    plan = plan_of("a")
    plan.cluster.use(Learner(UniformOptions()))
    attempt = claimed(plan)
    attempt.head = NOW + 1
    settled(plan, attempt, OK, NOW + 5)
    settled(plan, claimed(plan), FAILED, NOW + 2)
    settled(plan, claimed(plan), Outcome(Kind.IGNORED, "cancelled", "was cancelled"), NOW + 3)
    assert seen == [("ok", 1.0), ("reset", 2.0), ("waited", 3.0)]
    plan.cluster.use(Uniform(UniformOptions()))
    settled(plan, claimed(plan), FAILED)
    settled(plan, claimed(plan), Outcome(Kind.IGNORED, "cancelled", "was cancelled"))
    assert len(seen) == 3
    assert node(plan, "a").failures == 2


def test_half_unreachable_asks_for_a_refresh() -> None:
    """Failed connects to half of the set (or to the only node) leave a hint; a success takes a node off the list."""
    hints = Hints()
    plan = plan_of("a", "b", "c", hints=hints)
    a, b, c = plan.cluster.nodes.values()
    assert not plan.cluster._spoilt(a, REFUSED, 0.0, NOW)
    attempt = claimed(plan, NOW, a, c)
    assert attempt.node is b
    settled(plan, attempt, REFUSED)
    assert [(hint.kind, hint.service, hint.subject) for hint in hints.drain()] == [
        ("refresh", "orders", "b:1")
    ]

    single = plan_of("a", hints=hints)
    hints.drain()
    settled(single, claimed(single), REFUSED)
    assert len(hints.drain()) == 1
    alone = plan_of("a")
    settled(alone, claimed(alone), REFUSED)  # without a queue for hints: nothing but the count
    assert node(alone, "a").failures == 1
    assert node(alone, "a").usable(NOW)


def test_an_unreachable_node_is_left_alone_for_a_moment() -> None:
    """1 s, 2 s, 4 s to 10 s, give or take half; failures found together count once; a connection ends it."""
    plan = plan_of("a", "b", balancer="round_robin")
    cluster = plan.cluster
    lame = node(plan, "a")
    now, pauses = NOW, []
    for _ in range(6):
        lame.ewma = 0.5
        cluster._spoilt(lame, REFUSED, 0.0, now)
        cluster._spoilt(lame, REFUSED, 0.0, now)
        assert lame.ewma == 0.0
        assert lame.state(now) == "unreachable"
        pauses.append(lame.barrier - now)
        now = lame.barrier
        assert lame.state(now) == "ready"
    for pause, mean in zip(pauses, (1, 2, 4, 8, 10, 10), strict=True):
        assert mean / 2 <= pause <= mean * 1.5
    attempt = claimed(plan, now, node(plan, "b"))
    assert attempt.node is lame
    settled(plan, attempt, OK, now)
    assert not cluster._unreachable
    cluster._spoilt(lame, REFUSED, 0.0, now)
    assert lame.barrier - now <= 1.5


def test_departed_node_hints_nothing() -> None:
    """A connect that fails to an address that has left is no news."""
    plan = plan_of("a", "b")
    attempt = claimed(plan)
    publish(plan.cluster, "a" if attempt.node.host == "b" else "b")
    settled(plan, attempt, REFUSED)
    assert not plan.cluster._unreachable


def test_release_of_a_stream() -> None:
    """The lease comes back once; a failure in the body is reported to node and detector, and only then."""
    plan = ejecting("a", "b", success_ratio=0.0)
    attempt = claimed(plan)
    settled(plan, attempt, OK, NOW, held=True)
    assert attempt.node.in_flight == 1
    attempt.release(NOW, FAILED)
    attempt.release(NOW, FAILED)
    plan.cluster.release(attempt, NOW, FAILED)
    assert attempt.node.failures == 1
    assert attempt.node.health is not None
    assert attempt.node.health.window.bad == 1
    assert idle(plan)
    attempt = claimed(plan_of("a"))
    attempt.release(NOW, FAILED)
    assert attempt.node.failures == 1


def test_abandoned_stream_is_collected() -> None:
    """A body dropped without being closed gives its lease back by way of the next claim, or of the control path's tick."""
    plan = plan_of("a")

    class Body:
        def __init__(self, attempt: Attempt) -> None:
            self.attempt = attempt
            self.me = self  # only the collector can free it

        def __del__(self) -> None:
            self.attempt.abandon()

    for settle in (lambda: settled(plan, claimed(plan)), lambda: plan.cluster.forget(NOW)):
        attempt = claimed(plan)
        settled(plan, attempt, OK, NOW, held=True)
        body = Body(attempt)
        del attempt, body
        gc.collect()
        assert node(plan, "a").in_flight == 1
        assert len(plan.cluster.abandoned) == 1
        settle()
        assert idle(plan)


def test_released_attempt_is_not_abandoned() -> None:
    """The finaliser of a body that was closed leaves no note."""
    plan = plan_of("a")
    attempt = claimed(plan)
    settled(plan, attempt)
    attempt.abandon()
    assert not plan.cluster.abandoned


def test_nodes_outlive_snapshots() -> None:
    """A key that stays keeps its Node, with the endpoint of the newest set."""
    plan = plan_of("a", "b")
    a = node(plan, "a")
    a.ewma = 0.25
    publish(plan.cluster, Endpoint(host="a", port=1, zone="z2"), "c")
    assert node(plan, "a") is a
    assert (a.ewma, a.endpoint.zone) == (0.25, "z2")
    assert [key[0] for key in plan.cluster.departed] == ["b"]


def test_departed_nodes_are_remembered_for_a_while() -> None:
    """What was learned comes back with the address within 30 s; after that, and after its last attempt, it is dropped."""
    dropped: list[Node] = []
    plan = plan_of("a", "b", dropped=dropped.append)
    a, b = node(plan, "a"), node(plan, "b")
    b.ewma = 0.5
    publish(plan.cluster, "a", now=NOW)
    assert b.state(NOW) == "draining"
    publish(plan.cluster, "a", "b", now=NOW + DEPARTED_FOR - 1)
    assert node(plan, "b") is b
    assert (b.ewma, b.state(NOW)) == (0.5, "ready")

    attempt = claimed(plan, NOW, a)
    assert attempt.node is b
    publish(plan.cluster, "a", now=NOW)
    plan.cluster.forget(NOW + DEPARTED_FOR)
    assert not dropped
    settled(plan, attempt)
    plan.cluster.forget(NOW + DEPARTED_FOR)
    assert dropped == [b]
    publish(plan.cluster, "a", "b", now=NOW)
    assert node(plan, "b") is not b


def test_ejection_survives_a_flapping_registry() -> None:
    """A node that was out is out when it comes back; while it is away the others are not compared with it."""
    plan = ejecting("a", "b", "c", base=20.0)
    eject(plan, "a")
    a, detector = node(plan, "a"), plan.cluster.detector
    assert detector is not None
    publish(plan.cluster, "b", "c", now=NOW + 1)
    assert detector.describe()["ejected"] == 0
    eject(plan, "b", NOW + 1)
    assert not detector.panic, "the one that is away is not among those out"
    publish(plan.cluster, "a", "b", "c", now=NOW + 2)
    assert detector.panic, "two of three"
    publish(plan.cluster, "a", "c", now=NOW + 3)
    assert a.state(NOW + 3) == "ejected"
    assert node(plan, "c").state(NOW + 3) == "ready"
    publish(plan.cluster, "c", now=NOW + 4)
    plan.cluster.forget(NOW + 4 + DEPARTED_FOR)
    assert a.health is None
    assert not detector.panic


def test_departed_node_is_not_judged() -> None:
    """Results of attempts that outlive their node's presence change no window."""
    plan = ejecting("a", "b")
    attempts = [claimed(plan), claimed(plan)]
    publish(plan.cluster, "c")
    settled(plan, attempts[0], FAILED)
    settled(plan, attempts[1], OK, NOW, held=True)
    attempts[1].release(NOW, FAILED)
    assert all(attempt.node.health is None for attempt in attempts)
    publish(plan.cluster, "a", "b", "c")
    assert idle(plan)


def test_apply_given_up_midway_changes_nothing() -> None:
    """Calls see the old set until the very end."""
    plan = plan_of("a", "b")
    picker, nodes = plan.cluster.picker, plan.cluster.nodes
    work = plan.cluster.apply(EndpointSet([Endpoint(host="c", port=1)]), NOW)
    next(work)
    work.close()
    assert plan.cluster.picker is picker
    assert plan.cluster.nodes is nodes
    assert not plan.cluster.departed


def test_empty_set_explains_itself() -> None:
    """Never ready: the problem; ready and empty: who says so."""
    plan = plan_of()
    assert plan.cluster.emptiness() == "no answer from discovery yet"
    for _ in plan.cluster.apply(EndpointSet((), source="dns://orders"), NOW):
        pass
    assert plan.cluster.ready
    assert plan.cluster.emptiness() == "discovery (dns://orders) knows no instance of orders"
    publish(plan.cluster)
    plan.cluster.snapshot = None
    assert plan.cluster.emptiness() == "discovery (static) knows no instance of orders"


def test_expecting_after_the_first_set() -> None:
    """The turn is there at once."""
    plan = plan_of("a")
    assert plan.cluster.expect(NOW).granted


def test_balancer_may_change() -> None:
    """Another balancer picks from the nodes that are there, and nothing of theirs is lost; also before any set."""
    plan = plan_of("a")
    a = node(plan, "a")
    before = plan.cluster.picker
    plan.cluster.use(Uniform(UniformOptions()))
    assert plan.cluster.picker is not before
    assert claimed(plan).node is a
    empty = Cluster("orders", Uniform(UniformOptions()), lambda: 0.0)
    empty.use(Uniform(UniformOptions()))
    assert empty.picker is None


@pytest.mark.parametrize("first", [True, False])
def test_claim_that_lost_its_node(first: bool) -> None:
    """A node that is taken out between pick and claim is not used."""
    plan = plan_of("a", "b")
    a, b = plan.cluster.nodes.values()

    class Racing:
        def pick(self, call: Any) -> Any:
            a.barrier = NOW + 5  # ejected by another thread just now
            return a

    plan.cluster.picker = Racing()
    assert claimed(plan, NOW, *([] if first else [a])).node is b


def test_policy_may_change_in_place() -> None:
    """Ejection with other options, off, and on again; departed nodes follow, too; a balancer of None stays."""
    plan = ejecting("a", "b", "c", base=20.0)
    cluster, detector = plan.cluster, plan.cluster.detector
    assert detector is not None
    eject(plan, "a")
    a, balancer = node(plan, "a"), cluster.balancer
    publish(cluster, "b", "c")
    changed = EjectionOptions(window=5.0)
    cluster.configure(None, None, changed, NOW)
    cluster.configure(None, None, changed, NOW)
    assert cluster.balancer is balancer
    assert cluster.detector is detector
    assert a.health is not None
    assert a.health.window.span == 5.0
    cluster.configure(None, None, None, NOW)
    cluster.configure(None, None, None, NOW)
    publish(cluster, "a", "b", "c")
    assert cluster.detector is None
    assert a.state(NOW) == "ready"
    assert claimed(plan, NOW, node(plan, "b"), node(plan, "c")).node is a
    fresh = OutlierDetector(changed, lambda: 0.5)
    cluster.configure(Uniform(UniformOptions()), fresh, changed, NOW)
    assert cluster.balancer is not balancer
    assert cluster.detector is fresh
    assert fresh.allowed == 1
    cluster.configure(None, None, None, NOW)
    cluster.configure(None, None, changed, NOW)
    assert cluster.detector is None


def test_of_nodes_that_are_out_the_untried_is_asked() -> None:
    """It may be back by now; the one that this call met before is not."""
    plan = plan_of("a", "b", "c")
    a, b, c = plan.cluster.nodes.values()
    for one in (a, b, c):
        one.barrier = NOW + 5
    for _ in range(10):
        assert claimed(plan, NOW, a, b).node is c
