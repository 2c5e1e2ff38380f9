"""Building the one listener of a mesh from the sinks that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from meshlib.core.listener import Fanout, Listener
from meshlib.core.registry import Registry
from meshlib.telemetry.contract import ListenerFactory, Watched

__all__ = ["LISTENERS", "listeners"]

LISTENERS: Registry[ListenerFactory] = Registry("listener", "meshlib.listeners")
LISTENERS.register("log", "meshlib.telemetry.log:Log")
LISTENERS.register("otel", "meshlib.telemetry.otel:OTel")


def listeners(
    names: Iterable[str],
    watched: Watched | None = None,
    extra: Iterable[Listener] = (),
    report: Callable[[Listener, Exception], None] | None = None,
) -> Fanout:
    """The sinks called `names` and the user's own `extra` ones behind one guarded listener.

    What any of them raises goes to `report`; without one it is counted, and logged once a class. ConfigError lists the known
    names for an unknown one. A sink's module, and what it imports, is loaded here and not before.
    """
    watched = Watched() if watched is None else watched
    found = [LISTENERS.get(name)(watched) for name in dict.fromkeys(names)]
    if report is None:
        from meshlib.telemetry.log import Failures

        report = Failures()
    return Fanout([*found, *extra], report)
