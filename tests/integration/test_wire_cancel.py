"""Cancelled anywhere: at every point where a call can wait, before and in the very moment in which it gets what it waits for.

Nothing may stay behind: no lease, no connection that is neither idle nor closed, no task, no place in line; and the next call
gets its own answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from functools import partial
from typing import Any

import httpx
import pytest
import trustme

from meshlib.transport import dial_aio
from tests.integration.http_kit import Side, eventually, in_flight
from tests.integration.raw_server import Peer, RawServer, framed
from tests.integration.test_wire_tls import client_side, server_side
from tests.integration.wire_kit import (
    LOOPS,
    Address,
    LoopKit,
    clean,
    meshed,
    pools,
    sockets,
    turn,
    two_addresses,
)

pytestmark = [pytest.mark.integration, pytest.mark.wire]

POLICY: dict[str, Any] = {"attempt_timeout": 5.0, "retry": {"attempts": 2, "wait": {"base": 0.002}}}
MOST = 14
"""Points of waiting that are tried in one call."""


class Interrupted:
    """Awaits `work` and cancels its task at the `at`-th point where it waits: before anything comes, or (`late`) in the turn in
    which it comes, before the task wakes. `points` counts them."""

    def __init__(self, work: Awaitable[Any], at: int, late: bool) -> None:
        self._work = work
        self._at = at
        self._late = late
        self.points = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        work: Any = self._work.__await__()
        task = asyncio.current_task()
        assert task is not None
        go = partial(work.send, None)
        while True:
            try:
                waits = go()
            except StopIteration as done:
                return done.value
            self.points += 1
            if self.points == self._at:
                self._cancel(task, waits)
            try:
                yield waits
                go = partial(work.send, None)
            except BaseException as error:
                go = partial(work.throw, error)

    def _cancel(self, task: asyncio.Task[Any], waits: Any) -> None:
        if not self._late:
            task.cancel()
        elif waits is None:
            asyncio.get_running_loop().call_soon(task.cancel)
        else:
            # Before the task's own callback: it finds itself cancelled and the result there.
            waits.add_done_callback(lambda _: task.cancel())


# What is cancelled.


async def get(side: Side) -> None:
    """A small answer."""
    assert (await side.client.get("/get")).content == b"get"


async def upload(side: Side) -> None:
    """More than the kernel takes, in pieces."""

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(6):
            yield b"x" * 700_000

    assert (await side.client.post("/upload", content=parts())).content == b"upload"


async def big(side: Side) -> None:
    """More than the kernel takes, at once."""
    assert (await side.client.post("/big", content=b"x" * 4_000_000)).content == b"big"


async def expect(side: Side) -> None:
    """The peer is asked first."""
    answer = await side.client.post("/expect", content=b"body", headers={"Expect": "100-continue"})
    assert answer.content == b"expect"


async def stream(side: Side) -> None:
    """An answer in pieces."""
    async with side.client.stream("GET", "/stream") as response:
        found = [part async for part in response.aiter_raw()]
    assert b"".join(found) == b"stream" * 4


async def queue(side: Side) -> None:
    """Three calls for one connection; the first is the one that is cancelled."""
    others = [asyncio.create_task(get(side)) for _ in range(2)]
    try:
        await asyncio.sleep(0)
        await get(side)
    finally:
        await asyncio.gather(*others)


async def retried(side: Side) -> None:
    """A first attempt that fails, a pause, a second one."""
    assert (await side.client.get("/retried")).content == b"retried"


WORK: dict[str, Callable[[Side], Awaitable[None]]] = {
    "get": get,
    "upload": upload,
    "big": big,
    "expect": expect,
    "stream": stream,
    "queue": queue,
    "retried": retried,
}


class Script:
    """Answers with the last word of the path, slowly where that makes the client wait."""

    def __init__(self) -> None:
        self.failed = False

    def __call__(self, peer: Peer) -> None:
        while head := peer.head():
            name = head.split()[1][1:]
            if name == b"expect":
                peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif name in (b"upload", b"big"):
                time.sleep(0.002)
            if not peer.request():
                return
            if name == b"retried" and not self.failed:
                self.failed = True
                peer.send(framed(b"", status=b"503 Service Unavailable"))
                continue
            self.failed = False
            if name == b"stream":
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n", *[b"stream"] * 4, pause=0.001)
            else:
                peer.send(framed(name))


@pytest.fixture(params=LOOPS[1:])
def kit(request: pytest.FixtureRequest) -> LoopKit:
    """Both loops."""
    return LoopKit(request.param)


def tried(side: Side, work: Callable[[Side], Awaitable[None]], late: bool) -> int:
    """Cancel `work` at one point after the other until it gets through; how many there were."""

    async def once(at: int) -> bool:
        before = asyncio.all_tasks()
        interrupted = Interrupted(work(side), at, late)
        try:
            await asyncio.ensure_future(_awaited(interrupted))
        except asyncio.CancelledError:
            pass
        for _ in range(20):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == before, f"tasks are left, cancelled at {at}"
        assert in_flight(side.runtime) == 0, f"a lease is left, cancelled at {at}"
        clean(side.runtime)
        await get(side)
        return interrupted.points < at

    for at in range(1, MOST + 1):
        if side.run(once(at)):
            return at - 1
    return MOST


async def _awaited(work: Awaitable[None]) -> None:
    await work


@pytest.mark.parametrize("late", [False, True], ids=["before", "late"])
@pytest.mark.parametrize("name", WORK)
def test_cancelled_at_every_point(kit: LoopKit, name: str, late: bool) -> None:
    """On connections that are at hand."""
    limits = httpx.Limits(max_connections=1) if name == "queue" else httpx.Limits()
    with RawServer(Script(), window=8192) as server, meshed(kit, server, limits=limits, **POLICY) as side:
        side.run(get(side))
        assert tried(side, WORK[name], late) >= 1


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The one that the client trusts."""
    return trustme.CA()


@pytest.mark.parametrize("late", [False, True], ids=["before", "late"])
@pytest.mark.parametrize("how", ["address", "name", "tls", "race"])
def test_cancelled_while_connecting(
    kit: LoopKit, how: str, late: bool, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new connection for every call: by address, by name (look-up and race), with TLS."""
    tls = server_side(authority) if how == "tls" else None
    options = {"verify": client_side(authority)} if how == "tls" else {}
    if (how, kit.how) == ("race", "uvloop"):
        pytest.skip("asks by itself, past Python's socket module")
    monkeypatch.setattr(dial_aio, "STAGGER", 0.01)
    before = sockets()
    with RawServer(Script(), tls=tls) as server, two_addresses(server, monkeypatch) as two:
        where = {"name": Address("localhost", server.port), "race": two}.get(how, server)
        with meshed(kit, where, connections={"idle": 0.000_001}, **POLICY, **options) as side:
            assert tried(side, get, late) >= 2
            turn(side, 50)
        assert server.settled(0)
    assert eventually(lambda: sockets() <= before)


@pytest.mark.parametrize("fresh", [True, False])
def test_cancelled_after_any_number_of_turns(kit: LoopKit, fresh: bool) -> None:
    """With the server on the same loop, so that every turn is one step of both: what the loop calls is interrupted as well."""
    accepted: list[asyncio.StreamWriter] = []

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        try:
            while True:
                name = (await reader.readuntil(b"\r\n\r\n")).split()[1][1:]
                await asyncio.sleep(0)
                writer.write(framed(name))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    class Where:
        address = ""

    async def listening() -> asyncio.Server:
        return await asyncio.start_server(served, "127.0.0.1", 0)

    async def cancelled(side: Side, turns: int) -> bool:
        if fresh:
            for pool in pools(side.runtime):
                for connection in list(pool.idle):
                    pool._close_idle(connection)
        task = asyncio.create_task(side.client.get(f"/{turns}"))
        for _ in range(turns):
            await asyncio.sleep(0)
        through = task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for _ in range(10):
            await asyncio.sleep(0)
        assert in_flight(side.runtime) == 0
        clean(side.runtime)
        answer = await side.client.get("/after")
        assert answer.content == b"after"
        return through

    from tests.integration.wire_kit import runner

    with runner(kit.how) as loop:
        server = loop.run(listening())
        Where.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with meshed(kit, Where, **POLICY) as side:
            assert side.runner is not None
            side.runner.close()
            side.runner = loop
            loop.run(side.client.get("/first"))
            turns = 0
            while not loop.run(cancelled(side, turns)) and turns < 200:
                turns += 1
            assert 3 <= turns < 200

            async def over() -> None:
                await side.client.aclose()
                server.close()
                for writer in accepted:
                    writer.transport.abort()
                await asyncio.sleep(0.01)

            loop.run(over())
            side.runner = runner("async")
