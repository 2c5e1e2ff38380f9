"""Every fault that a peer can commit on the lean wire: a typed error in time, classified right, repeated only if that is safe.

Whatever happens, the connection is closed, nothing stays in flight, and a POST of which a byte may have left is never sent twice.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import pytest

from meshlib.testing.port import Port
from meshlib.transport import dial, dial_aio
from tests.integration.http_kit import Side, eventually
from tests.integration.raw_server import OK, Peer, RawServer, Script, answering, framed
from tests.integration.wire_kit import (
    LOOPS,
    Address,
    LoopKit,
    Outcomes,
    meshed,
    open_connections,
    sockets,
    turn,
    two_addresses,
)

pytestmark = [pytest.mark.integration, pytest.mark.wire]

ATTEMPT = 0.06
"""Seconds, for peers that are late; all others have more time than a busy machine may need."""
SLACK = 1.0
"""Seconds that a busy machine may be late."""
BODY = b"all that glisters is not gold"
POLICY: dict[str, Any] = {
    "attempt_timeout": 3.0,
    "retry": {"attempts": 2, "wait": {"base": 0.001}},
}
QUICK = POLICY | {"attempt_timeout": ATTEMPT, "stream_timeout": ATTEMPT, "retry": False}
NEVER_THERE = POLICY | {"connect_timeout": ATTEMPT}
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN = ("RemoteProtocolError",)
RESET = ("ReadError",)
LATE = ("ReadTimeout",)


@pytest.fixture(params=LOOPS)
def kit(request: pytest.FixtureRequest) -> LoopKit:
    """Threads, then a loop."""
    return LoopKit(request.param)


def then(end: str, *pieces: bytes) -> Script:
    """After a request: these bytes, and then `close`, `reset`, `finish` or `gone` (wait for the client to leave)."""

    def script(peer: Peer) -> None:
        if peer.request():
            peer.send(*pieces)
            if end == "reset":
                time.sleep(0.005)  # an RST may overtake what was sent before
            getattr(peer, end)()
            if not peer.closed:
                peer.gone()

    return script


def dripping(before: bytes, data: bytes) -> Script:
    """A byte at a time, each well within any timeout between two reads."""

    def script(peer: Peer) -> None:
        if peer.request() and peer.send(before):
            peer.drip(data, ATTEMPT / 10)
            peer.gone()

    return script


def flooding(before: bytes, piece: bytes) -> Script:
    """The same again and again, faster than anybody reads."""

    def script(peer: Peer) -> None:
        if peer.request() and peer.send(before):
            peer.flood(piece)

    return script


class Fault(NamedTuple):
    """What the peer does, the family's error for it, and where a streamed response meets it: at its head or in its body."""

    script: Script
    error: tuple[str, ...]
    at: str = "head"


HALF = framed(BODY)[:-10]
FAULTS: dict[str, Fault] = {
    "reset before any byte": Fault(then("reset"), RESET),
    "closed before any byte": Fault(then("close"), BROKEN),
    "half-closed before any byte": Fault(then("finish"), BROKEN),
    "reset mid-head": Fault(then("reset", OK[:20]), RESET),
    "closed mid-head": Fault(then("close", OK[:20]), BROKEN),
    "closed after 100": Fault(then("close", b"HTTP/1.1 100 Continue\r\n\r\n"), BROKEN),
    "reset mid-body": Fault(then("reset", HALF), RESET, "body"),
    "cut body": Fault(then("close", HALF), BROKEN, "body"),
    "half-closed body": Fault(then("finish", HALF), BROKEN, "body"),
    "reset between chunks": Fault(then("reset", CHUNKED + b"1\r\na\r\n"), RESET, "body"),
    "cut chunks": Fault(then("close", CHUNKED + b"5\r\nab"), BROKEN, "body"),
    "no last chunk": Fault(then("close", CHUNKED + b"1\r\na\r\n"), BROKEN, "body"),
    "garbage": Fault(then("gone", b"\x16\x03\x01 SSH-2.0 \x00\xff not a status line\r\n\r\n"), BROKEN),
    "garbage without an end": Fault(then("gone", b"SSH-2.0-OpenSSH_9.6"), BROKEN),
    "odd chunk": Fault(then("gone", CHUNKED, b"zz\r\n"), BROKEN, "body"),
    "silence": Fault(then("gone"), LATE),
    "silence mid-head": Fault(then("gone", OK[:20]), LATE),
    "silence mid-body": Fault(then("gone", HALF), LATE, "body"),
    "dripping head": Fault(dripping(b"", OK), LATE),
    "dripping body": Fault(dripping(framed(b"x" * 500)[:-500], b"x" * 500), LATE, "body"),
    "dripping chunks": Fault(dripping(CHUNKED, b"1\r\na\r\n" * 99), LATE, "body"),
    "endless fields": Fault(flooding(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 50), BROKEN),
    "endless field": Fault(flooding(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 1000), BROKEN),
    "endless reason": Fault(flooding(b"HTTP/1.1 200 ", b"OK" * 500), BROKEN),
    "endless interim answers": Fault(flooding(b"", b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 20), BROKEN),
    "endless chunk extension": Fault(flooding(CHUNKED + b"1;a=", b"x" * 1000), BROKEN, "body"),
    "endless trailers": Fault(flooding(CHUNKED + b"0\r\n", b"X-More: and more\r\n" * 50), BROKEN, "body"),
    "endless chunk size": Fault(flooding(CHUNKED, b"0" * 1000), BROKEN, "body"),
    "endless chunks": Fault(flooding(CHUNKED, (b"3e8\r\n" + b"x" * 1000 + b"\r\n") * 250), LATE, "body"),
    "endless body": Fault(flooding(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 250_000), LATE, "body"),
}


@contextmanager
def bounded(attempts: int) -> Iterator[None]:
    """Within the time of so many attempts."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < attempts * ATTEMPT + SLACK


def classified(error: Any, outcomes: Outcomes, cause: str, retry_safe: bool | None, attempts: int) -> None:
    """Require that every attempt was seen as `cause`, by listeners and in the error."""
    delivered = "no" if cause == "unsent" else "maybe"
    assert [(one.cause, one.retry_safe, one.delivered) for one in outcomes.seen] == [
        (cause, retry_safe, delivered)
    ] * attempts
    if attempts > 1:
        assert [facts.cause for facts in error.attempts] == [cause] * attempts


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_a_buffered_response(kit: LoopKit, name: str) -> None:
    """A GET is tried twice, a POST once, both fail in time by the family's class, and no connection is left."""
    fault = FAULTS[name]
    if fault.error == LATE:
        if kit.how != "uvloop":  # it has its turn below: each of these costs an attempt's time
            late(kit, fault, QUICK, ("GET", 1))
        return
    for method, attempts in (("GET", 2), ("POST", 1)):
        outcomes = Outcomes()
        with RawServer(fault.script) as server, meshed(kit, server, outcomes=outcomes, **POLICY) as side:
            with pytest.raises(named(fault.error)) as raised, bounded(attempts):
                side.request(method, "/", content=b"x" if method == "POST" else None)
            classified(raised.value, outcomes, "reset", None, attempts)
            assert len(server.requests) == attempts
            over(side, server)


def late(kit: LoopKit, fault: Fault, policy: dict[str, Any], *ways: tuple[str, int]) -> None:
    """The same for one that costs time."""
    outcomes = Outcomes()
    with RawServer(warm(fault.script)) as server, meshed(kit, server, outcomes=outcomes, **policy) as side:
        connect(side)
        for method, attempts in ways:
            outcomes.seen.clear()
            before = len(server.requests)
            with pytest.raises(httpx.ReadTimeout) as raised, bounded(attempts):
                side.request(method, "/", content=b"x" if method == "POST" else None)
            classified(raised.value, outcomes, "timeout", None, attempts)
            assert len(server.requests) - before == attempts
        over(side, server)


def warm(script: Script) -> Script:
    """A good answer first: connecting may take a busy machine longer than these attempts."""

    def warmed(peer: Peer) -> None:
        if peer.head().startswith(b"GET /warm"):
            peer.request()
            peer.send(OK)
        script(peer)

    return warmed


def connect(side: Side) -> None:
    """Have an idle connection."""
    for _ in range(20):
        try:
            assert side.get("/warm", timeout=httpx.Timeout(5.0)).content == b"ok"
            return
        except httpx.TransportError:
            pass


def test_late_answers_are_asked_for_again(kit: LoopKit) -> None:
    """If that is safe: nobody knows what became of a POST."""
    policy = POLICY | {"attempt_timeout": 0.1}
    late(kit, FAULTS["silence"], policy, ("GET", 2))
    late(kit, FAULTS["silence"], policy, ("POST", 1))


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_a_streamed_response(kit: LoopKit, name: str) -> None:
    """At the head as with a buffered one; in the body it is the node's failure, and nothing is repeated."""
    fault = FAULTS[name]
    if fault.error == LATE and kit.how == "async":
        return  # it had its turn above
    policy = QUICK if fault.error == LATE else POLICY
    with RawServer(warm(fault.script)) as server, meshed(kit, server, **policy) as side:
        connect(side)
        (node,) = side.runtime.services["orders"].clusters[""].nodes.values()
        before = node.calls, node.failures, len(server.requests)
        with pytest.raises(named(fault.error)), bounded(2):
            streamed(side, fault.at)
        assert (node.calls, node.failures, len(server.requests)) == tuple(count + 1 for count in before)
        over(side, server)


def named(names: tuple[str, ...]) -> tuple[type[Exception], ...]:
    """The family's classes."""
    return tuple(getattr(httpx, name) for name in names)


def streamed(side: Side, at: str) -> None:
    """A POST whose response is read as it comes, and not kept; `at`: where the fault is met."""

    async def drain(response: Any) -> None:
        async for _ in response.aiter_raw():
            pass

    response = side.open("POST", "/", content=b"x")
    try:
        assert (at, response.status_code) == ("body", 200)
        if side.kind == "async":
            side.run(drain(response))
        else:
            for _ in response.iter_raw():
                pass
    finally:
        side.shut(response)


def over(side: Side, server: RawServer) -> None:
    """Require that no connection is left, neither in the pool nor at the server."""
    turn(side)
    assert open_connections(side.runtime) == 0
    assert server.settled(0)


# Connections that never stand.


def refused(port: Port) -> None:
    """Nobody listens."""
    port.refuse()


def black_hole(port: Port) -> None:
    """Nobody answers."""
    port.blackhole()


UNREACHABLE: dict[str, tuple[Callable[[Port], None], str]] = {
    "refused": (refused, "ConnectError"),
    "black hole": (black_hole, "ConnectTimeout"),
}


@pytest.mark.parametrize("name", UNREACHABLE)
def test_connections_that_never_stand(kit: LoopKit, name: str) -> None:
    """Any method is repeated: nothing has left."""
    make, error = UNREACHABLE[name]
    for streamed in (False, True):
        port, outcomes = Port("127.0.0.1", 0), Outcomes()
        try:
            make(port)
            where = Address("127.0.0.1", port.port)
            with meshed(kit, where, outcomes=outcomes, **NEVER_THERE) as side:
                with pytest.raises(getattr(httpx, error)) as raised, bounded(2):
                    side.open("POST", "/") if streamed else side.post("/", content=b"x")
                classified(raised.value, outcomes, "unsent", True, 2)
                assert open_connections(side.runtime) == 0
        finally:
            port.close()


@pytest.mark.parametrize("hanging", [False, True])
def test_names_that_are_not_found(kit: LoopKit, hanging: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that says no, and one that says nothing."""
    if kit.how == "uvloop":
        pytest.skip("asks by itself, past Python's socket module")

    def asked(*_: Any, **__: Any) -> Any:
        time.sleep(ATTEMPT * 2 if hanging else 0)
        raise socket.gaierror(socket.EAI_NONAME, "not found")

    outcomes = Outcomes()
    with meshed(kit, Address("nowhere.example", 80), outcomes=outcomes, **NEVER_THERE) as side:
        monkeypatch.setattr(socket, "getaddrinfo", asked)
        with pytest.raises(httpx.ConnectTimeout if hanging else httpx.ConnectError) as raised, bounded(2):
            side.post("/", content=b"x")
        classified(raised.value, outcomes, "unsent", True, 2)


def test_a_name_whose_first_address_is_dead(kit: LoopKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Happy eyeballs (RFC 8305): the second is tried beside it after a moment, and the loser is closed."""
    if kit.how == "uvloop":
        pytest.skip("asks by itself, past Python's socket module")
    for module in (dial, dial_aio):
        monkeypatch.setattr(module, "STAGGER", 0.02)
    before = sockets()
    with RawServer(answering(OK)) as server, two_addresses(server, monkeypatch) as where:
        with meshed(kit, where, **POLICY) as side:
            started = time.monotonic()
            assert side.post("/", content=b"x").content == b"ok"
            assert time.monotonic() - started < 0.8
            turn(side)
            assert open_connections(side.runtime) == 1
        assert server.settled(0)
    assert eventually(lambda: sockets() <= before)


def test_the_second_node_is_asked_when_the_first_is_gone(kit: LoopKit) -> None:
    """A POST too, as long as no byte of it has left."""
    port = Port("127.0.0.1", 0)
    port.refuse()
    try:
        with RawServer(then("close", OK)) as server:
            for _ in range(6):  # whichever the balancer takes first
                with meshed(kit, server, Address("127.0.0.1", port.port), **POLICY) as side:
                    assert side.post("/", content=b"x").content == b"ok"
            assert len(server.requests) == 6
    finally:
        port.close()


def test_an_idempotency_key_makes_a_post_repeatable(kit: LoopKit) -> None:
    """RFC 9110 9.2.2 leaves it to what is known beyond the method."""
    with RawServer(then("reset")) as server, meshed(kit, server, **POLICY) as side:
        with pytest.raises(httpx.ReadError):
            side.post("/", content=b"x", headers={"Idempotency-Key": "1"})
        assert len(server.requests) == 2
        over(side, server)
