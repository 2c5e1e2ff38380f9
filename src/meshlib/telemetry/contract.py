"""The contract of a telemetry sink: what it is given, and how it is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from meshlib.core.listener import Listener

__all__ = ["ListenerFactory", "StateSource", "Watched"]


class StateSource(Protocol):
    """A snapshot of the mesh, as `mesh.state()` gives it: plain values, no secrets. Called from exporter threads.

    Read are `policy.age` and, per service, `breaker.state`, `budget.balance`, `discovery.age` and, per cluster, `endpoints`
    (counts by state) and `in_flight`. Where a cluster has no such sums they are added up from its `nodes`. Anything may be
    missing.
    """

    def __call__(self) -> Mapping[str, Any]:
        """The state now."""
        ...


def _nothing() -> Mapping[str, Any]:
    return {}


class Watched:
    """What a sink watches besides calls: the mesh's `state`, and its `clock` (monotonic seconds)."""

    __slots__ = ("__weakref__", "clock", "state")

    def __init__(self, state: StateSource = _nothing, clock: Callable[[], float] = time.monotonic) -> None:
        self.state: StateSource = state
        self.clock: Callable[[], float] = clock


class ListenerFactory(Protocol):
    """What is registered in LISTENERS: usually the Listener's class itself."""

    def __call__(self, watched: Watched) -> Listener:
        """A listener for one mesh."""
        ...
