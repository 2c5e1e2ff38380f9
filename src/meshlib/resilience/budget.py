"""RetryBudget: what a service may be sent on top of its calls, so that retries never become the outage."""

from __future__ import annotations

from threading import Lock
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from meshlib.core.options import Options, Span
from meshlib.core.windows import Window

__all__ = ["BudgetOptions", "RetryBudget"]


class BudgetOptions(Options, frozen=True, kw_only=True):
    """`retry.budget`: a share of the calls and a floor for quiet times."""

    group: ClassVar[str] = "retry.budget"

    ratio: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1000.0,
            description="Retries per call: 0.2 is the default of Finagle and Linkerd, and bounds the load of a failing "
            "service at 1.2 times its calls.",
        ),
    ] = 0.2
    floor: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1e6,
            description="Retries a second that are always allowed (Finagle, Linkerd: 10), so that a client with one "
            "call a minute can retry it.",
        ),
    ] = 10.0
    window: Annotated[
        Span,
        Meta(
            description="How long a call's deposit is good for (Finagle's ttl, 10 s): long enough to ride out one "
            "instance's death, short enough not to save up for a storm.",
        ),
    ] = 10.0


class RetryBudget:
    """One per service, shared by retries and hedges. Thread-safe; the lock guards counters only, and deposits seldom take it.

    Available = ratio x deposits in the window + floor x window - withdrawals in the window. That is Finagle's
    RetryBudget (`service/RetryBudget.scala`) in whole retries instead of scaled tokens. A call deposits once, when it
    begins: its attempts and redirect hops do not (double deposits doubled the budget in finagle#956). A withdrawal is
    never given back.
    """

    __slots__ = ("_lock", "_options", "_reserve", "_window")

    def __init__(self, options: BudgetOptions) -> None:
        self._lock = Lock()
        self._window = Window(options.window)  # good: deposits, bad: withdrawals
        self._options = options
        self._reserve = options.floor * options.window

    def deposit(self, now: float) -> None:
        """A call has begun."""
        if not self._window.note(now):
            with self._lock:
                self._window.add(now, True)

    def withdraw(self, now: float) -> bool:
        """Take one retry out; False when there is none, and then nothing is taken."""
        with self._lock:
            if self._available(now) < 1.0:
                return False
            self._window.add(now, False)
            return True

    def balance(self, now: float) -> float:
        """Retries available at `now`; never negative, also when deposits expired before what they paid for."""
        with self._lock:
            return max(0.0, self._available(now))

    def _available(self, now: float) -> float:
        window = self._window
        window.roll(now)
        return self._options.ratio * window.good + self._reserve - window.bad

    @property
    def options(self) -> BudgetOptions:
        """What is in force."""
        return self._options

    def configure(self, options: BudgetOptions) -> None:
        """Apply changed options in place; a window of another length starts empty."""
        with self._lock:
            self._options = options
            self._reserve = options.floor * options.window
            self._window.resize(options.window)

    def describe(self, now: float) -> dict[str, Any]:
        """Plain values for `state()`."""
        return {"balance": self.balance(now)}
