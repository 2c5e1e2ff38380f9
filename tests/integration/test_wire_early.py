"""Answers that come before the request is finished, and peers that are slow to take it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.integration.raw_server import OK, Peer, RawServer, Script, answering, deaf, framed
from tests.integration.wire_kit import LOOPS, LoopKit, Outcomes, meshed, open_connections, turn

pytestmark = [pytest.mark.integration, pytest.mark.wire]

TOO_LARGE = framed(b"too large", status=b"413 Content Too Large")
POLICY: dict[str, Any] = {"attempt_timeout": 2.0, "retry": {"attempts": 3, "wait": {"base": 0.001}}}
BIG = 6_000_000
"""Bytes; more than the kernel takes at once."""
WINDOW = 8192


@pytest.fixture(params=LOOPS)
def kit(request: pytest.FixtureRequest) -> LoopKit:
    """Threads, then a loop."""
    return LoopKit(request.param)


def parts(kind: str, size: int, count: int) -> Any:
    """A body made while it is sent."""

    def plain() -> Iterator[bytes]:
        for _ in range(count):
            yield b"x" * size

    async def asynchronous() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * size

    return asynchronous() if kind == "async" else plain()


BODIES: dict[str, Callable[[str], Any]] = {
    "little": lambda kind: {"content": b"x" * 10},
    "much": lambda kind: {"content": b"x" * BIG},
    "counted parts": lambda kind: {
        "content": parts(kind, 100_000, BIG // 100_000),
        "headers": {"Content-Length": str(BIG)},
    },
    "parts": lambda kind: {"content": parts(kind, 100_000, BIG // 100_000)},
    "asking first": lambda kind: {"content": b"x" * BIG, "headers": {"Expect": "100-continue"}},
}


def reads_on(peer: Peer) -> None:
    """The answer, then the rest of the request is read and thrown away, and the connection goes on."""
    while peer.head():
        peer.send(TOO_LARGE)
        if not peer.request():
            return


def does_not_read(peer: Peer) -> None:
    """The answer, and no byte more is read: only who looks for it while writing ever sees it."""
    if peer.head():
        peer.send(TOO_LARGE)
        deaf(peer)


def lingers(peer: Peer) -> None:
    """As good servers close: FIN behind the answer, then read until the client has gone."""
    if peer.head():
        peer.send(TOO_LARGE.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        peer.finish()
        peer.gone()


def slams(peer: Peer) -> None:
    """As bad servers close: what was not read makes it an RST, which may overtake the answer."""
    if peer.head():
        peer.send(TOO_LARGE)


EARLY: dict[str, Script] = {
    "reads on": reads_on,
    "does not read": does_not_read,
    "lingers": lingers,
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("name", EARLY)
def test_early_answers_are_answers(kit: LoopKit, name: str, body: str) -> None:
    """Whoever answers early is heard, long before any timeout, and the next request is not mixed up with this one."""
    window = WINDOW if name == "does not read" else 0
    with RawServer(EARLY[name], window=window) as server, meshed(kit, server, **POLICY) as side:
        started = time.monotonic()
        response = side.post("/", **BODIES[body](kit.kind))
        assert (response.status_code, response.content) == (413, b"too large")
        assert time.monotonic() - started < 1.5
        assert server.received.count(b"POST / ") == 1
        turn(side)
        if name != "does not read":
            assert side.get("/").status_code == 413
        if name == "lingers":
            assert len(server.peers) == 2


@pytest.mark.parametrize("body", BODIES)
def test_a_slammed_door(kit: LoopKit, body: str) -> None:
    """The answer, or an error that says what happened; a POST is never sent twice."""
    outcomes = Outcomes()
    with RawServer(slams) as server, meshed(kit, server, outcomes=outcomes, **POLICY) as side:
        for _ in range(5):
            try:
                assert side.post("/", **BODIES[body](kit.kind)).status_code == 413
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                assert outcomes.seen[-1].cause == "reset"
        assert server.received.count(b"POST / ") <= len(outcomes.seen) == 5


@pytest.mark.parametrize("framing", ["counted parts", "parts"])
def test_an_endless_upload_is_cut_short(kit: LoopKit, framing: str) -> None:
    """A body without end stops when the answer is there, and its source is let go."""
    with RawServer(lingers) as server, meshed(kit, server, **POLICY) as side:
        options = {"headers": {"Content-Length": str(10**12)}} if framing == "counted parts" else {}
        response = side.post("/", content=parts(kit.kind, 10_000, 10**8), **options)
        assert response.status_code == 413
        assert open_connections(side.runtime) == 0


@pytest.mark.parametrize("how", LOOPS[1:])
def test_an_upload_leaves_turns_to_others(how: str) -> None:
    """Parts that are at hand, a peer that takes them as fast: the loop is nobody's own."""
    turns = 0

    async def ticking() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    with RawServer(answering(OK)) as server, meshed(LoopKit(how), server, retry=False) as side:

        async def work() -> None:
            await side.client.get("/")
            ticker = asyncio.create_task(ticking())
            await asyncio.sleep(0)
            before = turns
            body, counted = parts("async", 100, 20_000), {"Content-Length": "2000000"}
            answer = await side.client.post("/", content=body, headers=counted)
            assert answer.content == b"ok"
            assert turns - before > 2_000_000 // (64 * 1024) - 2
            ticker.cancel()

        side.run(work())


@pytest.mark.parametrize("status", [b"200 OK", b"302 Found"])
def test_a_good_answer_may_come_early(kit: LoopKit, status: bytes) -> None:
    """An echo answers while it reads: below 400 the request is sent to its end."""

    def script(peer: Peer) -> None:
        while peer.head():
            peer.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\no")
            peer.request()
            peer.send(b"k")

    with RawServer(script) as server, meshed(kit, server, **POLICY) as side:
        for body in ("little", "parts"):
            assert side.post("/", **BODIES[body](kit.kind)).content == b"ok"
        assert [len(request) >= BIG for request in server.requests] == [False, True]
        assert len(server.peers) == 1


@pytest.mark.parametrize("kind_of_timeout", ["attempt", "write"])
@pytest.mark.parametrize("body", ["much", "parts"])
def test_a_peer_that_does_not_read(kit: LoopKit, body: str, kind_of_timeout: str) -> None:
    """The upload ends with the attempt, or with the timeout of one write; a POST that has begun is not repeated."""
    outcomes = Outcomes()
    policy = POLICY | {"attempt_timeout": 0.1 if kind_of_timeout == "attempt" else 5.0}
    options = {} if kind_of_timeout == "attempt" else {"timeout": httpx.Timeout(5.0, write=0.05)}
    with RawServer(deaf, window=WINDOW) as server, meshed(kit, server, outcomes=outcomes, **policy) as side:
        started = time.monotonic()
        with pytest.raises(httpx.TimeoutException) as raised:
            side.post("/", **BODIES[body](kit.kind), **options)
        assert time.monotonic() - started < 1.5
        if kind_of_timeout == "write":
            assert isinstance(raised.value, httpx.WriteTimeout)
        assert [(one.cause, one.retry_safe) for one in outcomes.seen] == [("timeout", None)]
        turn(side)
        assert open_connections(side.runtime) == 0


@pytest.mark.parametrize("answer", ["continue", "nothing", "final"])
def test_expectations(kit: LoopKit, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The body goes when the peer says 100, or says nothing for a while; not at all after a final answer."""
    from meshlib.transport import wire_lean

    monkeypatch.setattr(wire_lean, "_CONTINUE", 0.05)
    waited: list[float] = []

    def script(peer: Peer) -> None:
        while head := peer.head():
            assert peer.received.endswith(head), "the body came with the head"
            if answer == "final":
                peer.send(framed(b"no", status=b"417 Expectation Failed"))
                peer.gone()
                return
            if answer == "continue":
                peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n")
            started = time.monotonic()
            peer.request()
            waited.append(time.monotonic() - started)
            peer.send(OK)

    with RawServer(script) as server, meshed(kit, server, **POLICY) as side:
        for body in (b"body", parts(kit.kind, 2, 2)):
            response = side.post("/", content=body, headers={"Expect": "100-continue"})
            assert response.status_code == (417 if answer == "final" else 200)
        if answer == "final":
            assert server.requests == []
            assert b"body" not in server.received
            assert server.settled(0)
        else:
            assert [request.partition(b"\r\n\r\n")[2] for request in server.requests] == [
                b"body",
                b"2\r\nxx\r\n2\r\nxx\r\n0\r\n\r\n",
            ]
            assert all(0.03 < one < 1.0 for one in waited) == (answer == "nothing")
