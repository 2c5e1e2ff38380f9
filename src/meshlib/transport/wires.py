"""Which wire a plan's attempts travel on, and who still needs it.

Connections belong to the mesh: two clients with the same TLS and connection settings share them. A wire is closed with the
last transport that uses it, with its event loop, or with the mesh.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import httpx

from meshlib.engine.plan import CallPlan
from meshlib.transport.proxies import proxy_for
from meshlib.transport.wire import AsyncWire, Wire
from meshlib.transport.wire_foreign import AsyncForeignWire, ForeignWire
from meshlib.transport.wire_httpx import AsyncHttpxWire, HttpxWire, PoolOptions

if TYPE_CHECKING:
    from meshlib.runtime import Runtime

__all__ = ["AsyncWires", "WireSettings", "Wires"]


class WireSettings:
    """The httpx client arguments that decide how connections are made. Equal settings share connections."""

    __slots__ = ("cert", "http1", "http2", "key", "limits", "trust_env", "verify")

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | str | bool = True,
        cert: Any = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: httpx.Limits | None = None,
    ) -> None:
        self.verify = verify
        self.cert = cert
        self.trust_env = trust_env
        self.http1 = http1
        self.http2 = http2
        self.limits = limits
        shown = None if limits is None else repr(limits)
        identity = verify if isinstance(verify, str | bool) else id(verify)
        self.key: Hashable = (identity, repr(cert), trust_env, http1, http2, shown)

    def pool(self, plan: CallPlan, runtime: Runtime, proxy: str | None) -> PoolOptions:
        """The settings of the pools for a plan's service: httpx's `limits` win over the policy's `connections`."""
        connections = runtime.connections(plan.service)
        most: int | None = connections.max
        idle: float | None = connections.idle
        if self.limits is not None:
            most, idle = self.limits.max_connections, self.limits.keepalive_expiry
        return PoolOptions(
            max_connections=most,
            idle=idle,
            max_age=runtime.max_age(connections),
            http1=self.http1,
            http2=self.http2,
            ssl_context=self.context,
            proxy=proxy,
        )

    def context(self) -> ssl.SSLContext:
        """A fresh SSL context: httpcore sets ALPN on what it is given, so it is never a user's shared one unless given."""
        return httpx.create_ssl_context(verify=self.verify, cert=self.cert, trust_env=self.trust_env)


class Wires:
    """The wires of one sync transport."""

    def __init__(
        self, runtime: Runtime, settings: WireSettings, foreign: httpx.BaseTransport | None = None
    ) -> None:
        self._runtime = runtime
        self._settings = settings
        self._foreign = None if foreign is None else ForeignWire(foreign, runtime.clock)
        self._held: dict[str, Wire] = {}
        self._keys: list[Hashable] = []

    def of(self, plan: CallPlan) -> Wire:
        """The plan's wire, made or joined at first use."""
        if self._foreign is not None:
            return self._foreign
        wire = self._held.get(plan.service)
        if wire is None:
            proxy = proxy_for(self._runtime.passed_through(plan.service), self._settings.trust_env)
            key = ("threads", plan.service, proxy, self._settings.key)
            wire = self._runtime.pools.join(key, self._maker(plan, proxy))
            self._keys.append(key)
            self._held[plan.service] = wire
        return wire

    def _maker(self, plan: CallPlan, proxy: str | None) -> Callable[[], HttpxWire]:
        return lambda: HttpxWire(self._settings.pool(plan, self._runtime, proxy), self._runtime.clock)

    def close(self) -> None:
        """Leave all wires; the last one out closes."""
        self._held.clear()
        while self._keys:
            wire = self._runtime.pools.leave(self._keys.pop())
            if wire is not None:
                wire.close()
        if self._foreign is not None:
            self._foreign.close()


class AsyncWires:
    """The wires of one async transport, by event loop."""

    def __init__(
        self, runtime: Runtime, settings: WireSettings, foreign: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._runtime = runtime
        self._settings = settings
        self._foreign = None if foreign is None else AsyncForeignWire(foreign, runtime.clock)
        self._loops: dict[asyncio.AbstractEventLoop, dict[str, AsyncWire]] = {}
        self._keys: list[tuple[asyncio.AbstractEventLoop, Hashable]] = []

    def of(self, plan: CallPlan, loop: asyncio.AbstractEventLoop) -> AsyncWire:
        """The plan's wire on this loop, made or joined at first use."""
        if self._foreign is not None:
            return self._foreign
        held = self._loops.get(loop)
        if held is None:
            self._sweep()
            held = self._loops[loop] = {}
        wire = held.get(plan.service)
        if wire is None:
            proxy = proxy_for(self._runtime.passed_through(plan.service), self._settings.trust_env)
            key = (loop, plan.service, proxy, self._settings.key)
            wire = self._runtime.pools.join(key, self._maker(plan, proxy), loop)
            self._keys.append((loop, key))
            held[plan.service] = wire
        return wire

    def _maker(self, plan: CallPlan, proxy: str | None) -> Callable[[], AsyncHttpxWire]:
        return lambda: AsyncHttpxWire(self._settings.pool(plan, self._runtime, proxy), self._runtime.clock)

    def _sweep(self) -> None:
        """Forget loops that were closed with connections still open: their sockets died with them."""
        for loop in [loop for loop in list(self._loops) if loop.is_closed()]:
            self._loops.pop(loop, None)
            for owner, key in [pair for pair in self._keys if pair[0] is loop]:
                self._keys.remove((owner, key))
                self._runtime.pools.leave(key)

    async def aclose(self) -> None:
        """Leave all wires; the last one out closes, on the loop it belongs to."""
        self._loops.clear()
        here = asyncio.get_running_loop()
        while self._keys:
            loop, key = self._keys.pop()
            wire = self._runtime.pools.leave(key)
            if wire is None or loop.is_closed():
                continue
            if loop is here:
                await wire.aclose()
            else:
                asyncio.run_coroutine_threadsafe(wire.aclose(), loop)
        if self._foreign is not None:
            await self._foreign.aclose()
