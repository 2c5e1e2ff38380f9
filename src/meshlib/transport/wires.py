"""Which wire a plan's attempts travel on, and who still needs it.

Connections belong to the mesh: two clients with the same TLS and connection settings share them. A wire is closed with the
last transport that uses it, with its event loop, or with the mesh; calls that still have it go on to their end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TYPE_CHECKING

import httpx

from meshlib.engine.plan import CallPlan
from meshlib.transport.proxies import proxy_for
from meshlib.transport.settings import WireSettings
from meshlib.transport.wire import AsyncWire, Wire
from meshlib.transport.wire_foreign import AsyncForeignWire, ForeignWire
from meshlib.transport.wire_httpx import AsyncHttpxWire, HttpxWire
from meshlib.world import fork

if TYPE_CHECKING:
    from meshlib.runtime import Runtime

__all__ = ["AsyncWires", "Wires"]


class _Wires:
    """What both kinds share: the proxy of a passed-through host, and the key that equal wires have in common."""

    def __init__(self, runtime: Runtime, settings: WireSettings) -> None:
        self._runtime = runtime
        self._settings = settings
        self._lock = Lock()
        self._closed = False
        fork.watch(self)

    def _proxy(self, plan: CallPlan) -> str | None:
        return proxy_for(self._runtime.passed_through(plan.service), self._settings.trust_env)


class Wires(_Wires):
    """The wires of one sync transport. `foreign` makes the user's own wire, which then carries everything."""

    def __init__(
        self,
        runtime: Runtime,
        settings: WireSettings,
        foreign: Callable[[], httpx.BaseTransport] | None = None,
    ) -> None:
        super().__init__(runtime, settings)
        self._make_foreign = foreign
        self._foreign = None if foreign is None else ForeignWire(foreign(), runtime.clock)
        self._held: dict[str, Wire] = {}
        self._keys: list[Hashable] = []

    def after_in_child(self) -> None:
        """The parent's wires stay the parent's: the child makes its own at the next call."""
        fork.abandon(self._lock, self._held, self._foreign)
        self._lock = Lock()
        self._held, self._keys = {}, []
        if self._make_foreign is not None:
            self._foreign = ForeignWire(self._make_foreign(), self._runtime.clock)

    def of(self, plan: CallPlan) -> Wire:
        """The plan's wire, made or joined at first use."""
        if self._foreign is not None:
            return self._foreign
        wire = self._held.get(plan.service)
        if wire is None:
            with self._lock:
                wire = self._held.get(plan.service)
                if wire is None:
                    wire = self._held[plan.service] = self._found(plan)
        return wire

    def _found(self, plan: CallPlan) -> HttpxWire:
        proxy = self._proxy(plan)

        def make() -> HttpxWire:
            return HttpxWire(self._settings.pool(plan, self._runtime, proxy), self._runtime.clock)

        if self._closed:
            # A redirect of a call that began before: served, and nothing of it is kept.
            alone = make()
            alone.close()
            return alone
        key = ("threads", plan.service, proxy, self._settings.key)
        wire = self._runtime.pools.join(key, make)
        self._keys.append(key)
        return wire

    def enter(self) -> None:
        """The client's `with` block begins; the user's own transport wants to know."""
        if self._foreign is not None:
            self._foreign.enter()

    def close(self) -> None:
        """Leave all wires; the last one out closes. Calls under way keep theirs."""
        with self._lock:
            self._closed = True
            keys, self._keys = self._keys, []
        for key in keys:
            wire = self._runtime.pools.leave(key)
            if wire is not None:
                wire.close()
        if self._foreign is not None:
            self._foreign.close()


class AsyncWires(_Wires):
    """The wires of one async transport, by event loop."""

    def __init__(
        self,
        runtime: Runtime,
        settings: WireSettings,
        foreign: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        super().__init__(runtime, settings)
        self._make_foreign = foreign
        self._foreign = None if foreign is None else AsyncForeignWire(foreign(), runtime.clock)
        self._loops: dict[asyncio.AbstractEventLoop, dict[str, AsyncWire]] = {}
        self._keys: list[tuple[asyncio.AbstractEventLoop, Hashable]] = []

    def after_in_child(self) -> None:
        """The parent's wires and loops stay the parent's."""
        fork.abandon(self._lock, self._loops, self._keys, self._foreign)
        self._lock = Lock()
        self._loops, self._keys = {}, []
        if self._make_foreign is not None:
            self._foreign = AsyncForeignWire(self._make_foreign(), self._runtime.clock)

    def of(self, plan: CallPlan, loop: asyncio.AbstractEventLoop) -> AsyncWire:
        """The plan's wire on this loop, made or joined at first use."""
        if self._foreign is not None:
            return self._foreign
        held = self._loops.get(loop)
        wire = None if held is None else held.get(plan.service)
        if wire is None:
            with self._lock:
                if loop not in self._loops:
                    self._sweep()
                held = self._loops.setdefault(loop, {})
                wire = held.get(plan.service)
                if wire is None:
                    wire = held[plan.service] = self._found(plan, loop)
        return wire

    def _found(self, plan: CallPlan, loop: asyncio.AbstractEventLoop) -> AsyncHttpxWire:
        proxy = self._proxy(plan)

        def make() -> AsyncHttpxWire:
            return AsyncHttpxWire(self._settings.pool(plan, self._runtime, proxy), self._runtime.clock)

        if self._closed:
            alone = make()
            alone.drop_all()
            return alone
        key = (loop, plan.service, proxy, self._settings.key)
        wire = self._runtime.pools.join(key, make, loop)
        self._keys.append((loop, key))
        return wire

    def _sweep(self) -> None:
        """Forget loops that were closed with connections still open: their sockets died with them."""
        gone = [loop for loop in self._loops if loop.is_closed()]
        for loop in gone:
            del self._loops[loop]
        if gone:
            for loop, key in self._keys:
                if loop in gone:
                    self._runtime.pools.leave(key)
            self._keys = [pair for pair in self._keys if pair[0] not in gone]

    async def enter(self) -> None:
        """The client's `async with` block begins; the user's own transport wants to know."""
        if self._foreign is not None:
            await self._foreign.enter()

    async def aclose(self) -> None:
        """Leave all wires; the last one out closes, on the loop it belongs to. Calls under way keep theirs."""
        with self._lock:
            self._closed = True
            self._sweep()
            keys, self._keys = self._keys, []
        here = asyncio.get_running_loop()
        for loop, key in keys:
            wire = self._runtime.pools.leave(key)
            if wire is None or loop.is_closed():
                continue
            if loop is here:
                await wire.aclose()
            else:
                loop.call_soon_threadsafe(wire.drop_all)
        if self._foreign is not None:
            await self._foreign.aclose()
