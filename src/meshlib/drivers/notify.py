"""Telling the listener what happened, outside every lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshlib.core.outcome import CANCELLED
from meshlib.engine.plan import CallPlan

if TYPE_CHECKING:
    from meshlib.engine.call import Call

__all__ = ["closed", "deliver", "failed", "settled"]


def deliver(plan: CallPlan) -> None:
    """Hand the plan's collected events to its listener, oldest first; each once, by whichever call comes by."""
    listener = plan.listener
    events = plan.events
    while events:
        try:
            event = events.popleft()
        except IndexError:
            return
        if listener is not None:
            listener.event(event)


def failed(plan: CallPlan, call: Call | None, error: BaseException, now: float) -> None:
    """A driver is left by `error`: give everything back and tell the listener. Without a call, opening it was refused."""
    if call is None:
        deliver(plan)
    elif isinstance(error, GeneratorExit):
        # The collector found a coroutine that nobody finished; it may have interrupted the holder of the very lock that
        # closing takes.
        call.abandon()
    else:
        closed(call, now)


def closed(call: Call, now: float) -> None:
    """Close a call that is over, and tell the listener."""
    left = call.close(now)
    listener = call.plan.listener
    if left is not None and listener is not None:
        listener.attempt_finished(call, left, CANCELLED)
    settled(call)
    call.last = None  # see drivers.sync


def settled(call: Call) -> None:
    """Tell the listener that the call is over, and what happened meanwhile."""
    plan = call.plan
    if plan.listener is not None:
        plan.listener.call_finished(call, call.outcome)
    if plan.events:
        deliver(plan)
