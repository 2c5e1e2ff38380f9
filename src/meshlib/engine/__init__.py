"""request > route > [cluster] > resilience > balancing > transport > feedback

The sans-IO heart. A policy is compiled once into a flat CallPlan; each call then runs on one Call and one Attempt a try.
Nothing here waits, sends, sleeps or logs: drivers act on what these objects decide.
"""

from __future__ import annotations

from meshlib.engine.attempt import Attempt
from meshlib.engine.call import BUFFERED, HOP, IDEMPOTENT, REPLAYABLE, Call
from meshlib.engine.cluster import Cluster
from meshlib.engine.family import Family
from meshlib.engine.node import Node
from meshlib.engine.plan import CallPlan

__all__ = [
    "BUFFERED",
    "HOP",
    "IDEMPOTENT",
    "REPLAYABLE",
    "Attempt",
    "Call",
    "CallPlan",
    "Cluster",
    "Family",
    "Node",
]
