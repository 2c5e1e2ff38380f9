"""Whether the garbage collector is at work in this thread: whatever it closes then may take no lock.

A generator around a response that was left half-way in a reference cycle runs its `finally` in the collector, and so closes the
response wherever the thread happens to be, which may be inside the very lock that closing needs. httpx2's own `iter_raw`
is such a generator; so is a user's `with client.stream(...)` inside one.
"""

from __future__ import annotations

import gc
from threading import get_ident
from typing import Any

__all__ = ["collecting", "watch"]

_collector = 0


def _told(phase: str, info: dict[str, Any]) -> None:
    global _collector
    _collector = get_ident() if phase == "start" else 0


def watch() -> None:
    """Begin to notice collections; again is no harm. A tenth of a microsecond for each of them."""
    if _told not in gc.callbacks:
        gc.callbacks.append(_told)


def collecting() -> bool:
    """Whether this thread is in the middle of a collection."""
    return _collector == get_ident()
