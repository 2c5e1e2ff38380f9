"""request > route > cluster > [resilience] > balancing > transport > feedback

The same protections for plain functions: `circuit_breaker`, `retry` and `timeout` for sync and async functions and methods,
with state shared by name.

The modules are named in the plural (`breakers`, `retries`, `timeouts`): a submodule called `retry` would replace the
function of that name in this package whenever it was imported last.
"""

from __future__ import annotations

from meshlib.decorators.breakers import Breaking, FunctionBreaker, circuit_breaker
from meshlib.decorators.retries import FunctionRetry, Retrying, retry
from meshlib.decorators.timeouts import Bounded, FunctionTimeout, timeout

__all__ = [
    "Bounded",
    "Breaking",
    "FunctionBreaker",
    "FunctionRetry",
    "FunctionTimeout",
    "Retrying",
    "circuit_breaker",
    "retry",
    "timeout",
]
