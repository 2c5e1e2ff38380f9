"""No more connections than allowed: who waits for one, how long, and what becomes of those that leave the line."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import Any

import httpx
import pytest

from tests.integration.http_kit import Side, in_flight
from tests.integration.raw_server import OK, Peer, RawServer, answering, framed
from tests.integration.wire_kit import LOOPS, LoopKit, Outcomes, meshed, open_connections, pools, turn

pytestmark = [pytest.mark.integration, pytest.mark.wire]

ALONE: dict[str, Any] = {"retry": {"attempts": 2, "wait": {"base": 0.001}}, "attempt_timeout": 3.0}
ONE = httpx.Limits(max_connections=1)
LONG = framed(b"x" * 600_000)


@pytest.fixture(params=LOOPS)
def kit(request: pytest.FixtureRequest) -> LoopKit:
    """Threads, then a loop."""
    return LoopKit(request.param)


def waiting(side: Side) -> int:
    """Calls in line."""
    return sum(not place.gone for pool in pools(side.runtime) for place in pool._waiting)


@pytest.mark.parametrize("bound", ["pool", "attempt", "call"])
def test_waiting_has_an_end(kit: LoopKit, bound: str) -> None:
    """A PoolTimeout is nobody's failure and is not repeated; the deadline has its own error."""
    options: dict[str, Any] = {
        "pool": {"timeout": httpx.Timeout(5.0, pool=0.05)},
        "attempt": {},
        "call": {"timeout": 0.05},
    }[bound]
    policy = ALONE | ({"attempt_timeout": 0.05} if bound == "attempt" else {})
    outcomes = Outcomes()
    with (
        RawServer(answering(LONG)) as server,
        meshed(kit, server, outcomes=outcomes, limits=ONE, **policy) as side,
    ):
        held = side.open("GET", "/held")
        started = time.monotonic()
        with pytest.raises(httpx.TimeoutException) as raised:
            side.get("/", **options)
        assert 0.04 < time.monotonic() - started < 1.0
        if bound == "pool":
            assert isinstance(raised.value, httpx.PoolTimeout)
            assert [(one.kind.value, one.cause, one.retry_safe) for one in outcomes.seen[1:]] == [
                ("ignored", "pool", False)
            ]
        assert waiting(side) == 0
        assert in_flight(side.runtime) == 1
        assert side.read(held) == b"x" * 600_000
        assert side.get("/").status_code == 200
        assert len(server.peers) == 1


def test_a_long_line_is_forgotten(kit: LoopKit) -> None:
    """Who has left the line costs nothing, even if no connection ever comes back."""
    with RawServer(answering(LONG)) as server, meshed(kit, server, limits=ONE, **ALONE) as side:
        held = side.open("GET", "/held")
        for _ in range(8):
            with pytest.raises(httpx.PoolTimeout):
                side.get("/", timeout=httpx.Timeout(5.0, pool=0.001))
        assert len(pools(side.runtime)[0]._waiting) == 1
        side.shut(held)


def test_abandoned_streams_make_room(kit: LoopKit) -> None:
    """Dropped without being closed: the next call finds the connection closed and its place free."""
    with RawServer(answering(LONG)) as server, meshed(kit, server, limits=ONE, **ALONE) as side:
        for number in range(1, 4):
            response = side.open("GET", "/")
            assert response.status_code == 200
            del response
            gc.collect()
            assert side.get("/").status_code == 200
            assert len(server.peers) == number + 1
        turn(side)
        assert open_connections(side.runtime) == 1


def test_threads_in_line() -> None:
    """Many threads, few connections: all are served, and never more are open."""
    most = 0

    def script(peer: Peer) -> None:
        nonlocal most
        while peer.request():
            most = max(most, server.open)
            peer.send(OK if peer.number % 2 else framed(b"ok", b"Connection: close"))
            if not peer.number % 2:
                return

    failed: list[BaseException] = []
    limits = httpx.Limits(max_connections=3)
    with RawServer(script) as server, meshed(LoopKit("sync"), server, limits=limits, **ALONE) as side:

        def work() -> None:
            try:
                for _ in range(15):
                    assert side.client.get("/").content == b"ok"
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert failed == []
        assert len(server.requests) >= 120
        assert most <= 3 + 3  # a connection that the client has closed may still run its script
        assert open_connections(side.runtime) <= 3


@pytest.mark.parametrize("how", LOOPS[1:])
def test_tasks_in_line(how: str) -> None:
    """First come, first served; who is cancelled meanwhile leaves no hole and takes nothing along."""
    served: list[str] = []

    def script(peer: Peer) -> None:
        while request := peer.request():
            served.append(request.split()[1].decode())
            time.sleep(0.002)
            peer.send(OK)

    with RawServer(script) as server, meshed(LoopKit(how), server, limits=ONE, **ALONE) as side:

        async def work() -> None:
            tasks = []
            for number in range(20):
                tasks.append(asyncio.create_task(side.client.get(f"/{number}")))
                await asyncio.sleep(0)
            while waiting(side) < 19:
                await asyncio.sleep(0)
            for number in range(1, 20, 2):
                tasks[number].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert [task.cancelled() for task in tasks] == [number % 2 == 1 for number in range(20)]

        side.run(work())
        assert served == [f"/{number}" for number in range(0, 20, 2)]
        assert len(server.peers) == open_connections(side.runtime) == 1


@pytest.mark.parametrize("how", LOOPS[1:])
def test_a_connection_that_dies_on_its_way_to_a_waiter(how: str) -> None:
    """Given back, granted, and closed by the server before the waiter wakes: the waiter makes a new one."""

    def script(peer: Peer) -> None:
        if peer.request():
            peer.send(OK)

    with RawServer(script) as server, meshed(LoopKit(how), server, limits=ONE, **ALONE) as side:

        async def work() -> None:
            tasks = [asyncio.create_task(side.client.post(f"/{number}")) for number in range(12)]
            while not all(task.done() for task in tasks):
                await asyncio.sleep(0)
                time.sleep(0.003)  # the loop is slow: the server's close is always there when it looks
            assert [task.result().content for task in tasks] == [b"ok"] * 12

        side.run(work())
        turn(side)
        assert len(server.requests) == len(server.peers) == 12
        assert open_connections(side.runtime) <= 1
