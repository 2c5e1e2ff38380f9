"""What may be retried."""

from __future__ import annotations

from meshlib.resilience.budget import BudgetOptions, RetryBudget


def test_the_floor_is_there_from_the_start() -> None:
    """10 a second over 10 s, without any call."""
    budget = RetryBudget(BudgetOptions())
    assert budget.balance(0.0) == 100.0
    assert sum(budget.withdraw(0.0) for _ in range(150)) == 100
    assert budget.balance(0.0) == 0.0


def test_calls_pay_for_retries() -> None:
    """One retry for every five calls, beyond the floor."""
    budget = RetryBudget(BudgetOptions(floor=0.0))
    for _ in range(4):
        budget.deposit(1.0)
    assert not budget.withdraw(1.0)
    budget.deposit(1.0)
    assert budget.withdraw(1.0)
    assert not budget.withdraw(1.0)


def test_deposits_expire() -> None:
    """What was not used in the window is gone."""
    budget = RetryBudget(BudgetOptions(floor=0.0))
    for _ in range(50):
        budget.deposit(1.0)
    assert budget.balance(1.0) == 10.0
    assert budget.balance(12.0) == 0.0


def test_the_balance_is_never_negative() -> None:
    """Deposits may expire before the withdrawals that they paid for."""
    budget = RetryBudget(BudgetOptions(floor=0.0))
    for _ in range(50):
        budget.deposit(1.0)
    for _ in range(10):
        assert budget.withdraw(9.5)
    assert budget.balance(11.5) == 0.0
    assert not budget.withdraw(11.5)


def test_withdrawals_expire_too() -> None:
    """A burst of retries is forgotten after the window."""
    budget = RetryBudget(BudgetOptions(floor=1.0, window=1.0))
    assert budget.withdraw(0.0)
    assert not budget.withdraw(0.5)
    assert budget.withdraw(1.05)


def test_options_apply_in_place() -> None:
    """Ratio and floor at once; another window starts empty."""
    budget = RetryBudget(BudgetOptions(floor=0.0))
    for _ in range(10):
        budget.deposit(1.0)
    budget.configure(BudgetOptions(floor=0.0, ratio=0.5))
    assert budget.balance(1.0) == 5.0
    budget.configure(BudgetOptions(floor=1.0, ratio=0.5, window=5.0))
    assert budget.balance(1.0) == 5.0
    budget.deposit(1.0)
    assert budget.describe(1.0) == {"balance": 5.5}
    assert budget.options.window == 5.0
