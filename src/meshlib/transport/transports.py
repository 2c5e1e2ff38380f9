"""MeshTransport and AsyncMeshTransport: the mesh as an httpx transport, for our clients and for everybody else's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from meshlib.drivers import adrive, drive
from meshlib.drivers.hooks import around, around_send
from meshlib.engine.attempt import Attempt
from meshlib.engine.call import BUFFERED, HOP, IDEMPOTENT, REPLAYABLE
from meshlib.engine.plan import CallPlan
from meshlib.transport.binding import HTTPX
from meshlib.transport.classify import IDEMPOTENT_METHODS
from meshlib.transport.options import EXTENSION, CallOptions
from meshlib.transport.wire import AsyncWire, Wire
from meshlib.transport.wires import AsyncWires, Wires

if TYPE_CHECKING:
    from meshlib.runtime import Runtime

__all__ = ["AsyncMeshTransport", "MeshTransport"]


class MeshTransport(httpx.BaseTransport):
    """An httpx transport whose every request is a call of the mesh. Thread-safe.

    In a foreign `httpx.Client` a response is decided at its head (its body is streamed) and the deadline is the policy's;
    `meshlib.Client` says more by `CallOptions`. Raises httpx errors, those of ours that are httpx errors too among them.
    """

    def __init__(self, runtime: Runtime, wires: Wires) -> None:
        self._runtime = runtime
        self._wires = wires
        self._clock = runtime.clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Run the request through discovery, balancing and resilience."""
        hooks = self._runtime.hooks
        if not hooks:
            return self._called(request)
        response: httpx.Response = around(hooks, self._called)(request)
        return response

    def _called(self, request: httpx.Request) -> httpx.Response:
        runtime = self._runtime
        options = request.extensions.get(EXTENSION)
        plan = runtime.plan(HTTPX, request, isinstance(options, CallOptions) and options.begun)
        flags, deadline = _admission(request, plan, self._clock())
        timeouts = request.extensions.get("timeout", {})
        wire: Wire = self._wires.of(plan)
        whole = bool(flags & BUFFERED)

        def send(attempt: Attempt, request: httpx.Request) -> httpx.Response:
            return wire.send(attempt, request, timeouts, whole)

        sending = around_send(runtime.hooks, send) if runtime.hooks else send
        response: httpx.Response = drive(plan, request, sending, self._clock, flags, deadline)
        if not whole and isinstance(response.stream, httpx.ByteStream):
            response.extensions[EXTENSION].settle(self._clock())
        return response

    def __enter__(self) -> MeshTransport:
        self._wires.enter()
        return self

    def close(self) -> None:
        """Let go of the connections; shared ones close with their last user."""
        self._wires.close()


class AsyncMeshTransport(httpx.AsyncBaseTransport):
    """The same for asyncio; usable from several event loops, each with connections of its own."""

    def __init__(self, runtime: Runtime, wires: AsyncWires) -> None:
        self._runtime = runtime
        self._wires = wires
        self._clock = runtime.clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Run the request through discovery, balancing and resilience."""
        hooks = self._runtime.async_hooks
        if not hooks:
            return await self._called(request)
        response: httpx.Response = await around(hooks, self._called)(request)
        return response

    async def _called(self, request: httpx.Request) -> httpx.Response:
        runtime, loop = self._runtime, _running_loop()
        options = request.extensions.get(EXTENSION)
        plan = runtime.plan(HTTPX, request, isinstance(options, CallOptions) and options.begun)
        flags, deadline = _admission(request, plan, self._clock())
        timeouts = request.extensions.get("timeout", {})
        wire: AsyncWire = self._wires.of(plan, loop)
        whole = bool(flags & BUFFERED)

        async def send(attempt: Attempt, request: httpx.Request) -> httpx.Response:
            return await wire.send(attempt, request, timeouts, whole)

        sending = around_send(runtime.async_hooks, send) if runtime.async_hooks else send
        response: httpx.Response = await adrive(plan, request, sending, self._clock, flags, deadline)
        if not whole and isinstance(response.stream, httpx.ByteStream):
            response.extensions[EXTENSION].settle(self._clock())
        return response

    async def __aenter__(self) -> AsyncMeshTransport:
        await self._wires.enter()
        return self

    async def aclose(self) -> None:
        """Let go of the connections; shared ones close with their last user."""
        await self._wires.aclose()


def _admission(request: httpx.Request, plan: CallPlan, now: float) -> tuple[int, float]:
    """The call's flags and deadline, from the request and what our client knows about the call."""
    flags = 0
    if request.method in IDEMPOTENT_METHODS or "idempotency-key" in request.headers:
        flags |= IDEMPOTENT
    if isinstance(request.stream, httpx.ByteStream):
        flags |= REPLAYABLE
    options = request.extensions.get(EXTENSION)
    if not isinstance(options, CallOptions):
        return flags, 0.0
    if not options.stream:
        flags |= BUFFERED
    if options.begun:
        flags |= HOP
    options.begun = True
    if not options.deadline:
        # Fixed by the first hop: a redirect must not start the clock anew.
        options.deadline = now + plan.timeout
    return flags, options.deadline


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "meshlib's AsyncClient needs a running asyncio event loop; under trio use meshlib's Client in a thread"
        ) from None
