"""What the tests of the lean wire share: transports and sockets that do as they are told, without a network."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from meshlib.core.deadline import NEVER
from meshlib.engine.attempt import Attempt
from meshlib.engine.call import BUFFERED, IDEMPOTENT
from meshlib.engine.node import Node
from meshlib.engine.plan import CallPlan
from meshlib.testing import FakeClock, VirtualLoop
from meshlib.transport.binding import Binding
from meshlib.transport.lean_aio import AsyncConnection
from meshlib.transport.lean_sync import Connection
from meshlib.transport.pool import Pool
from meshlib.transport.pool_options import PoolOptions
from meshlib.transport.wire_lean import AsyncLeanWire

__all__ = [
    "OK",
    "AsyncRig",
    "FakeSocket",
    "FakeTransport",
    "Rig",
    "aio",
    "connection",
    "error_of",
    "shut",
    "sync_connection",
]

_pairs: list[tuple[socket.socket, socket.socket]] = []


def _pair() -> tuple[socket.socket, socket.socket]:
    _pairs.append(socket.socketpair())
    return _pairs[-1]


def shut() -> None:
    """At the end of a test: close what it left open."""
    for pair in _pairs:
        for one in pair:
            one.close()
    _pairs.clear()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class FakeTransport(asyncio.Transport):
    """Keeps what is written. Told to be `full` it pauses its writer, told to be `broken` it closes under a write."""

    def __init__(self, protocol: AsyncConnection, loop: asyncio.AbstractEventLoop) -> None:
        self.protocol = protocol
        self.loop = loop
        self.near, self.far = _pair()
        self.extra: dict[str, Any] = {
            "socket": self.near,
            "sockname": ("192.0.2.9", 40000),
            "peername": ("192.0.2.1", 80),
        }
        self.written = bytearray()
        self.full = False
        self.broken = False
        self.closing = False
        self.reading = True
        self.on_write: Callable[[bytes], None] | None = None
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        if self.broken:
            self.lose(BrokenPipeError("broken pipe"))
            return
        self.written += data
        if self.full:
            self.protocol.pause_writing()
        if self.on_write is not None:
            self.on_write(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.lose(None)

    def lose(self, error: Exception | None) -> None:
        """Close, and tell the protocol at the loop's next turn, as loops do."""
        if not self.closing:
            self.closing = True
            self.loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        self.near.close()
        self.far.close()
        self.protocol.connection_lost(error)

    def end(self) -> None:
        """The peer's EOF: asyncio tells it, and closes when the protocol does not object."""
        if not self.protocol.eof_received():
            self.lose(None)

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.extra.get(name, default)


def aio(test: Callable[[VirtualLoop], Any]) -> None:
    """Run `test(loop)` on a loop with a clock of its own."""
    loop = VirtualLoop(FakeClock())
    try:
        loop.run_until_complete(test(loop))
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
        shut()


def connection(
    loop: VirtualLoop, pool: Pool[AsyncConnection] | None = None
) -> tuple[AsyncConnection, FakeTransport]:
    """A connection that stands, counted in its pool, and its transport."""
    pool = Pool() if pool is None else pool
    assert pool.room(NEVER) is None
    made = AsyncConnection(pool, loop, loop.clock)
    return made, FakeTransport(made, loop)


class FakeSocket:
    """One end of a socket pair, for a client. `answers` are sent when something is written, one a write; `takes` bounds what
    one write takes, `error` is what the next operation raises, `broken` what the next write does when its answer is
    out. A read that would wait has run into its timeout at once."""

    def __init__(self, *answers: bytes) -> None:
        self.near, self.far = _pair()
        self.near.setblocking(False)
        self.answers = list(answers)
        self.written = bytearray()
        self.takes = 1 << 20
        self.error: OSError | None = None
        self.broken: OSError | None = None
        self.timeouts: list[float | None] = []

    def settimeout(self, timeout: float | None) -> None:
        self.timeouts.append(timeout)

    def send(self, data: Any) -> int:
        self._raise()
        if self.answers:
            self.far.sendall(self.answers.pop(0))
        if self.broken is not None:
            raise self.broken
        part = bytes(data[: self.takes])
        self.written += part
        return len(part)

    def fill(self) -> None:
        """The peer does not read, and the kernel takes no more."""
        try:
            while True:
                self.near.send(b"x" * 65536)
        except BlockingIOError:
            pass

    def recv(self, size: int) -> bytes:
        self._raise()
        try:
            return self.near.recv(size)
        except BlockingIOError:
            raise TimeoutError("timed out") from None

    def _raise(self) -> None:
        error, self.error = self.error, None
        if error is not None:
            raise error

    def fileno(self) -> int:
        return self.near.fileno()

    def getsockname(self) -> Any:
        return ("192.0.2.9", 40000)

    def getpeername(self) -> Any:
        return ("192.0.2.1", 80)

    def close(self) -> None:
        self.near.close()
        self.far.close()


def sync_connection(sock: FakeSocket, clock: FakeClock, pool: Pool[Connection] | None = None) -> Connection:
    """A connection on that socket, counted in its pool."""
    pool = Pool() if pool is None else pool
    assert pool.room(NEVER) is None
    return Connection(pool, sock, pool.stamp, clock)  # type: ignore[arg-type]


def error_of(raised: Any) -> tuple[str, str]:
    """Kind and text of the LeanError that pytest caught."""
    return raised.value.kind, str(raised.value)


class Rig:
    """A sync wire, one node, and the sockets that dialling brings, in order; an exception among them is raised."""

    def __init__(self, binding: Binding, plan: CallPlan, **options: Any) -> None:
        self.clock = FakeClock(100.0)
        self.binding = binding
        self.plan = plan
        self.options = PoolOptions(**options)
        self.wire: Any = None
        self.brings: list[Any] = []
        self.dialled: list[tuple[str, int, float]] = []

    def bring(self, *answers: bytes) -> FakeSocket:
        """The next connection's socket."""
        self.brings.append(FakeSocket(*answers))
        made: FakeSocket = self.brings[-1]
        return made

    def dial(self, host: str, port: int, until: float, clock: Callable[[], float]) -> FakeSocket:
        """Stands for `dial.dial`."""
        assert clock is self.clock
        self.dialled.append((host, port, until - clock()))
        found = self.brings.pop(0)
        if isinstance(found, BaseException):
            raise found
        made: FakeSocket = found
        return made

    def attempt(self, request: Any, flags: int = 0) -> Attempt:
        """The next attempt on the node."""
        begun = self.plan.open(request, self.clock(), flags).begin(self.clock())
        assert isinstance(begun, Attempt)
        return begun

    def request(self, method: str = "GET", url: str = "http://orders/a", **more: Any) -> Any:
        """A request of the family; `timeout` as in httpx's extension."""
        timeout = more.pop("timeout", {})
        return self.binding.Request(method, url, extensions={"timeout": timeout}, **more)

    def send(self, flags: int = BUFFERED | IDEMPOTENT, **request: Any) -> Any:
        """Send one attempt."""
        asked = self.request(**request)
        return self.wire.send(self.attempt(asked, flags), asked)

    @property
    def node(self) -> Node:
        """The only one."""
        (found,) = self.plan.cluster.nodes.values()
        return found

    @property
    def pools(self) -> list[Any]:
        """Of the wire."""
        found: list[Any] = self.wire._pools()
        return found

    @property
    def counts(self) -> tuple[int, int]:
        """Open and idle connections."""
        return sum(pool.open for pool in self.pools), sum(len(pool.idle) for pool in self.pools)


class AsyncRig(Rig):
    """The same for an async wire: what connecting brings are answers, one a write (or an exception)."""

    def __init__(self, binding: Binding, plan: CallPlan, **options: Any) -> None:
        super().__init__(binding, plan, **options)
        self.loop = _Loop(self)
        self.clock = self.loop.clock
        self.transports: list[FakeTransport] = []
        self.where: list[dict[str, Any]] = []
        self.took = 0.0
        """Seconds that connecting takes."""

    def bring(self, *answers: Any) -> Any:
        """The next connection's answers; a function gets the transport before anything is written."""
        self.brings.append(list(answers))

    def run(self, test: Callable[[], Any]) -> Any:
        """Run `test()` with the wire made on the loop."""

        async def inside() -> Any:
            self.wire = AsyncLeanWire(self.binding, self.options, self.clock)
            result = await test()
            await self.wire.aclose()
            await asyncio.sleep(0)
            return result

        try:
            return self.loop.run_until_complete(inside())
        finally:
            self.loop.close()


class _Loop(VirtualLoop):
    """Connects by script."""

    def __init__(self, rig: AsyncRig) -> None:
        super().__init__(FakeClock(100.0))
        self.rig = rig

    async def create_connection(self, factory: Any, **where: Any) -> Any:  # type: ignore[override]
        self.rig.where.append(where)
        found = self.rig.brings.pop(0)
        await asyncio.sleep(self.rig.took)
        if isinstance(found, BaseException):
            raise found
        transport = FakeTransport(factory(), self)
        self.rig.transports.append(transport)

        def answer(data: bytes) -> None:
            if found:
                self.call_soon(transport.protocol.data_received, found.pop(0))

        transport.on_write = answer
        if found and callable(found[0]):
            found.pop(0)(transport)
        return transport, transport.protocol
