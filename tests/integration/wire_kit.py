"""What the tests of the lean wire share: the clients they run on, the faults' witness, and a look into the pools."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from meshlib.core.listener import Listener
from meshlib.core.outcome import Outcome
from meshlib.engine.attempt import Attempt
from meshlib.engine.call import Call
from meshlib.mesh import Mesh
from meshlib.runtime import Runtime
from tests.integration.http_kit import Kit, Side, eventually, in_flight, uri

__all__ = ["CALM", "KITS", "Outcomes", "clean", "descriptors", "meshed", "open_connections", "pools", "turn"]

CALM: dict[str, Any] = {"breaker": False, "ejection": False, "wire": "lean"}
"""Policy of a service whose failures have no consequences for the next call."""
KITS = [(kind, "lean", "httpx") for kind in ("sync", "async")]


class Outcomes(Listener):
    """Keeps what each attempt was classified as."""

    def __init__(self) -> None:
        self.seen: list[Outcome] = []

    def attempt_finished(self, call: Call, attempt: Attempt, outcome: Outcome) -> None:
        """One more."""
        self.seen.append(outcome)


@contextmanager
def meshed(kit: Kit, *servers: Any, outcomes: Outcomes | None = None, **policy: Any) -> Iterator[Side]:
    """Our client `orders` on these servers; everything must be given back at the end."""
    limits = policy.pop("limits", None)
    options = {} if limits is None else {"limits": limits}
    services = {"orders": {"discovery": uri(*servers), **CALM, **policy}}
    listeners = [] if outcomes is None else [outcomes]
    with Mesh(policy={"services": services}, listeners=listeners, telemetry=False) as mesh:
        side = Side(
            kit.kind,
            kit.AsyncClient if kit.kind == "async" else kit.Client,
            ("http://orders",),
            {"mesh": mesh, **options},
        )
        try:
            yield side
            turn(side)
            clean(side.runtime)
        finally:
            side.close()


def turn(side: Side, times: int = 5) -> None:
    """Some turns of an async side's loop, for what it does behind our back."""

    async def turns() -> None:
        for _ in range(times):
            await asyncio.sleep(0)

    if side.runner is not None:
        side.runner.run(turns())


def pools(runtime: Runtime) -> list[Any]:
    """The pools of all wires."""
    return [pool for wire, *_ in runtime.pools._wires.values() for pool in wire._pools()]


def open_connections(runtime: Runtime) -> int:
    """As the pools count them, the idle ones among them."""
    return sum(pool.open for pool in pools(runtime))


def clean(runtime: Runtime) -> None:
    """Require that nothing is in flight or waits, and that every open connection is an idle one with a socket."""
    assert in_flight(runtime) == 0
    for pool in pools(runtime):
        assert pool.open == len(pool.idle)
        assert not pool._waiting
    wires = [wire for wire, *_ in runtime.pools._wires.values()]
    assert eventually(lambda: sum(len(wire.connections) for wire in wires) <= open_connections(runtime))


def descriptors() -> int:
    """Open file descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))
