"""The cost of a node: what was learned, what waits, what failed."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib.balancing.ewma import EwmaOptions, EwmaP2C, cost
from meshlib.core.endpoint import Endpoint
from meshlib.core.outcome import OK, Kind, Outcome
from meshlib.engine import Node

NOW = 1000.0
FAILED = Outcome(Kind.FAILURE, "reset", "broke")


def node(**fields: Any) -> Node:
    found = Node(Endpoint(host="a"))
    for name, value in fields.items():
        setattr(found, name, value)
    return found


def learned(balancer: EwmaP2C, *samples: float, outcome: Outcome = OK, step: float = 0.1) -> Node:
    found, now = node(), NOW
    for seconds in samples:
        balancer.observe(found, outcome, seconds, now)
        now += step
    return found


def test_cold_node() -> None:
    """Free while idle, very dear while its first attempt is out."""
    assert cost(node(), NOW) == 0.0
    assert cost(node(in_flight=1), NOW) > 1e5


def test_queue_multiplies() -> None:
    """The average times the queue that one more attempt would make."""
    assert cost(node(ewma=0.1, stamp=NOW, in_flight=2), NOW) == pytest.approx(0.3)


def test_hang_shows_before_the_reply() -> None:
    """An attempt that waits for more than twice the average stands in for it."""
    hanging = node(ewma=0.1, stamp=NOW, in_flight=1, oldest=NOW - 3)
    assert cost(hanging, NOW) == pytest.approx(6.0)
    hanging.oldest = NOW - 0.15
    assert cost(hanging, NOW) == pytest.approx(0.2)


def test_average_fades() -> None:
    """Without samples a charge is forgotten, so that the node is tried again."""
    charged = node(ewma=5.0, stamp=NOW)
    assert cost(charged, NOW + 0.5) == 5.0
    assert cost(charged, NOW + 30) == pytest.approx(5.0 / 2.718281828, rel=1e-6)


def test_a_beginner_is_offered_cheaply() -> None:
    """One bad first sample must not be the last: a quarter of the price after one call, half after two."""
    prices = [cost(node(ewma=0.4, stamp=NOW, calls=calls), NOW) for calls in (1, 2, 3)]
    assert prices == pytest.approx([0.1, 0.2, 0.4])


@pytest.mark.parametrize("fields", [{"failures": 1}, {"in_flight": 1, "oldest": NOW - 1.0}])
def test_no_offer_for_what_failed_or_hangs(fields: dict[str, Any]) -> None:
    """It is for nodes of which nothing bad is known."""
    fresh = node(ewma=0.4, stamp=NOW, calls=1, **fields)
    known = node(ewma=0.4, stamp=NOW, calls=9, **fields)
    assert cost(fresh, NOW) == cost(known, NOW)


@pytest.mark.parametrize("kind", ["log", "peak"])
@pytest.mark.parametrize(
    ("calls", "failures", "replaced"), [(2, 0, True), (3, 0, True), (4, 0, False), (2, 1, False)]
)
def test_an_early_lower_time_replaces_what_was_learned(
    kind: Any, calls: int, failures: int, replaced: bool
) -> None:
    """The first request to a server pays for much that no other will pay for; a failure is not forgiven so."""
    balancer = EwmaP2C(EwmaOptions(cost=kind))
    found = node(ewma=0.5, stamp=NOW, calls=calls, failures=failures)
    balancer.observe(found, OK, 0.1, NOW + 0.1)
    assert (found.ewma == pytest.approx(0.1)) is replaced
    dearer = node(ewma=0.1, stamp=NOW, calls=calls)
    balancer.observe(dearer, OK, 0.5, NOW + 0.1)
    assert dearer.ewma > 0.1


def test_logarithmic_average() -> None:
    """The first sample counts whole, each further one by its weight of the logarithm; idle time fades what was."""
    balancer = EwmaP2C(EwmaOptions(sample_weight=0.5))
    assert learned(balancer, 0.1).ewma == pytest.approx(0.1)
    assert learned(balancer, 0.1, 0.4).ewma == pytest.approx(0.2)
    assert learned(balancer, 0.0).ewma > 0
    faded = learned(balancer, 1.0, 1.0, step=60.0)
    assert faded.ewma == pytest.approx(2.718281828**-1.0, rel=1e-6)


def test_peak_average() -> None:
    """Up at once, down with time."""
    balancer = EwmaP2C(EwmaOptions(cost="peak", tau=10.0))
    assert learned(balancer, 0.1, 2.0).ewma == 2.0
    assert learned(balancer, 2.0, 1.0, step=10.0).ewma == pytest.approx(1.0 + 1.0 / 2.718281828, rel=1e-6)
    assert learned(balancer, 0.0).ewma > 0


@pytest.mark.parametrize("kind", ["log", "peak"])
def test_fast_failures_are_dear(kind: Any) -> None:
    """A node that fails in no time costs more than a slow one that answers."""
    balancer = EwmaP2C(EwmaOptions(cost=kind))
    failing = learned(balancer, 0.001, 0.001, 0.001, 0.001, outcome=FAILED)
    assert failing.ewma >= 5.0
    throttled = Outcome(Kind.THROTTLED, "throttled", "busy", pushback=1e9)
    assert learned(balancer, 0.001, outcome=throttled).ewma == pytest.approx(300.0)


@pytest.mark.parametrize("kind", ["log", "peak"])
def test_waiting_may_only_raise(kind: Any) -> None:
    """What a caller gave up on is a lower bound."""
    balancer = EwmaP2C(EwmaOptions(cost=kind))
    found = learned(balancer, 1.0)
    balancer.waited(found, 0.5, NOW)
    assert found.ewma == 1.0
    balancer.waited(found, 3.0, NOW)
    assert found.ewma > 1.0


def test_base_does_not_average() -> None:
    """An average says how it takes a sample."""
    from meshlib.balancing.ewma import _Learning

    with pytest.raises(NotImplementedError):
        _Learning(EwmaOptions()).observe(node(), OK, 1.0, NOW)
