"""The breaker under threads: what is bounded stays bounded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from threading import Barrier, Thread

import pytest

from meshlib.resilience.breaker import BreakerOptions, CircuitBreaker, State
from meshlib.resilience.budget import BudgetOptions, RetryBudget


@pytest.fixture(autouse=True)
def frequent_switches() -> Iterator[None]:
    """Threads change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(count: int, work: Callable[[int], None]) -> None:
    start = Barrier(count)

    def run(number: int) -> None:
        start.wait()
        work(number)

    threads = [Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("probes", [1, 3])
def test_32_threads_share_the_probes_of_a_half_open_breaker(probes: int) -> None:
    """Exactly as many are admitted as there are probes, each with its own lease."""
    for _ in range(20):
        options = BreakerOptions(consecutive_failures=1, half_open_probes=probes)
        breaker = CircuitBreaker("orders", options, lambda: 0.5)
        breaker.record(breaker.admit(0.0), False, 0.1, 0.0)
        permits: list[int] = []
        together(32, lambda _, breaker=breaker, permits=permits: permits.append(breaker.admit(5.0)))  # type: ignore[misc]
        admitted = [permit for permit in permits if permit]
        assert len(admitted) == len(set(admitted)) == probes
        assert breaker.state is State.HALF_OPEN


def test_no_result_is_lost_between_threads() -> None:
    """Eight threads record 500 calls each, and all are counted."""
    breaker = CircuitBreaker(
        "orders", BreakerOptions(failure_ratio=1.0, minimum_calls=1_000_000), lambda: 0.5
    )

    def work(number: int) -> None:
        for _ in range(500):
            breaker.record(breaker.admit(1.0), number % 2 == 0, 0.1, 1.0)

    together(8, work)
    facts = breaker.describe(1.0)
    assert (facts["calls"], facts["failures"]) == (4000, 2000)


def test_opening_under_load_opens_once() -> None:
    """Results of calls admitted before it opened do not open it again."""
    moves: list[object] = []
    options = BreakerOptions(consecutive_failures=1)
    breaker = CircuitBreaker("orders", options, lambda: 0.5, moves.append)
    permits = [breaker.admit(0.0) for _ in range(32)]
    together(32, lambda number: breaker.record(permits[number], False, 0.1, 0.0))
    assert len(moves) == 1


def test_results_noted_without_the_lock_are_all_counted() -> None:
    """Good results, which take the lock only now and then, and deposits; through several buckets."""
    breaker = CircuitBreaker("orders", BreakerOptions(window=1000.0), lambda: 0.5)
    budget = RetryBudget(BudgetOptions(window=1000.0, ratio=1.0, floor=0.0))

    def work(number: int) -> None:
        for step in range(1000):
            budget.deposit(step * 0.5)
            breaker.record(breaker.admit(1.0), True, 0.1, step * 0.5)

    together(8, work)
    assert breaker.describe(500.0)["calls"] == 8000
    assert budget.balance(500.0) == 8000.0
