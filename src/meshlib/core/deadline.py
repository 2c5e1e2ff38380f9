"""Deadlines: absolute monotonic seconds inside the process, relative on the wire, nested = the minimum.

A deadline is a plain float (`inf` = none), because it is compared on every call. The *ambient* deadline of the
running context is what `with deadline(...)`, `@timeout` and inbound middleware set and every call inside obeys.
"""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["AMBIENT", "NEVER", "nearest", "remaining"]

NEVER = float("inf")
AMBIENT: ContextVar[float] = ContextVar("meshlib.deadline", default=NEVER)


def nearest(deadline: float) -> float:
    """The sooner of `deadline` and the ambient one."""
    ambient = AMBIENT.get()
    return ambient if ambient < deadline else deadline


def remaining(now: float) -> float | None:
    """Seconds until the ambient deadline (0 when it has passed), or None without one."""
    ambient = AMBIENT.get()
    return None if ambient == NEVER else max(0.0, ambient - now)
