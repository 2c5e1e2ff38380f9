"""TLS that does not come about: refused in time, classified as never sent, and no byte of a request leaves."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import trustme

from tests.integration.raw_server import OK, Peer, RawServer, Script, answering
from tests.integration.wire_kit import LOOPS, LoopKit, Outcomes, meshed, open_connections, sockets, turn

pytestmark = [pytest.mark.integration, pytest.mark.wire]

POLICY: dict[str, Any] = {"attempt_timeout": 3.0, "retry": {"attempts": 2, "wait": {"base": 0.001}}}
PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(params=LOOPS)
def kit(request: pytest.FixtureRequest) -> LoopKit:
    """Threads, then a loop."""
    return LoopKit(request.param)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The one that the client trusts."""
    return trustme.CA()


def server_side(authority: trustme.CA, *names: str, **issue: Any) -> ssl.SSLContext:
    """A server's context for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("orders",)), **issue).configure_cert(context)
    return context


def client_side(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context that trusts the authority alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


def wrong(name: str, authority: trustme.CA) -> ssl.SSLContext:
    """A server that something is wrong with."""
    if name == "expired":
        return server_side(authority, not_before=PAST, not_after=PAST + timedelta(days=1))
    if name == "wrong name":
        return server_side(authority, "payments", "127.0.0.1")
    if name == "unknown authority":
        return server_side(trustme.CA())
    context = server_side(authority)
    if name == "old protocol":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    elif name == "no common cipher":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    else:
        assert name == "wants a certificate of ours"
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


WRONG = (
    "expired",
    "wrong name",
    "unknown authority",
    "old protocol",
    "no common cipher",
    "wants a certificate of ours",
)


@pytest.fixture
def few() -> Iterator[None]:
    """As many sockets afterwards as before."""
    before = sockets()
    yield
    until = time.monotonic() + 2.0
    while sockets() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert sockets() <= before


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("streamed", [False, True])
def test_handshakes_that_fail(kit: LoopKit, authority: trustme.CA, name: str, streamed: bool) -> None:
    """A ConnectError that says why; repeated whatever the method, since nobody has seen the request."""
    ours = client_side(authority)
    if name == "old protocol":
        ours.minimum_version = ssl.TLSVersion.TLSv1_3
    elif name == "no common cipher":
        ours.maximum_version = ssl.TLSVersion.TLSv1_2
        ours.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384")
    outcomes = Outcomes()
    with (
        RawServer(answering(OK), tls=wrong(name, authority)) as server,
        meshed(kit, server, outcomes=outcomes, verify=ours, **POLICY) as side,
    ):
        with pytest.raises(httpx.ConnectError) as raised:
            side.open("POST", "/", content=b"x") if streamed else side.post("/", content=b"x")
        assert [(one.cause, one.retry_safe, one.delivered) for one in outcomes.seen] == [
            ("unsent", True, "no")
        ] * 2
        assert [facts.cause for facts in raised.value.attempts] == ["unsent"] * 2
        assert len(server.peers) == 2
        assert server.received == b""
        turn(side, 50)
        assert open_connections(side.runtime) == 0
        assert server.settled(0)


def says(data: bytes) -> Script:
    """A peer that does not speak TLS: some bytes, whatever it is asked."""

    def script(peer: Peer) -> None:
        peer.more()
        peer.send(data)

    return script


def resets(peer: Peer) -> None:
    """RST instead of a handshake."""
    peer.more()
    peer.reset()


PLAIN: dict[str, Script] = {
    "plain HTTP": says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "closed": says(b""),
    "reset": resets,
    "cut hello": says(b"\x16\x03\x03\x00\x7a\x02\x00"),
}


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", PLAIN)
def test_peers_that_do_not_speak_tls(kit: LoopKit, authority: trustme.CA, name: str) -> None:
    """The same."""
    outcomes = Outcomes()
    with (
        RawServer(PLAIN[name]) as server,
        meshed(kit, server, outcomes=outcomes, verify=client_side(authority), **POLICY) as side,
    ):
        with pytest.raises(httpx.ConnectError):
            side.post("/", content=b"x")
        assert [one.cause for one in outcomes.seen] == ["unsent"] * 2
        assert b"POST" not in server.received
        turn(side, 50)
        assert open_connections(side.runtime) == 0
        assert server.settled(0)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("bound", ["connect", "attempt"])
def test_handshakes_without_an_end(kit: LoopKit, authority: trustme.CA, bound: str) -> None:
    """A black hole behind a connection that stands: late in time, and the socket is closed."""
    policy = POLICY | {f"{bound}_timeout": 0.06}
    outcomes = Outcomes()
    with (
        RawServer(lambda peer: peer.gone()) as server,
        meshed(kit, server, outcomes=outcomes, verify=client_side(authority), **policy) as side,
    ):
        started = time.monotonic()
        with pytest.raises(httpx.TimeoutException):
            side.post("/", content=b"x")
        assert time.monotonic() - started < 1.0
        assert [one.cause for one in outcomes.seen] == ["unsent"] * 2
        turn(side, 50)
        assert open_connections(side.runtime) == 0
        assert server.settled(0)


@pytest.mark.usefixtures("few")
def test_connections_are_used_again(kit: LoopKit, authority: trustme.CA) -> None:
    """Session tickets that wait on an idle connection are no answer, for a POST neither; the end of one is seen."""

    def script(peer: Peer) -> None:
        for _ in range(4):
            peer.request()
            peer.send(OK)

    with (
        RawServer(script, tls=server_side(authority)) as server,
        meshed(kit, server, verify=client_side(authority), **POLICY) as side,
    ):
        for _ in range(4):
            assert side.post("/", content=b"x").content == b"ok"
        assert len(server.peers) == 1
        assert server.settled(0)
        assert side.post("/", content=b"x").content == b"ok"
        assert len(server.peers) == 2
        assert len(server.requests) == 5


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("framed_by", ["length", "chunks", "close"])
@pytest.mark.parametrize("politely", [True, False])
def test_a_cut_inside_tls(kit: LoopKit, authority: trustme.CA, framed_by: str, politely: bool) -> None:
    """An end without TLS's farewell is an end like any other where the message says its own, and an error where it is cut.

    Only a body that lasts until the close trusts the end: with a farewell it is whole.
    """
    body = {
        "length": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
        "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        "close": b"HTTP/1.1 200 OK\r\n\r\nab",
    }[framed_by]

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(body)
        if politely:
            try:
                peer.sock.unwrap()
            except OSError:
                pass

    with (
        RawServer(script, tls=server_side(authority)) as server,
        meshed(kit, server, verify=client_side(authority), **POLICY) as side,
    ):
        if framed_by == "close" and politely:
            assert side.post("/").content == b"ab"
        elif framed_by == "close":
            # OpenSSL 3 tells a cut from an end; a loop that does not hear the difference takes it for the end.
            try:
                assert side.post("/").content == b"ab"
            except httpx.TransportError:
                pass
        else:
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                side.post("/")
        turn(side, 50)
        assert open_connections(side.runtime) == 0
        assert len(server.requests) == 1
