"""`mesh.attempts()` with raw sockets, sync and asyncio: retries, cancellation, `break`, and what is held afterwards."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import time
from collections.abc import Iterator
from threading import Thread

import pytest

from meshlib import DeadlineExceededError, Mesh, deadline
from meshlib.core.deadline import remaining

pytestmark = pytest.mark.integration


class Handler(socketserver.StreamRequestHandler):
    """Answers each line with the server's port and the line in capitals; `hang` is never answered."""

    def handle(self) -> None:
        self.server.conversations.add(self.connection)  # type: ignore[attr-defined]
        try:
            for line in self.rfile:
                if line.strip() == b"hang":
                    continue
                self.wfile.write(b"%d %s" % (self.server.server_address[1], line.upper()))
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    """A line server on a port of its own; `kill` drops its connections too."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.conversations: set[socket.socket] = set()
        self.port = int(self.server_address[1])
        self.thread = Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def kill(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join(5)
        for one in self.conversations:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Two running servers; what a test puts in their places is stopped too."""
    both = [Server(), Server()]
    yield both
    for server in both:
        server.kill()


@pytest.fixture
def mesh(servers: list[Server]) -> Iterator[Mesh]:
    """A mesh whose service `upper` is those two, in turns."""
    where = "static://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)
    policy = {
        "timeout": 5.0,
        "balancer": "round_robin",
        "ejection": {"consecutive_failures": 2, "base": 0.2, "jitter": 0.0, "maximum": 0.3},
        "services": {"upper": {"discovery": where}},
    }
    with Mesh(policy=policy, telemetry=False) as one:
        yield one


def say(host: str, port: int, text: bytes, timeout: float = 2.0) -> bytes:
    """One line to a server and its answer; EOFError when it hangs up."""
    with socket.create_connection((host, port), timeout) as connection, connection.makefile("rb") as lines:
        connection.sendall(text + b"\n")
        answer = lines.readline()
        if not answer:
            raise EOFError
        return answer.strip()


async def asay(host: str, port: int, text: bytes) -> bytes:
    """The same for asyncio, without any timeout of its own."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(text + b"\n")
        answer = await reader.readline()
        if not answer:
            raise EOFError
        return answer.strip()
    finally:
        writer.close()


def ask(mesh: Mesh, text: bytes = b"hello") -> bytes:
    """One call."""
    for attempt in mesh.attempts("upper"):
        with attempt as node:
            answer = say(node.host, node.port, text)
    return answer


async def aask(mesh: Mesh, text: bytes = b"hello") -> bytes:
    """One call, for asyncio."""
    async for attempt in mesh.attempts("upper"):
        async with attempt as node:
            answer = await asay(node.host, node.port, text)
    return answer


def nodes(mesh: Mesh) -> list[dict[str, object]]:
    """The nodes as `state()` tells them."""
    found: list[dict[str, object]] = mesh.state()["services"]["upper"]["clusters"][""]["nodes"]
    return found


def in_flight(mesh: Mesh) -> int:
    """Leases that nobody gave back."""
    return sum(int(str(node["in_flight"])) for node in nodes(mesh))


def test_both_are_used(servers: list[Server], mesh: Mesh) -> None:
    """Without faults every call is one attempt, in turns."""
    answers = {ask(mesh) for _ in range(4)}
    assert answers == {b"%d HELLO" % server.port for server in servers}
    assert [node["calls"] for node in nodes(mesh)] == [2, 2]


@pytest.mark.parametrize("form", ["sync", "asyncio"])
def test_killed_avoided_restored(form: str, servers: list[Server], mesh: Mesh) -> None:
    """Nothing is lost when a server dies; it is left alone, gets only probes, and is used again once it is back."""
    dead, alive = servers

    def calls(count: int) -> set[bytes]:
        if form == "sync":
            return {ask(mesh) for _ in range(count)}

        async def several() -> set[bytes]:
            return set(await asyncio.gather(*(aask(mesh) for _ in range(count))))

        return asyncio.run(several())

    assert len(calls(10)) == 2
    dead.kill()
    assert calls(20) == {b"%d HELLO" % alive.port}
    assert nodes(mesh)[0]["state"] in ("unreachable", "ejected", "probing")
    before = int(str(nodes(mesh)[0]["calls"]))
    calls(50)
    assert int(str(nodes(mesh)[0]["calls"])) - before <= 3
    servers[0] = Server(dead.port)
    until = time.monotonic() + 8.0
    while nodes(mesh)[0]["state"] != "ready":
        assert time.monotonic() < until
        calls(1)
        time.sleep(0.02)
    assert len(calls(10)) == 2
    assert in_flight(mesh) == 0


def test_last_failure_is_raised(servers: list[Server], mesh: Mesh) -> None:
    """The user's own exception, not a wrapper, after three attempts."""
    for server in servers:
        server.kill()
    tried = []

    def call() -> None:
        for attempt in mesh.attempts("upper"):
            with attempt as node:
                tried.append(node.port)
                say(node.host, node.port, b"hello")

    with pytest.raises(ConnectionRefusedError):
        call()
    assert len(tried) == 3
    assert in_flight(mesh) == 0


def test_error_of_the_users_own(servers: list[Server], mesh: Mesh) -> None:
    """What is not in `on` is raised at once and is nobody's failure."""

    def call() -> None:
        for attempt in mesh.attempts("upper"):
            with attempt:
                raise KeyError("mine")

    with pytest.raises(KeyError):
        call()
    assert [node["failures"] for node in nodes(mesh)] == [0, 0]
    assert in_flight(mesh) == 0


def test_break_and_return(servers: list[Server], mesh: Mesh) -> None:
    """Leaving the block early is a success, and gives everything back."""
    for attempt in mesh.attempts("upper"):
        with attempt:
            break
    assert in_flight(mesh) == 0

    def early() -> str:
        for attempt in mesh.attempts("upper"):
            with attempt as node:
                return str(node.host)
        raise AssertionError

    assert early() == "127.0.0.1"
    assert in_flight(mesh) == 0


def test_attempt_that_is_never_entered(servers: list[Server], mesh: Mesh) -> None:
    """Nothing is claimed before the block, so dropping an attempt costs nothing."""
    for _ in mesh.attempts("upper"):
        break
    assert in_flight(mesh) == 0
    with pytest.raises(RuntimeError, match="not entered"):
        for _ in mesh.attempts("upper"):
            pass
    assert in_flight(mesh) == 0


@pytest.mark.asyncio
async def test_hang_is_cut_off_by_the_deadline(servers: list[Server], mesh: Mesh) -> None:
    """In asyncio a block that outlives its share of the deadline is cancelled, and the deadline is kept."""
    started = time.monotonic()
    tried = []

    async def call() -> None:
        async for attempt in mesh.attempts("upper", timeout=0.4):
            async with attempt as node:
                tried.append(node.port)
                await asay(node.host, node.port, b"hang")

    with pytest.raises((DeadlineExceededError, TimeoutError)):
        await call()
    assert len(tried) >= 2
    assert 0.35 < time.monotonic() - started < 1.5
    assert in_flight(mesh) == 0


@pytest.mark.asyncio
async def test_callers_cancellation_is_nobodys_failure(servers: list[Server], mesh: Mesh) -> None:
    """It passes through, is not held against the node, and gives the lease back."""

    async def hanging() -> None:
        async for attempt in mesh.attempts("upper"):
            async with attempt as node:
                await asay(node.host, node.port, b"hang")

    task = asyncio.create_task(hanging())
    await asyncio.sleep(0.1)
    assert in_flight(mesh) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert in_flight(mesh) == 0
    assert [node["failures"] for node in nodes(mesh)] == [0, 0]


def test_block_knows_what_is_left(servers: list[Server], mesh: Mesh) -> None:
    """A sync block is told by the ambient deadline how long it may take: half of what is left, then all of it."""
    left = []

    def call() -> None:
        for attempt in mesh.attempts("upper", timeout=2.0):
            with attempt:
                left.append(deadline.remaining())
                raise ConnectionError

    with pytest.raises(ConnectionError):
        call()
    assert left == pytest.approx([1.0, 1.0, 2.0], abs=0.3)
    assert remaining(time.monotonic()) is None
