"""request > route > cluster > resilience > [balancing] > transport > feedback

Balancers build pickers; pickers pick. A picker is a snapshot: it never blocks, connects, locks or reads a clock.
One file per balancer and one line in BALANCERS; everything registered runs the shared contract suite.
"""

from __future__ import annotations

from meshlib.balancing.base import Balancer, Learner, Picked, Picker, PickingCall
from meshlib.core.registry import Registry

__all__ = ["BALANCERS", "Balancer", "Learner", "Picked", "Picker", "PickingCall"]

BALANCERS: Registry[type[Balancer]] = Registry("balancer", "meshlib.balancers")
BALANCERS.register("p2c", "meshlib.balancing.ewma:EwmaP2C")
BALANCERS.register("least_request", "meshlib.balancing.least_request:LeastRequest")
BALANCERS.register("round_robin", "meshlib.balancing.round_robin:RoundRobin")
BALANCERS.register("random", "meshlib.balancing.uniform:Uniform")
