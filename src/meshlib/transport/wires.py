"""Which wire a plan's attempts travel on, and who still needs it.

Connections belong to the mesh: two clients with the same TLS and connection settings share them. A wire is closed with the
last transport that uses it, with its event loop, or with the mesh, or when policy wants another one for the service; calls
that still have it go on to their end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any

from meshlib.engine.plan import CallPlan
from meshlib.errors import ConfigError
from meshlib.transport.blind import warn_of_blind_tools
from meshlib.transport.patched_transport import POOL, TRANSPORT, TransportWatch
from meshlib.transport.proxies import proxy_for
from meshlib.transport.settings import WireSettings
from meshlib.transport.wire import AsyncWire, Wire
from meshlib.transport.wire_foreign import AsyncForeignWire, ForeignWire
from meshlib.transport.wire_patched import AsyncPatchedWire, PatchedWire
from meshlib.world import fork

if TYPE_CHECKING:
    from meshlib.runtime import Runtime
    from meshlib.security.secured import ServiceSecurity
    from meshlib.transport.binding import Binding
    from meshlib.transport.pool_options import PoolOptions

__all__ = ["AsyncWires", "Wires"]

_NO_LOOP = (
    "meshlib's AsyncClient needs a running asyncio event loop; under trio use meshlib's Client in a thread"
)


class _Wires:
    """What both kinds share: which wire a service gets, and the key that equal wires have in common."""

    def __init__(
        self, binding: Binding, runtime: Runtime, settings: WireSettings, asynchronous: bool
    ) -> None:
        self._binding = binding
        self._watch = TransportWatch(binding.module, asynchronous)
        self._pooled = 0
        """POOL while the httpx wire carries everything, because somebody looks on in its pools."""
        self._runtime = runtime
        self._settings = settings
        self._lock = Lock()
        self._closed = False
        self._policy = runtime.policy
        fork.watch(self)

    def _key(self, service: str, owner: object) -> Hashable:
        """What wires have in common that serve each other's clients; responses and errors are one family's."""
        policy = self._runtime.services[service].policy
        wanted = (policy.wire, policy.connections, self._proxy(service), self._pooled)
        return (owner, self._binding.name, service, wanted, self._settings.key)

    def _proxy(self, service: str) -> str | None:
        return proxy_for(self._runtime.passed_through(service), self._settings.trust_env)

    def _lean(self, service: str) -> bool:
        """Whether the lean wire carries a service: it does unless something is asked for that it does not speak."""
        wire, settings = self._runtime.services[service].policy.wire, self._settings
        only_two = settings.http2 or not settings.http1
        if wire == "lean" and only_two:
            raise ConfigError(
                f'wire = "lean" of {service} speaks HTTP/1.1 only, and its client wants HTTP/2: '
                'write wire = "httpx", or leave http2 out'
            )
        return wire != "httpx" and not only_two and not self._pooled and self._proxy(service) is None

    def _ingredients(
        self, service: str
    ) -> tuple[Binding, PoolOptions, Callable[[], float], Callable[[], ServiceSecurity | None]]:
        """What a wire of either kind is made of."""
        found = self._runtime.services[service]
        options = self._settings.pool(self._binding, service, self._runtime, self._proxy(service))
        return self._binding, options, self._runtime.clock, lambda: found.security


class Wires(_Wires):
    """The wires of one sync transport. `foreign` makes the user's own wire, which then carries everything."""

    def __init__(
        self,
        binding: Binding,
        runtime: Runtime,
        settings: WireSettings,
        foreign: Callable[[], Any] | None = None,
    ) -> None:
        super().__init__(binding, runtime, settings, False)
        self._make_foreign = foreign
        self._foreign = None if foreign is None else ForeignWire(binding, foreign(), runtime.clock)
        self._held: dict[str, Wire] = {}
        self._keys: dict[str, Hashable] = {}

    def after_in_child(self) -> None:
        """The parent's wires stay the parent's: the child makes its own at the next call."""
        fork.abandon(self._lock, self._held, self._foreign)
        self._lock = Lock()
        self._held, self._keys = {}, {}
        if self._make_foreign is not None:
            self._foreign = ForeignWire(self._binding, self._make_foreign(), self._runtime.clock)

    def of(self, plan: CallPlan) -> Wire | PatchedWire:
        """The plan's wire, made or joined at first use. ConfigError when client and policy contradict each other."""
        if self._foreign is not None:
            return self._foreign
        level = self._watch.level()
        if self._policy is not self._runtime.policy or level & POOL != self._pooled:
            self._renew(level & POOL)
        wire = self._held.get(plan.service)
        if wire is None:
            with self._lock:
                wire = self._held.get(plan.service)
                if wire is None:
                    wire = self._held[plan.service] = self._found(plan.service)
        return PatchedWire(self._binding, wire, self._runtime.clock) if level & TRANSPORT else wire

    def _found(self, service: str) -> Wire:
        warn_of_blind_tools(self._binding.name)
        if self._closed:
            # A redirect of a call that began before: served, and nothing of it is kept.
            alone = self._made(service)
            alone.close()
            return alone
        key = self._key(service, "threads")
        wire = self._runtime.pools.join(key, lambda: self._made(service))
        self._keys[service] = key
        return wire

    def _made(self, service: str) -> Wire:
        if self._lean(service):
            from meshlib.transport.wire_lean import LeanWire

            return LeanWire(*self._ingredients(service), service=service)
        from meshlib.transport.wire_httpx import HttpxWire

        return HttpxWire(*self._ingredients(service))

    def _renew(self, pooled: int) -> None:
        """Leave the wires that a new policy, or a tool in the pools, wants otherwise."""
        with self._lock:
            self._pooled = pooled
            self._policy = self._runtime.policy
            for service, key in list(self._keys.items()):
                if service not in self._runtime.services or self._key(service, "threads") != key:
                    del self._keys[service], self._held[service]
                    self._leave(key)

    def _leave(self, key: Hashable) -> None:
        wire = self._runtime.pools.leave(key)
        if wire is not None:
            wire.close()

    def enter(self) -> None:
        """The client's `with` block begins; the user's own transport wants to know."""
        if self._foreign is not None:
            self._foreign.enter()

    def close(self) -> None:
        """Leave all wires; the last one out closes. Calls under way keep theirs."""
        with self._lock:
            self._closed = True
            keys, self._keys = self._keys, {}
        for key in keys.values():
            self._leave(key)
        if self._foreign is not None:
            self._foreign.close()


class AsyncWires(_Wires):
    """The wires of one async transport, by event loop."""

    def __init__(
        self,
        binding: Binding,
        runtime: Runtime,
        settings: WireSettings,
        foreign: Callable[[], Any] | None = None,
    ) -> None:
        super().__init__(binding, runtime, settings, True)
        self._make_foreign = foreign
        self._foreign = None if foreign is None else AsyncForeignWire(binding, foreign(), runtime.clock)
        self._loops: dict[asyncio.AbstractEventLoop, dict[str, AsyncWire]] = {}
        self._keys: dict[tuple[asyncio.AbstractEventLoop, str], Hashable] = {}
        self._here: tuple[int, asyncio.AbstractEventLoop | None] = (0, None)

    def running(self) -> asyncio.AbstractEventLoop:
        """The running loop. RuntimeError when there is none.

        Before Python 3.12 asyncio asks the system for the process's number to answer this, more than all else that a call
        does here; the loop of this thread's last call is the running one as long as it runs at all.
        """
        thread, loop = self._here
        if loop is not None and thread == get_ident() and loop.is_running():
            return loop
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(_NO_LOOP) from None
        self._here = (get_ident(), loop)
        return loop

    def after_in_child(self) -> None:
        """The parent's wires and loops stay the parent's."""
        fork.abandon(self._lock, self._loops, self._keys, self._foreign)
        self._lock = Lock()
        self._loops, self._keys, self._here = {}, {}, (0, None)
        if self._make_foreign is not None:
            self._foreign = AsyncForeignWire(self._binding, self._make_foreign(), self._runtime.clock)

    def of(self, plan: CallPlan, loop: asyncio.AbstractEventLoop) -> AsyncWire | AsyncPatchedWire:
        """The plan's wire on this loop, made or joined at first use. ConfigError as `Wires.of`."""
        if self._foreign is not None:
            return self._foreign
        level = self._watch.level()
        if self._policy is not self._runtime.policy or level & POOL != self._pooled:
            self._renew(level & POOL)
        held = self._loops.get(loop)
        wire = None if held is None else held.get(plan.service)
        if wire is None:
            with self._lock:
                if loop not in self._loops:
                    self._sweep()
                held = self._loops.setdefault(loop, {})
                wire = held.get(plan.service)
                if wire is None:
                    wire = held[plan.service] = self._found(plan.service, loop)
        return AsyncPatchedWire(self._binding, wire, self._runtime.clock) if level & TRANSPORT else wire

    def _found(self, service: str, loop: asyncio.AbstractEventLoop) -> AsyncWire:
        warn_of_blind_tools(self._binding.name)
        if self._closed:
            alone = self._made(service)
            alone.drop_all()
            return alone
        key = self._key(service, loop)
        wire = self._runtime.pools.join(key, lambda: self._made(service), loop)
        self._keys[loop, service] = key
        return wire

    def _made(self, service: str) -> AsyncWire:
        if self._lean(service):
            from meshlib.transport.wire_lean import AsyncLeanWire

            return AsyncLeanWire(*self._ingredients(service), service=service)
        from meshlib.transport.wire_httpx import AsyncHttpxWire

        return AsyncHttpxWire(*self._ingredients(service))

    def _renew(self, pooled: int) -> None:
        """Leave the wires that a new policy, or a tool in the pools, wants otherwise."""
        with self._lock:
            self._pooled = pooled
            self._policy = self._runtime.policy
            self._sweep()
            for (loop, service), key in list(self._keys.items()):
                if service not in self._runtime.services or self._key(service, loop) != key:
                    del self._keys[loop, service], self._loops[loop][service]
                    self._leave(loop, key)

    def _sweep(self) -> None:
        """Forget loops that were closed with connections still open: their sockets died with them."""
        for loop in [loop for loop in self._loops if loop.is_closed()]:
            for service in self._loops.pop(loop):
                self._runtime.pools.leave(self._keys.pop((loop, service), None))

    def _leave(self, loop: asyncio.AbstractEventLoop, key: Hashable) -> None:
        """One wire; the last one out closes it, on the loop it belongs to."""
        wire = self._runtime.pools.leave(key)
        if wire is not None and not loop.is_closed():
            loop.call_soon_threadsafe(wire.drop_all)

    async def enter(self) -> None:
        """The client's `async with` block begins; the user's own transport wants to know."""
        if self._foreign is not None:
            await self._foreign.enter()

    async def aclose(self) -> None:
        """Leave all wires; the last one out closes, on the loop it belongs to. Calls under way keep theirs."""
        with self._lock:
            self._closed = True
            self._sweep()
            keys, self._keys = self._keys, {}
        here = asyncio.get_running_loop()
        for (loop, _), key in keys.items():
            if loop is not here:
                self._leave(loop, key)
                continue
            wire = self._runtime.pools.leave(key)
            if wire is not None:
                await wire.aclose()
        if self._foreign is not None:
            await self._foreign.aclose()
