"""request > route > cluster > [resilience] > balancing > transport > feedback

What keeps a failing part from taking the whole along: limits, the circuit breaker, ejection, the retry budget and
waits between retries. All of it decides and none of it acts: time and randomness come in as arguments.
"""

from __future__ import annotations

from meshlib.resilience.backoff import (
    Backoff,
    BackoffOptions,
    Constant,
    Decorrelated,
    EqualJitter,
    Exponential,
    FullJitter,
    Sequence,
    adapted,
)
from meshlib.resilience.breaker import BreakerOptions, CircuitBreaker, State
from meshlib.resilience.budget import BudgetOptions, RetryBudget
from meshlib.resilience.limit import Limiter, LimitOptions
from meshlib.resilience.outlier import Ejectable, EjectionOptions, NodeHealth, OutlierDetector

__all__ = [
    "Backoff",
    "BackoffOptions",
    "BreakerOptions",
    "BudgetOptions",
    "CircuitBreaker",
    "Constant",
    "Decorrelated",
    "Ejectable",
    "EjectionOptions",
    "EqualJitter",
    "Exponential",
    "FullJitter",
    "LimitOptions",
    "Limiter",
    "NodeHealth",
    "OutlierDetector",
    "RetryBudget",
    "Sequence",
    "State",
    "adapted",
]
