"""State that outlives a policy: found again by what it is for, forgotten when no plan names it any more."""

from __future__ import annotations

from meshlib.engine.keep import KEPT_FOR, Keep
from meshlib.resilience import BreakerOptions, BudgetOptions, LimitOptions


def keep() -> Keep:
    return Keep(lambda: 0.5, [].append)


def test_a_recompile_finds_it_again_with_its_new_options() -> None:
    """The same object, the changed options in place."""
    kept = keep()
    breaker = kept.breaker("service", "orders", BreakerOptions())
    assert kept.breaker("service", "orders", BreakerOptions(minimum_calls=5)) is breaker
    assert breaker.options.minimum_calls == 5
    budget, limiter = (
        kept.budget("orders", BudgetOptions()),
        kept.limiter("orders", LimitOptions(concurrency=1)),
    )
    assert kept.budget("orders", BudgetOptions(ratio=0.5)) is budget
    assert kept.limiter("orders", LimitOptions(concurrency=2)) is limiter
    assert set(kept.keys()) == {("breaker", "service", "orders"), ("budget", "orders"), ("limit", "orders")}


def test_what_no_plan_names_any_more_goes_after_a_while() -> None:
    """Ten minutes after the last plan that named it; one that is named again in time stays."""
    kept = keep()
    kept.budget("orders", BudgetOptions())
    kept.budget("users", BudgetOptions())
    kept.name([("budget", "orders"), ("budget", "users")], 0.0)
    kept.name([("budget", "orders")], 10.0)
    kept.name([("budget", "orders")], 10.0 + KEPT_FOR - 1)
    assert kept.known("budget", "users") is not None
    kept.name([("budget", "users")], 10.0 + KEPT_FOR - 0.5)
    kept.name([("budget", "users")], 10.0 + 2 * KEPT_FOR - 1)
    assert set(kept.keys()) == {("budget", "orders"), ("budget", "users")}
    kept.name([("budget", "users")], 10.0 + 2 * KEPT_FOR)
    assert set(kept.keys()) == {("budget", "users")}


def test_what_no_plan_ever_named_stays() -> None:
    """The breakers of decorated functions are nobody's plan."""
    kept = keep()
    breaker = kept.breaker("function", "charge", BreakerOptions())
    kept.name([], 0.0)
    kept.name([], 10 * KEPT_FOR)
    assert kept.breakers() == {"function:charge": breaker}
    kept.breaker("service", "charge", BreakerOptions())
    assert set(kept.breakers()) == {"function:charge", "charge"}
