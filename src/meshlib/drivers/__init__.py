"""[request] > route > cluster > resilience > balancing > transport > feedback

The only code that waits. A driver asks the engine what to do next, does it, and tells the engine what came of it; the
sync and the async one are the same dozen lines, because every decision is made below them.
"""

from __future__ import annotations

from meshlib.drivers.aio import drive as adrive
from meshlib.drivers.attempts import AsyncAttempts, Attempts
from meshlib.drivers.sync import drive
from meshlib.drivers.wheel import Wheel, wheel

__all__ = ["AsyncAttempts", "Attempts", "Wheel", "adrive", "drive", "wheel"]
