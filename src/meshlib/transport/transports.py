"""The mesh as a transport of httpx's kind, for our clients and for everybody else's. One mixin a colour, for all families."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from meshlib.drivers import adrive, drive
from meshlib.drivers.hooks import around, around_send
from meshlib.engine.call import BUFFERED, HOP, IDEMPOTENT, REPLAYABLE
from meshlib.engine.plan import CallPlan
from meshlib.transport.classify import IDEMPOTENT_METHODS
from meshlib.transport.lazy_request import LazyRequest
from meshlib.transport.options import EXTENSION, CallOptions
from meshlib.transport.wires import AsyncWires, Wires

if TYPE_CHECKING:
    from meshlib.runtime import Runtime
    from meshlib.transport.binding import Binding
    from meshlib.transport.settings import WireSettings

__all__ = ["AsyncMeshed", "Meshed"]

Request = TypeVar("Request")
Response = TypeVar("Response")


class Meshed(Generic[Request, Response]):
    """A transport whose every request is a call of the mesh. Thread-safe.

    In a foreign client a response is decided at its head (its body is streamed) and the deadline is the policy's;
    `meshlib.Client` says more by `CallOptions`. Raises errors of the family, those of ours that are the family's too among
    them, and TypeError for a request of another family. `foreign` makes the user's own wire, which then carries everything.
    """

    binding: ClassVar[Binding]

    def __init__(
        self, runtime: Runtime, settings: WireSettings, foreign: Callable[[], Any] | None = None
    ) -> None:
        self._runtime = runtime
        self._wires = Wires(self.binding, runtime, settings, foreign)
        self._clock = runtime.clock

    def handle_request(self, request: Request) -> Response:
        """Run the request through discovery, balancing and resilience."""
        hooks = self._runtime.hooks
        response: Response = around(hooks, self._called)(request) if hooks else self._called(request)
        return response

    def _called(self, request: Any) -> Any:
        runtime, binding, clock = self._runtime, self.binding, self._clock
        if not isinstance(request, binding.Request):
            binding.border.request(request)
        options = request.extensions.get(EXTENSION)
        plan = runtime.plan(binding, request, isinstance(options, CallOptions) and options.begun)
        flags, deadline = _admission(binding, request, plan, clock())
        send: Callable[..., Any] = self._wires.of(plan).send
        if runtime.hooks:
            send = around_send(runtime.hooks, send)
        response = drive(plan, request, send, clock, flags, deadline)
        if not flags & BUFFERED and isinstance(response.stream, binding.ByteStream):
            response.extensions[EXTENSION].settle(clock())
        return response

    def __enter__(self) -> Self:
        self._wires.enter()
        return self

    def close(self) -> None:
        """Let go of the connections; shared ones close with their last user."""
        self._wires.close()


class AsyncMeshed(Generic[Request, Response]):
    """The same for asyncio; usable from several event loops, each with connections of its own."""

    binding: ClassVar[Binding]

    def __init__(
        self, runtime: Runtime, settings: WireSettings, foreign: Callable[[], Any] | None = None
    ) -> None:
        self._runtime = runtime
        self._wires = AsyncWires(self.binding, runtime, settings, foreign)
        self._clock = runtime.clock

    def handle_async_request(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Run the request through discovery, balancing and resilience."""
        hooks = self._runtime.async_hooks
        called: Coroutine[Any, Any, Response] = (around(hooks, self._called) if hooks else self._called)(
            request
        )
        return called

    # These two are plain functions that return the driver's coroutine: one of their own would cost every call.
    def _called(self, request: Any) -> Coroutine[Any, Any, Any]:
        runtime, binding, clock = self._runtime, self.binding, self._clock
        loop = self._wires.running()
        if not isinstance(request, binding.Request):
            binding.border.request(request)
        options = request.extensions.get(EXTENSION)
        plan = runtime.plan(binding, request, isinstance(options, CallOptions) and options.begun)
        flags, deadline = _admission(binding, request, plan, clock())
        send: Callable[..., Any] = self._wires.of(plan, loop).send
        if runtime.async_hooks:
            send = around_send(runtime.async_hooks, send)
        driving = adrive(plan, request, send, clock, flags, deadline, loop=loop)
        return driving if flags & BUFFERED else self._streamed(driving)

    async def _streamed(self, driving: Coroutine[Any, Any, Any]) -> Any:
        response = await driving
        if isinstance(response.stream, self.binding.ByteStream):
            response.extensions[EXTENSION].settle(self._clock())
        return response

    async def __aenter__(self) -> Self:
        await self._wires.enter()
        return self

    async def aclose(self) -> None:
        """Let go of the connections; shared ones close with their last user."""
        await self._wires.aclose()


def _admission(binding: Binding, request: Any, plan: CallPlan, now: float) -> tuple[int, float]:
    """The call's flags and deadline, from the request and what our client knows about the call."""
    if isinstance(request, LazyRequest) and request._block is not None and request._body is not None:
        flags = request._flags
    else:
        flags = 0
        if request.method in IDEMPOTENT_METHODS or "idempotency-key" in request.headers:
            flags |= IDEMPOTENT
        if isinstance(request.stream, binding.ByteStream):
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
