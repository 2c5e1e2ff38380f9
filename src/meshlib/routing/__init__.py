"""request > [route] > cluster > resilience > balancing > transport > feedback

Which rule of a service a request falls under, and which subset of its endpoints gets it. Decided once per
call; all of it is immutable after it was built.
"""

from __future__ import annotations

from meshlib.routing.match import Headers, Match
from meshlib.routing.split import Share, Split, Subset
from meshlib.routing.table import Route, RouteTable

__all__ = ["Headers", "Match", "Route", "RouteTable", "Share", "Split", "Subset"]
