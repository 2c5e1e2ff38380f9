"""Fork under activity: the parent does not notice, and the child's background works on its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import pytest

from meshlib.world.background import Background, background
from meshlib.world.io import World

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def in_child(check: Callable[[], bool], timeout: float = 10.0) -> None:
    """Fork, run `check` in the child, and require that it ends with True in time."""
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            code = 0 if check() else 1
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    pytest.fail("the child hung")


class Bounce(asyncio.Protocol):
    """Sends everything back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Back it goes."""
        assert isinstance(self.transport, asyncio.WriteTransport)
        self.transport.write(data)


class Echo:
    """An echo server and a client on one Background: sockets, timers and call_soon, all busy."""

    def __init__(self, on: Background) -> None:
        self.on = on
        self.rounds = 0
        self.handle = on.spawn(self.run)

    async def run(self) -> None:
        """Round after round, until cancelled."""
        server = await asyncio.get_running_loop().create_server(Bounce, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                while True:
                    writer.write(b"x" * 10)
                    async with asyncio.timeout(5):
                        assert await reader.readexactly(10) == b"x" * 10
                    self.rounds += 1
                    await asyncio.sleep(0.001)
            finally:
                writer.close()

    def advances(self, seconds: float = 5.0) -> bool:
        """True when another ten rounds are made in time."""
        goal, until = self.rounds + 10, time.monotonic() + seconds
        while self.rounds < goal and time.monotonic() < until:
            time.sleep(0.005)
        return self.rounds >= goal


@pytest.fixture
def busy() -> Iterator[Echo]:
    """A Background with traffic on it."""
    on = Background("test-control")
    echo = Echo(on)
    assert echo.advances()
    yield echo
    echo.handle.cancel()
    assert echo.handle.wait(2.0)
    time.sleep(0.05)  # the server's side sees the end of its connection
    assert on.stop(2.0)


def answers(on: Background) -> bool:
    """True when work spawned on `on` runs."""
    ran = threading.Event()

    async def work() -> None:
        await asyncio.sleep(0.001)
        ran.set()

    return on.spawn(work).wait(5.0) and ran.is_set()


def test_child_has_its_own_background_and_the_parent_goes_on(busy: Echo) -> None:
    """The child starts a new thread at its first use; the parent's sockets stay in their epoll set."""

    def check() -> bool:
        return not busy.on.running and answers(busy.on) and busy.on.running and busy.on.stop(2.0)

    for _ in range(5):
        in_child(check)
        assert busy.advances()
    assert not busy.handle.done


def test_old_handles_are_dead_letters_in_the_child(busy: Echo) -> None:
    """Cancelling what the parent runs, and stopping, change nothing for the parent."""

    def check() -> bool:
        busy.handle.cancel()
        return busy.on.stop(1.0) and not busy.handle.done

    in_child(check)
    assert busy.advances()


def test_garbage_of_the_inherited_loop_harms_nobody(busy: Echo) -> None:
    """Closing the inherited transports in the child, as finalisers would, does not reach the parent."""

    def check() -> bool:
        import gc

        loop = busy.on._loop
        assert loop is None
        from meshlib.world import fork

        for subject in fork._abandoned:
            if isinstance(subject, asyncio.Task):
                with contextlib.suppress(RuntimeError):  # what a finaliser would print
                    subject.get_coro().close()
            if isinstance(subject, asyncio.SelectorEventLoop) and not subject.is_closed():
                for key in list(subject._selector.get_map().values()):  # type: ignore[attr-defined]
                    subject._remove_reader(key.fd)
        gc.collect()
        return answers(busy.on)

    in_child(check)
    assert busy.advances()


def test_the_child_keeps_no_reference_to_parent_sockets(busy: Echo) -> None:
    """When the parent closes a connection its peer sees the end, though a child still lives."""
    left, right = socket.socketpair()
    ready = threading.Event()

    async def hold() -> None:
        reader, writer = await asyncio.open_connection(sock=left)
        ready.set()
        try:
            await reader.read()
        finally:
            writer.close()

    handle = busy.on.spawn(hold)
    assert ready.wait(5)
    time.sleep(0.05)
    down, up = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(up)
        os.read(down, 1)
        os._exit(0)
    try:
        handle.cancel()
        assert handle.wait(5)
        right.settimeout(5)
        assert right.recv(10) == b""
    finally:
        os.close(up)
        os.close(down)
        os.waitpid(pid, 0)
        right.close()


def test_many_threads_may_be_spawning_while_forking() -> None:
    """Locks held by other threads at the moment of the fork are new in the child."""
    on = Background("test-control")
    stop = threading.Event()

    def spawn() -> None:
        while not stop.is_set():
            answers(on)

    threads = [threading.Thread(target=spawn) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            in_child(lambda: answers(on))
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
    assert answers(on)
    assert on.stop(2.0)


def test_a_world_works_on_both_sides(tmp_path: object) -> None:
    """Files, names and sleep work in a child made while the parent's were in use."""
    on = Background("test-control")
    world = World(on)
    scope = world.scope("orders")

    def works() -> bool:
        found: list[object] = []

        async def use() -> None:
            found.append((await scope.addresses("localhost", family="4")).addresses)
            await scope.sleep(0.02)
            found.append(bool(await scope.read(__file__)))

        return on.spawn(use).wait(5) and found == [("127.0.0.1",), True]

    assert works()
    running = on.spawn(lambda: scope.sleep(30))
    in_child(works)
    assert works()
    running.cancel()
    assert running.wait(2)
    assert on.stop(2.0)


def test_process_wide_background_in_child() -> None:
    """`background()` gives the child a working one, and a child of the child too."""
    assert answers(background())

    def grandchild() -> bool:
        in_child(lambda: answers(background()))
        return answers(background())

    in_child(grandchild)
    assert answers(background())
    assert background().stop(2.0)
