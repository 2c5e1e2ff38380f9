"""When a connection is used again, and when not: closes at the worst moment, bytes that nobody asked for, idle times."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest

from meshlib.transport import pool as pool_module
from tests.integration.http_kit import Side, eventually
from tests.integration.raw_server import OK, Peer, RawServer, answering, framed
from tests.integration.wire_kit import LOOPS, LoopKit, Outcomes, meshed, open_connections, pools, turn

pytestmark = [pytest.mark.integration, pytest.mark.wire]

QUICK: dict[str, Any] = {"retry": {"attempts": 3, "wait": {"base": 0.001}}, "attempt_timeout": 2.0}
ALONE: dict[str, Any] = {"retry": False, "attempt_timeout": 2.0}


@pytest.fixture(params=LOOPS)
def kit(request: pytest.FixtureRequest) -> LoopKit:
    """Threads, then a loop."""
    return LoopKit(request.param)


def idle(side: Side) -> int:
    """Idle connections, as the pools count them."""
    return sum(len(pool.idle) for pool in pools(side.runtime))


# Closed by the server.


def test_closed_right_after_the_answer(kit: LoopKit) -> None:
    """Without a word of warning, again and again: no request fails, and no POST arrives twice."""

    def script(peer: Peer) -> None:
        if peer.request():
            peer.send(OK)

    with RawServer(script) as server, meshed(kit, server, **ALONE) as side:
        for number in range(1, 31):
            assert side.post("/", content=b"%d" % number).content == b"ok"
            # The close is on its way or here: both must be seen before anything is written.
            assert eventually(lambda: server.open == 0)
        assert len(server.requests) == len(server.peers) == 30


def test_closed_at_the_moment_of_the_next_request(kit: LoopKit) -> None:
    """The close meets the request half-way. A GET is repeated; a POST fails at most, and never arrives twice."""

    def script(peer: Peer) -> None:
        for number in range(3):
            if not peer.request():
                return
            peer.send(OK)
            if number + peer.number % 3 == 2:
                # What comes meanwhile is never read, and answered by RST.
                time.sleep(0.0004 * (peer.number % 5))
                return

    failed = 0
    with RawServer(script) as server, meshed(kit, server, **QUICK) as side:
        for number in range(60):
            assert side.get("/").content == b"ok"
            try:
                side.post("/", content=b"number %d." % number)
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                failed += 1
            assert server.received.count(b"number %d." % number) <= 1
        assert failed < 60


def test_an_unsent_post_is_repeated(kit: LoopKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle connection was reset and nobody has looked: nothing leaves on it, so that even a POST goes again."""
    release, done = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        if peer.number == 0:
            release.wait(5)
            peer.reset()
            done.set()

    outcomes = Outcomes()
    with RawServer(script) as server, meshed(kit, server, outcomes=outcomes, **QUICK) as side:
        side.get("/")
        (connection,) = pools(side.runtime)[0].idle
        monkeypatch.setattr(type(connection), "stale", lambda self, thorough: False)
        release.set()
        assert done.wait(5)
        time.sleep(0.005)
        assert side.post("/", content=b"x").content == b"ok"
        # An async side's loop may have heard of it first.
        assert [one.cause for one in outcomes.seen[1:]] in (["unsent", "ok"], ["ok"])
        assert server.received.count(b"POST") == 1


@pytest.mark.parametrize("what", ["end", "bytes"])
def test_what_waits_on_an_idle_connection_is_seen(kit: LoopKit, what: str) -> None:
    """EOF or bytes in the kernel that the loop has not read yet: a POST takes another connection."""
    release = threading.Event()
    told = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        if peer.number == 0:
            release.wait(5)
            if what == "bytes":
                peer.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                peer.finish()
            told.set()
        answering(OK)(peer)

    with RawServer(script) as server, meshed(kit, server, **ALONE) as side:
        side.get("/")
        release.set()
        assert told.wait(5)
        time.sleep(0.005)  # across loopback; an async side's loop has not run meanwhile
        assert side.post("/", content=b"x").status_code == 200
        assert b"POST" not in server.peers[0].received
        assert len(server.peers) == 2


@pytest.mark.parametrize("name", ["more", "junk", "blank lines"])
def test_bytes_after_the_message_end_the_connection(kit: LoopKit, name: str) -> None:
    """In the same packet or a later one, counted or in chunks: nobody ever takes them for an answer."""
    extra = {"more": framed(b"not asked for"), "junk": b"\0\0", "blank lines": b"\r\n\r\n"}[name]

    def script(peer: Peer) -> None:
        number = 0
        while peer.request():
            answer = framed(b"ok") if peer.number % 2 else framed([b"ok"])
            if peer.number < 2:
                peer.send(answer + extra)
            else:
                peer.send(answer)
                time.sleep(0.003)
                peer.send(extra)
            number += 1

    with RawServer(script) as server, meshed(kit, server, **ALONE) as side:
        for _ in range(4):
            assert side.get("/").content == b"ok"
            time.sleep(0.01)
            turn(side)
        assert [bytes(peer.received).count(b"GET") for peer in server.peers] == [1, 1, 1, 1]
        turn(side)


# Idle times.


def test_unrepeatable_requests_avoid_what_has_been_idle(
    kit: LoopKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than 2 seconds: a GET may take it, a POST makes a new connection, an idempotency key is as good as a GET."""
    monkeypatch.setattr(pool_module, "UNREPEATABLE_IDLE", 0.05)
    with RawServer(answering(OK)) as server, meshed(kit, server, **ALONE) as side:
        side.post("/")
        side.post("/")
        assert len(server.peers) == 1
        time.sleep(0.06)
        side.get("/")
        assert len(server.peers) == 1
        time.sleep(0.06)
        side.post("/", headers={"Idempotency-Key": "1"})
        assert len(server.peers) == 1
        time.sleep(0.06)
        side.post("/")
        assert len(server.peers) == 2
        assert open_connections(side.runtime) == idle(side) == 2


def test_unrepeatable_requests_at_the_limit(kit: LoopKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only connection that may be open has been idle for too long: it makes room for a new one."""
    monkeypatch.setattr(pool_module, "UNREPEATABLE_IDLE", 0.05)
    limits = httpx.Limits(max_connections=1)
    with RawServer(answering(OK)) as server, meshed(kit, server, limits=limits, **ALONE) as side:
        side.get("/")
        time.sleep(0.06)
        assert side.post("/").content == b"ok"
        assert b"POST" not in server.peers[0].received
        assert open_connections(side.runtime) == 1


@pytest.mark.parametrize(
    ("field", "kept"), [("timeout=1", False), ("timeout=5, max=99", True), ("max=3", True)]
)
def test_keep_alive_is_obeyed(kit: LoopKit, field: str, kept: bool) -> None:
    """A second less than the server says."""
    answer = framed(b"ok", b"Keep-Alive: " + field.encode())
    with RawServer(answering(answer)) as server, meshed(kit, server, **ALONE) as side:
        before = time.monotonic()
        side.get("/")
        after = time.monotonic()
        assert idle(side) == open_connections(side.runtime) == kept
        if field.startswith("timeout=5"):
            (connection,) = pools(side.runtime)[0].idle
            assert before + 4.0 <= connection.expires <= after + 4.0
        side.get("/")
        assert len(server.peers) == (1 if kept else 2)


def test_idle_connections_expire(kit: LoopKit) -> None:
    """`connections.idle`; the age of a busy one has its own bound."""
    with RawServer(answering(OK)) as server:
        with meshed(kit, server, connections={"idle": 0.05}, **ALONE) as side:
            side.get("/")
            time.sleep(0.06)
            side.get("/")
            assert len(server.peers) == 2
            assert open_connections(side.runtime) == 1
        with meshed(kit, server, connections={"max_age": 0.05, "max_age_jitter": 0.0}, **ALONE) as side:
            until = time.monotonic() + 0.12
            while time.monotonic() < until:
                side.get("/")
            assert 3 <= len(server.peers) <= 2 + 3
        assert server.settled(0)


def test_limits_keep_few(kit: LoopKit) -> None:
    """`max_keepalive_connections` of httpx's limits: more may be open, not idle."""
    limits = httpx.Limits(max_keepalive_connections=1)
    with RawServer(answering(framed(b"x" * 300_000))) as server:
        with meshed(kit, server, limits=limits, **ALONE) as side:
            held = [side.open("GET", "/") for _ in range(3)]
            for response in held:
                side.read(response)
            assert idle(side) == open_connections(side.runtime) == 1
            turn(side)
        assert server.settled(0)
