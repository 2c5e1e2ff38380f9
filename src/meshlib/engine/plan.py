"""CallPlan: everything a call of one route needs, compiled flat. Immutable once published; calls keep theirs to the end."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from meshlib.core.deadline import AMBIENT, NEVER
from meshlib.core.listener import Event
from meshlib.engine import failure
from meshlib.engine.call import HOP, Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshlib.core.listener import Listener
    from meshlib.core.outcome import Outcome
    from meshlib.engine.attempt import Attempt
    from meshlib.engine.cluster import Cluster
    from meshlib.engine.family import Family
    from meshlib.resilience.breaker import CircuitBreaker
    from meshlib.resilience.budget import RetryBudget
    from meshlib.resilience.limit import Limiter
    from meshlib.resilience.retry import RetryPolicy

__all__ = ["CallPlan"]


class CallPlan:
    """What is absent is None and costs one test. `events` collects what happened under locks, for drivers to deliver.

    `classify`, `classify_error` and `transport_errors` are the family's, bound here so that a driver's loop finds
    them in one step.
    """

    __slots__ = (
        "attempt_timeout",
        "breaker",
        "budget",
        "classify",
        "classify_error",
        "cluster",
        "connect_timeout",
        "events",
        "family",
        "limiter",
        "listener",
        "max_attempts",
        "raise_on_exhausted",
        "random",
        "retry",
        "route",
        "service",
        "stream_timeout",
        "timeout",
        "transport_errors",
    )

    def __init__(
        self,
        service: str,
        cluster: Cluster,
        family: Family,
        random: Callable[[], float],
        *,
        route: str = "",
        timeout: float | None = None,
        attempt_timeout: float | None = None,
        connect_timeout: float | None = None,
        stream_timeout: float | None = None,
        retry: RetryPolicy | None = None,
        max_attempts: int = 1,
        budget: RetryBudget | None = None,
        breaker: CircuitBreaker | None = None,
        limiter: Limiter | None = None,
        listener: Listener | None = None,
        events: deque[Event] | None = None,
        raise_on_exhausted: bool = False,
    ) -> None:
        self.service: str = service
        self.route: str = route
        self.cluster: Cluster = cluster
        self.family: Family = family
        self.random: Callable[[], float] = random
        self.timeout: float = NEVER if timeout is None else timeout
        self.attempt_timeout: float | None = attempt_timeout
        self.connect_timeout: float = NEVER if connect_timeout is None else connect_timeout
        self.stream_timeout: float | None = stream_timeout
        self.retry: RetryPolicy | None = retry
        self.max_attempts: int = max_attempts
        self.budget: RetryBudget | None = budget
        self.breaker: CircuitBreaker | None = breaker
        self.limiter: Limiter | None = limiter
        self.listener: Listener | None = listener
        self.events: deque[Event] = deque(maxlen=1024) if events is None else events
        self.raise_on_exhausted: bool = raise_on_exhausted
        self.classify: Callable[[Any], Outcome] = family.classify
        self.classify_error: Callable[[BaseException, Attempt], Outcome] = family.classify_error
        self.transport_errors: tuple[type[BaseException], ...] = family.transport_errors

    def open(self, request: Any, now: float, flags: int = 0, deadline: float = 0.0) -> Call:
        """Begin a call. `deadline` is absolute; 0 takes the policy's, `inf` none; the ambient one always holds too.

        Raises CircuitOpenError of the plan's family.
        """
        if not deadline:
            deadline = now + self.timeout
        ambient = AMBIENT.get()
        if ambient < deadline:
            deadline = ambient
        permit = 0
        if self.breaker is not None:
            permit = self.breaker.admit(now)
            if not permit:
                raise failure.open_circuit(self, request, now)
        if self.budget is not None and not flags & HOP:
            self.budget.deposit(now)
        return Call(self, request, now, flags, deadline, permit)

    def refused(self, reason: str, now: float) -> None:
        """Note a refusal of ours, for the listener."""
        self.events.append(Event("refusal", self.service, now, {"reason": reason}))
