"""One mesh, many owners: loops in threads of their own, loops that are closed too early, and children of a fork."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from meshlib.mesh import Mesh
from tests.integration.http_kit import Side, in_flight, uri
from tests.integration.raw_server import Peer, RawServer, framed
from tests.integration.wire_kit import (
    CALM,
    LOOPS,
    LoopKit,
    clean,
    meshed,
    open_connections,
    runner,
    sockets,
    turn,
)

pytestmark = [pytest.mark.integration, pytest.mark.wire]

unclosed = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
no_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
in_threads = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def echo(peer: Peer) -> None:
    """The last word of the path; `/slow` in pieces."""
    while request := peer.request():
        name = request.split()[1][1:]
        if name == b"slow":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n", *[b"slow"] * 5, pause=0.02)
        else:
            peer.send(framed(name))


def mesh_of(server: RawServer) -> Mesh:
    """A mesh that knows `orders`."""
    services = {"orders": {"discovery": uri(server), **CALM, "retry": False, "attempt_timeout": 5.0}}
    return Mesh(policy={"services": services}, telemetry=False)


@pytest.mark.parametrize("how", LOOPS[1:])
@unclosed
def test_two_loops_in_two_threads(how: str) -> None:
    """One client, each loop with connections of its own, threads of the same mesh beside them; nobody gets another's answer."""
    wrong: list[object] = []

    async def many(client: Any, name: str) -> None:
        for round_number in range(4):
            names = [f"{name}-{round_number}-{number}" for number in range(10)]
            answers = await asyncio.gather(*[client.get(f"/{one}") for one in names])
            wrong.extend(one for one, answer in zip(names, answers, strict=True) if answer.text != one)

    def loop(client: Any, name: str) -> None:
        try:
            with runner(how) as running:
                running.run(many(client, name))
        except BaseException as error:
            wrong.append(error)

    def plain(client: Any, name: str) -> None:
        try:
            wrong.extend(n for n in range(40) if client.get(f"/{name}-{n}").text != f"{name}-{n}")
        except BaseException as error:
            wrong.append(error)

    with RawServer(echo) as server, mesh_of(server) as mesh:
        client, sync = mesh.async_client("http://orders"), mesh.client("http://orders")
        threads = [threading.Thread(target=loop, args=(client, f"loop{number}")) for number in range(2)]
        threads += [threading.Thread(target=plain, args=(sync, f"thread{number}")) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert wrong == []
        assert in_flight(mesh) == 0
        sync.close()
    gc.collect()  # the loops are closed with idle connections: asyncio's warnings belong here
    assert server.settled(0)


@pytest.mark.parametrize("how", LOOPS[1:])
@unclosed
def test_a_loop_that_is_closed_with_its_connections(how: str) -> None:
    """Its connections die with it; a call that it was in the middle of gives its lease back, and the next loop begins anew."""
    with RawServer(echo) as server, mesh_of(server) as mesh:
        client = mesh.async_client("http://orders")

        async def left() -> None:
            assert (await client.get("/a")).text == "a"
            task = asyncio.create_task(client.get("/slow"))
            await asyncio.sleep(0.01)
            assert not task.done()

        for _ in range(3):
            with runner(how) as running:
                running.run(left())
        assert in_flight(mesh) == 0
        with runner(how) as running:
            assert running.run(client.get("/b")).text == "b"
            running.run(client.aclose())
    gc.collect()
    assert server.settled(0)


def forked(work: Callable[[], Any], within: float = 10.0) -> Any:
    """What `work` returns in a child, by JSON."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = json.dumps({"value": work()})
        except BaseException as error:
            answer = json.dumps({"error": repr(error)})
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    killer = threading.Timer(within, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    killer.cancel()
    os.waitpid(pid, 0)
    assert text, "the child hung or died"
    answer = json.loads(text)
    assert "error" not in answer, answer["error"]
    return answer["value"]


def in_child(side: Side, kit: LoopKit) -> list[str]:
    """Calls of a child, on a loop of its own."""
    if side.runner is None:
        return [side.client.get(f"/child{number}").text for number in range(3)]

    async def work() -> list[str]:
        return [(await side.client.get(f"/child{number}")).text for number in range(3)]

    return runner(kit.how).run(work())


@no_fork
@in_threads
@pytest.mark.parametrize("how", LOOPS)
@pytest.mark.parametrize("when", ["idle", "in a body"])
def test_a_fork_in_the_middle(how: str, when: str) -> None:
    """Between two calls, or in the middle of a body: the child connects anew, the parent's connections do not notice."""
    kit = LoopKit(how)
    with RawServer(echo) as server, meshed(kit, server, attempt_timeout=5.0) as side:
        assert side.get("/a").text == "a"
        response = side.open("GET", "/slow") if when == "in a body" else None
        peers = len(server.peers)
        assert forked(lambda: in_child(side, kit)) == ["child0", "child1", "child2"]
        assert len(server.peers) == peers + 1
        if response is not None:
            assert side.read(response) == b"slow" * 5
        assert side.get("/b").text == "b"
        assert len(server.peers) == peers + 1
        turn(side)
        assert open_connections(side.runtime) == 1


def once(peer: Peer) -> None:
    """One answer, and then it closes."""
    if peer.request():
        peer.send(framed(b"ok"))


@no_fork
@in_threads
@pytest.mark.parametrize("how", LOOPS)
def test_a_fork_leaves_strangers_alone(how: str) -> None:
    """A closed connection's descriptor belongs to somebody else by now: the child must not take it for one of ours."""
    with RawServer(once) as server, meshed(LoopKit(how), server, attempt_timeout=5.0) as side:
        kept = [side.get("/") for _ in range(3)]  # each response still knows its connection
        assert server.settled(0)
        turn(side)
        pairs = [socket.socketpair() for _ in range(6)]

        def work() -> int:
            for near, _ in pairs:
                near.send(b"x")
            return sum(far.recv(1) == b"x" for _, far in pairs)

        try:
            assert forked(work) == len(pairs)
        finally:
            for sock in (sock for pair in pairs for sock in pair):
                sock.close()
        assert len(kept) == 3


@pytest.mark.parametrize("how", LOOPS)
def test_a_mesh_that_closes_in_the_middle(how: str) -> None:
    """A call under way comes to its end, and then nothing is open any more."""
    before = sockets()
    with RawServer(echo) as server, meshed(LoopKit(how), server, attempt_timeout=5.0) as side:
        held = side.open("GET", "/slow")
        side.get("/a")
        wires = [wire for wire, *_ in side.runtime.pools._wires.values()]
        side.run(side.client.close() if side.runner is None else side.client.aclose())
        assert side.read(held) == b"slow" * 5
        turn(side)
        assert [pool.open for wire in wires for pool in wire._pools()] == [0]
        assert server.settled(0)
        clean(side.runtime)
    until = time.monotonic() + 2.0
    while sockets() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert sockets() <= before
