"""A RetryBudget is the same as a list of what was paid in and out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshlib.resilience.budget import BudgetOptions, RetryBudget

MOVES = st.tuples(
    st.floats(0.0, 5.0), st.sampled_from(["deposit", "withdraw", "withdraw"]), st.integers(1, 30)
)


@given(
    ratio=st.sampled_from([0.0, 0.1, 0.2, 1.0]),
    floor=st.sampled_from([0.0, 0.3, 1.0, 10.0]),
    window=st.sampled_from([1.0, 10.0]),
    moves=st.lists(MOVES, max_size=40),
)
def test_the_budget_is_a_list_of_payments(
    ratio: float, floor: float, window: float, moves: list[tuple[float, str, int]]
) -> None:
    """Every withdrawal is decided as the model decides it, and the balance is never negative."""
    budget = RetryBudget(BudgetOptions(ratio=ratio, floor=floor, window=window))
    width = window / 10
    paid: list[tuple[float, bool]] = []
    now = 0.0

    def available() -> float:
        recent = [deposit for bucket, deposit in paid if bucket > now // width - 10]
        return ratio * recent.count(True) + floor * window - recent.count(False)

    for step, move, times in moves:
        now += step * width * 3
        for _ in range(times):
            if move == "deposit":
                budget.deposit(now)
                paid.append((now // width, True))
            else:
                possible = available() >= 1.0
                assert budget.withdraw(now) is possible
                if possible:
                    paid.append((now // width, False))
            assert budget.balance(now) == max(0.0, available()) >= 0.0
