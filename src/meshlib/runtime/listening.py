"""Which listeners a runtime has: the log, OpenTelemetry, and the application's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import ref

from meshlib.core.listener import Listener
from meshlib.runtime.state import state
from meshlib.telemetry.build import listeners
from meshlib.telemetry.contract import Watched

if TYPE_CHECKING:
    from meshlib.runtime.runtime import Runtime

__all__ = ["listening"]


def listening(runtime: Runtime, extra: Iterable[Listener], telemetry: bool) -> Listener:
    """One listener for all of them, each guarded. `telemetry` is OpenTelemetry; state changes are always logged."""
    seen = ref(
        runtime
    )  # gauges are read by exporter threads for as long as those live, and must not keep a mesh alive

    def now() -> Mapping[str, Any]:
        found = seen()
        return {} if found is None else state(found, brief=True)

    names = ["log", "otel"] if telemetry else ["log"]
    return listeners(names, Watched(now, runtime.clock), extra)
