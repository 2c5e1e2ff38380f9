"""Delivering what happened under locks to the listener, outside them."""

from __future__ import annotations

from meshlib.engine.plan import CallPlan

__all__ = ["deliver"]


def deliver(plan: CallPlan) -> None:
    """Hand the plan's collected events to its listener, oldest first. Each is delivered once, by whichever call comes by."""
    listener = plan.listener
    events = plan.events
    while events:
        try:
            event = events.popleft()
        except IndexError:
            return
        if listener is not None:
            listener.event(event)
