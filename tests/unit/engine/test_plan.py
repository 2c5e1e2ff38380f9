"""CallPlan: what is left out is off."""

from __future__ import annotations

from meshlib.core.deadline import NEVER
from meshlib.engine import BUFFERED, Attempt, CallPlan
from tests.rpc import RPC, Request, plan_of


def test_defaults_are_off() -> None:
    """A plan with nothing but a cluster makes one attempt without bounds."""
    cluster = plan_of("a").cluster
    plan = CallPlan("orders", cluster, RPC, lambda: 0.0)
    assert (plan.timeout, plan.connect_timeout, plan.max_attempts) == (NEVER, NEVER, 1)
    attempt = plan.open(Request(), 5.0, BUFFERED).begin(5.0)
    assert isinstance(attempt, Attempt)
    assert attempt.until == NEVER


def test_bounds_are_kept() -> None:
    """Given numbers stand."""
    plan = CallPlan("orders", plan_of("a").cluster, RPC, lambda: 0.0, timeout=2.0, connect_timeout=1.0)
    assert (plan.timeout, plan.connect_timeout) == (2.0, 1.0)


def test_refusals_are_noted() -> None:
    """Refusals of ours wait for the listener; the queue is bounded."""
    plan = plan_of("a")
    for _ in range(2000):
        plan.refused("limit", 7.0)
    assert len(plan.events) == 1024
    event = plan.events[-1]
    assert (event.kind, event.service, event.at, event.facts) == (
        "refusal",
        "orders",
        7.0,
        {"reason": "limit"},
    )
