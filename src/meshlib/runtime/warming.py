"""Connecting ahead: endpoints get a connection before the first request that needs one, because somebody asked for it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from meshlib.world.offload import Offload

if TYPE_CHECKING:
    from meshlib.runtime.runtime import Runtime
    from meshlib.runtime.service import Service

__all__ = ["connect_ahead"]

_threads = Offload(4, "meshlib-warm")


def connect_ahead(runtime: Runtime, service: Service, address: str) -> None:
    """Every wire that has spoken to the service connects to its endpoints (or the one at `address`) where nothing is open.

    On the control path. Best effort: what cannot be connected is left to the first request.
    """
    seconds = service.policy.connect_timeout
    nodes = [
        node
        for cluster in list(service.clusters.values())
        for node in list(cluster.nodes.values())
        if address in ("", node.address)
    ]
    for wire, loop in runtime.pools.all():
        if getattr(wire, "service", "") != service.key:
            continue
        for node in nodes:
            if loop is None:
                connect = partial(_threads.run, partial(wire.warm, node, seconds))
                runtime.world.background.spawn(connect, name="meshlib-warm")
            elif not loop.is_closed():
                loop.call_soon_threadsafe(wire.warm, node, seconds)
