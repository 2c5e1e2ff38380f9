"""FaultServer: a loopback HTTP/1.1 server that fails on command."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from threading import Condition, Thread
from typing import Any

from meshlib.core.endpoint import address_text
from meshlib.testing.behaviour import perform, response_head
from meshlib.testing.connection import Connection, PeerGoneError
from meshlib.testing.fault import Fault
from meshlib.testing.port import Port
from meshlib.testing.received import BadRequestError, ReceivedRequest

__all__ = ["Behaviour", "Fault", "FaultServer"]

Behaviour = Fault | Callable[[ReceivedRequest], Fault]


class FaultServer:
    """A real server on 127.0.0.1, in a daemon thread with an event loop of its own: `with FaultServer() as server:`.

    It answers by `behave(...)`'s script, one entry per request over all connections, then by its default (200 "ok"). An
    entry is a Fault or a function of the request. `requests` lists what arrived, when it had arrived whole.
    Connections are kept alive. `async with` is the same; starting and stopping take a few milliseconds. Any number of
    servers may live in a process. All methods are thread-safe; OSError when the port cannot be had, RuntimeError
    for a server that does not run.
    """

    def __init__(self, *faults: Behaviour, host: str = "127.0.0.1", port: int = 0) -> None:
        self.requests: list[ReceivedRequest] = []
        self.open_connections: int = 0
        self.total_connections: int = 0
        self.host = host
        self.port: int = port
        self._script: deque[Behaviour] = deque(faults)
        self._default: Behaviour = Fault.ok()
        self._changed = Condition()
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._stopping: asyncio.Event | None = None
        self._port: Port

    @property
    def address(self) -> str:
        """`127.0.0.1:41231`."""
        return address_text(self.host, self.port)

    @property
    def url(self) -> str:
        """`http://127.0.0.1:41231`, without a slash at the end."""
        return f"http://{self.address}"

    def behave(self, *faults: Behaviour, default: Behaviour | None = None) -> None:
        """Replace the script, and the default when one is given.

        `Fault.refuse()` and `Fault.blackhole()` take effect as soon as it is their turn; the script goes on after
        `restore()`.
        """
        with self._changed:
            self._script = deque(faults)
            if default is not None:
                self._default = default
        if self._loop is not None:
            self._on_loop(self._advance())

    def refuse(self) -> None:
        """As if the process had died: the listening socket and all connections are closed, connects are refused."""
        self._on_loop(self._refuse())

    def blackhole(self) -> None:
        """As if the host had gone: connects are not answered (on Linux), connections that exist go on."""
        self._on_loop(self._blackhole())

    def restore(self) -> None:
        """Accept again, at the same address."""
        self._on_loop(self._restore())

    def wait_for(self, requests: int, within: float = 5.0) -> list[ReceivedRequest]:
        """Block until that many requests have arrived in all; AssertionError when they have not in time (seconds)."""
        self._wait(lambda: len(self.requests) >= requests, within, f"{requests} requests")
        return self.requests

    def wait_for_connections(self, count: int, within: float = 5.0) -> None:
        """Block until exactly `count` connections are open; AssertionError when that does not happen in time."""
        self._wait(lambda: self.open_connections == count, within, f"{count} open connections")

    def start(self) -> FaultServer:
        """Listen; returns the server itself."""
        if self._thread is not None:
            raise RuntimeError("the fault server already runs")
        self._port = Port(self.host, self.port)
        self.port = self._port.port
        started: Future[None] = Future()
        name = f"meshlib-fault-server-{self.port}"
        self._thread = Thread(target=lambda: asyncio.run(self._serve(started)), name=name, daemon=True)
        self._thread.start()
        started.result(5.0)
        return self

    def stop(self) -> None:
        """Drop everything; afterwards there is no thread and no socket. Harmless when repeated."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        loop, self._loop = self._loop, None
        stopping = self._stopping
        if loop is not None and stopping is not None:
            loop.call_soon_threadsafe(stopping.set)
        thread.join(5.0)

    def __enter__(self) -> FaultServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> FaultServer:
        return self.start()

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    # --- any thread ------------------------------------------------------------------------------------------

    def _on_loop(self, work: Coroutine[Any, Any, None]) -> None:
        loop = self._loop
        if loop is None:
            work.close()
            raise RuntimeError("the fault server does not run")
        asyncio.run_coroutine_threadsafe(work, loop).result(5.0)

    def _wait(self, reached: Callable[[], bool], within: float, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(reached, within):
                raise AssertionError(
                    f"waited {within:g} s for {what} at {self.address}, have {len(self.requests)} requests, "
                    f"{self.open_connections} open connections"
                )

    # --- the server's thread ---------------------------------------------------------------------------------

    async def _serve(self, started: Future[None]) -> None:
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        try:
            await self._restore()
            await self._advance()
        except BaseException as error:
            self._port.close()
            started.set_exception(error)
            raise
        started.set_result(None)
        await self._stopping.wait()
        await self._ignore_connects()
        self._port.close()
        for connection in list(self._open):
            connection.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._open:  # aborted transports close their sockets in one of the loop's next turns
            await asyncio.sleep(0)

    async def _restore(self) -> None:
        await self._ignore_connects()
        for sock in self._port.open():
            self._admit(sock)
        self._accepting = asyncio.create_task(self._accept())

    async def _refuse(self) -> None:
        await self._ignore_connects()
        self._port.refuse()
        for connection in list(self._open):
            connection.close()

    async def _blackhole(self) -> None:
        await self._ignore_connects()
        self._port.blackhole()

    async def _ignore_connects(self) -> None:
        task, self._accepting = self._accepting, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _accept(self) -> None:
        # By hand: `loop.sock_accept` that is cancelled in the turn of a connection drops it, still open.
        loop, listening = asyncio.get_running_loop(), self._port.sock
        waiting = asyncio.Event()
        loop.add_reader(listening.fileno(), waiting.set)
        try:
            while True:
                await waiting.wait()
                waiting.clear()
                try:
                    sock, _ = listening.accept()
                except BlockingIOError:  # the client left while it waited
                    continue
                except OSError:  # out of descriptors
                    await asyncio.sleep(0.01)
                    continue
                sock.setblocking(False)
                self._admit(sock)
        finally:
            loop.remove_reader(listening.fileno())

    def _admit(self, sock: socket.socket) -> None:
        with self._changed:
            self.total_connections += 1
            self.open_connections += 1
            connection = Connection(self.total_connections, self._lost)
            self._open.add(connection)
            self._changed.notify_all()
        task = asyncio.create_task(self._converse(connection, sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _lost(self, connection: Connection) -> None:
        with self._changed:
            self.open_connections -= 1
            self._open.discard(connection)
            self._changed.notify_all()

    async def _converse(self, connection: Connection, sock: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, sock)
        except BaseException:
            sock.close()
            if connection in self._open:
                self._lost(connection)
            raise
        try:
            while (request := await connection.receive()) is not None:
                if not await self._answer(request, connection):
                    break
        except BadRequestError as error:
            await self._reject(connection, str(error).encode())
        except PeerGoneError:
            pass
        finally:
            connection.close()

    async def _answer(self, request: ReceivedRequest, connection: Connection) -> bool:
        fault = self._take(request)
        try:
            kept = await perform(fault, request, connection)
        except PeerGoneError:
            kept = False
        await self._advance()
        return kept

    async def _reject(self, connection: Connection, text: bytes) -> None:
        headers = [("Content-Length", str(len(text))), ("Connection", "close")]
        try:
            await connection.send(response_head(400, headers) + text)
        except PeerGoneError:
            pass

    def _take(self, request: ReceivedRequest) -> Fault:
        with self._changed:
            behaviour = self._script.popleft() if self._script else self._default
            self.requests.append(request)
            self._changed.notify_all()
        if isinstance(behaviour, Fault):
            return behaviour
        try:
            return behaviour(request)
        except Exception as error:  # a mistake in the test, shown where its author will look
            return Fault.ok(500, f"the test's behaviour raised {error!r}".encode())

    async def _advance(self) -> None:
        """Carry out the faults of the listener that stand first in the script."""
        with self._changed:
            head = self._script[0] if self._script else None
            if not isinstance(head, Fault) or not head.of_listener:
                return
            self._script.popleft()
        await (self._refuse() if head.kind == "refuse" else self._blackhole())
