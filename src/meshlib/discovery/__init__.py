"""request > route > [cluster] > resilience > balancing > transport > feedback

Where endpoints come from: one resolver per URI scheme, and the runner that keeps each of them going.
A newcomer adds one file and one line below (third parties: the entry-point group `meshlib.resolvers`).
"""

from __future__ import annotations

from meshlib.core.registry import Registry
from meshlib.discovery.contract import Resolver, Target
from meshlib.discovery.runner import run

__all__ = ["RESOLVERS", "Resolver", "Target", "find", "run"]

RESOLVERS: Registry[Resolver] = Registry("discovery scheme", "meshlib.resolvers")
RESOLVERS.register("dns", "meshlib.discovery.dns:DNS")
RESOLVERS.register("file", "meshlib.discovery.file:FILE")
RESOLVERS.register("srv", "meshlib.discovery.srv:SRV")
RESOLVERS.register("static", "meshlib.discovery.static:STATIC")


def find(target: Target) -> Resolver:
    """The resolver for a target's scheme, its URI checked; ConfigError lists the known schemes or options."""
    resolver = RESOLVERS.get(target.uri.scheme)
    resolver.check(target)
    return resolver
