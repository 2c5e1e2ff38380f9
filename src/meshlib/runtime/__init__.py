"""request > route > [cluster] > resilience > balancing > transport > feedback

The runtime builds and holds everything: clusters, kept state, snapshots, pools. It is the only owner of clock and chance, and
where the control path meets the data path.
"""

from __future__ import annotations

from meshlib.runtime.ambient import deadline
from meshlib.runtime.default import borrowed, default
from meshlib.runtime.runtime import Runtime

__all__ = ["Runtime", "borrowed", "deadline", "default"]
