"""What the tests of the lean wire share: the clients they run on, the faults' witness, and a look into the pools."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from meshlib.core.listener import Listener
from meshlib.core.outcome import Outcome
from meshlib.engine.attempt import Attempt
from meshlib.engine.call import Call
from meshlib.mesh import Mesh
from meshlib.runtime import Runtime
from meshlib.testing.port import Port
from tests.integration.http_kit import Kit, Side, eventually, in_flight, uri

__all__ = [
    "CALM",
    "LOOPS",
    "Address",
    "LoopKit",
    "Outcomes",
    "clean",
    "meshed",
    "open_connections",
    "pools",
    "runner",
    "sockets",
    "turn",
    "two_addresses",
]

CALM: dict[str, Any] = {"breaker": False, "ejection": False, "wire": "lean"}
"""Policy of a service whose failures have no consequences for the next call."""
LOOPS = ("sync", "async", "uvloop")
"""How the tests of the lean wire drive it: from threads, on asyncio's loop, on uvloop's."""


class LoopKit(Kit):
    """The lean wire in httpx, driven one of the three ways."""

    def __init__(self, how: str) -> None:
        super().__init__("sync" if how == "sync" else "async", "lean", "httpx")
        self.how = how


def runner(how: str) -> asyncio.Runner:
    """A new loop of that kind; a test that wants uvloop where it is not installed is skipped, in CI it fails."""
    if how != "uvloop":
        return asyncio.Runner()
    if not os.environ.get("CI"):
        pytest.importorskip("uvloop")
    import uvloop

    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


class Outcomes(Listener):
    """Keeps what each attempt was classified as."""

    def __init__(self) -> None:
        self.seen: list[Outcome] = []

    def attempt_finished(self, call: Call, attempt: Attempt, outcome: Outcome) -> None:
        """One more."""
        self.seen.append(outcome)


@contextmanager
def meshed(kit: LoopKit, *servers: Any, outcomes: Outcomes | None = None, **policy: Any) -> Iterator[Side]:
    """Our client `orders` on these servers; everything must be given back at the end."""
    options = {name: policy.pop(name) for name in ("limits", "verify", "cert") if name in policy}
    scheme = "https" if "verify" in options else "http"
    services = {"orders": {"discovery": uri(*servers), **CALM, **policy}}
    listeners = [] if outcomes is None else [outcomes]
    with Mesh(policy={"services": services}, listeners=listeners, telemetry=False) as mesh:
        side = kit.made(f"{scheme}://orders", mesh=mesh, **options)
        if side.runner is not None:
            side.runner = runner(kit.how)
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
        assert all(place.gone for place in pool._waiting)
    wires = [wire for wire, *_ in runtime.pools._wires.values()]
    assert eventually(lambda: sum(len(wire.connections) for wire in wires) <= open_connections(runtime))


class Address:
    """Where a server is, for discovery."""

    def __init__(self, host: str, port: int) -> None:
        self.address = f"{host}:{port}"


@contextmanager
def two_addresses(server: Any, patch: pytest.MonkeyPatch) -> Iterator[Address]:
    """A name that means two addresses: the first swallows whatever is sent to it, the second is the server's."""
    if sys.platform != "linux":
        pytest.skip("needs a second loopback address, and Linux's way with a full queue")
    hole = Port("127.0.0.2", server.port)
    plain = socket.getaddrinfo

    def asked(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if host != "two.example":
            return plain(host, port, *rest, **options)
        found = [("127.0.0.2", port), ("127.0.0.1", port)]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in found]

    try:
        hole.blackhole()
        patch.setattr(socket, "getaddrinfo", asked)
        yield Address("two.example", server.port)
    finally:
        hole.close()


def sockets() -> int:
    """Open internet sockets of this process; event loops' own pairs, which come and go, are of another family."""
    found = 0
    for name in os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"):
        try:
            sock = socket.socket(fileno=int(name))
        except OSError:  # no socket, or gone meanwhile
            continue
        found += sock.family in (socket.AF_INET, socket.AF_INET6)
        sock.detach()
    return found
