"""request > route > cluster > resilience > balancing > transport > [feedback]

Sinks that watch calls: `otel` (OpenTelemetry spans, metrics, propagation) and `log` (state changes).
A newcomer adds one file and one line in `build.py` (third parties: the entry-point group `meshlib.listeners`).
"""

from __future__ import annotations

from meshlib.telemetry.build import LISTENERS, listeners
from meshlib.telemetry.configure import setup
from meshlib.telemetry.contract import ListenerFactory, StateSource, Watched

__all__ = ["LISTENERS", "ListenerFactory", "StateSource", "Watched", "listeners", "setup"]
