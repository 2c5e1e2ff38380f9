"""Telling the listener what happened, outside every lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshlib.core.outcome import CANCELLED
from meshlib.engine.plan import CallPlan
from meshlib.errors import MeshError

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


def failed(plan: CallPlan, call: Call | None, error: BaseException, reply: Any, now: float) -> None:
    """A driver is left by `error`: give everything back and tell the listener. Without a call, opening it was refused.

    `reply` is what the latest attempt brought. Its error is the cause of an error of ours that ended the call before the
    next attempt.
    """
    if call is None:
        deliver(plan)
        return
    between = call.last is not None and call.last.outcome is not None
    if between and isinstance(error, MeshError) and isinstance(reply, BaseException) and error is not reply:
        error.__cause__ = reply
    if isinstance(error, GeneratorExit):
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
