"""Keep: the state that outlives a policy.

A recompile finds breakers, budgets, limits and clusters here again by what they are *for*, and applies changed options to
them in place: an open breaker stays open over a reload. What no plan has named for ten minutes is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from meshlib.core.deadline import NEVER
from meshlib.resilience.breaker import BreakerKind, BreakerOptions, CircuitBreaker
from meshlib.resilience.budget import BudgetOptions, RetryBudget
from meshlib.resilience.limit import Limiter, LimitOptions

if TYPE_CHECKING:
    from meshlib.core.listener import Event
    from meshlib.engine.cluster import Cluster

__all__ = ["KEPT_FOR", "Keep"]

T = TypeVar("T")
K = TypeVar("K", CircuitBreaker, RetryBudget, Limiter)

KEPT_FOR = 600.0
"""Seconds that state survives after the last plan that named it."""


class Keep:
    """One per runtime. Thread-safe: the control path and decorators both come here."""

    def __init__(self, random: Callable[[], float], emit: Callable[[Event], object]) -> None:
        self._random = random
        self._emit = emit
        self._lock = Lock()
        self._things: dict[tuple[Hashable, ...], Any] = {}
        self._idle: dict[tuple[Hashable, ...], float] = {}

    def breaker(self, kind: BreakerKind, name: str, options: BreakerOptions) -> CircuitBreaker:
        """The breaker of a service, route or function, with these options from now on."""
        found = self._find(
            ("breaker", kind, name), lambda: CircuitBreaker(name, options, self._random, self._emit, kind)
        )
        return _configured(found, options)

    def budget(self, service: str, options: BudgetOptions) -> RetryBudget:
        """The one retry budget of a service: all layers and routes withdraw from it (finagle#956)."""
        return _configured(self._find(("budget", service), lambda: RetryBudget(options)), options)

    def limiter(self, service: str, options: LimitOptions) -> Limiter:
        """The concurrency limit of a service."""
        return _configured(self._find(("limit", service), lambda: Limiter(options)), options)

    def cluster(self, service: str, subset: str, make: Callable[[], Cluster]) -> Cluster:
        """The nodes of a service's subset ("" is all of it)."""
        return self._find(("cluster", service, subset), make)

    def _find(self, key: tuple[Hashable, ...], make: Callable[[], T]) -> T:
        with self._lock:
            found: T | None = self._things.get(key)
            if found is None:
                found = self._things[key] = make()
            return found

    def name(self, keys: Iterable[tuple[Hashable, ...]], now: float) -> None:
        """The keys that plans name now; what they named once and no longer do is forgotten after KEPT_FOR.

        What no plan ever named (the breakers and budgets of decorated functions) lives as long as the process.
        """
        live = set(keys)
        with self._lock:
            for key in list(self._things):
                if key in live:
                    self._idle[key] = NEVER
                elif key in self._idle:
                    idle = self._idle[key] = min(self._idle[key], now)
                    if now - idle >= KEPT_FOR:
                        del self._things[key], self._idle[key]

    def known(self, *key: Hashable) -> Any:
        """What is kept under a key, or None; makes nothing and keeps nothing alive."""
        with self._lock:
            return self._things.get(key)

    def keys(self) -> list[tuple[Hashable, ...]]:
        """What is kept."""
        with self._lock:
            return list(self._things)

    def breakers(self) -> dict[str, CircuitBreaker]:
        """All breakers by name, for `state()`; a service's and a function's of one name do not hide each other."""
        with self._lock:
            return {
                (str(key[2]) if key[1] == "service" else f"{key[1]}:{key[2]}"): thing
                for key, thing in self._things.items()
                if key[0] == "breaker"
            }


def _configured(thing: K, options: Any) -> K:
    if thing.options != options:
        thing.configure(options)
    return thing
