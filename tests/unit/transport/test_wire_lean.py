"""The two lean wires over scripted sockets: what leaves, what comes back, and that counts are exact whatever happens."""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from meshlib.engine.call import BUFFERED, IDEMPOTENT
from meshlib.transport.lean import SWEEP
from meshlib.transport.wire_lean import LeanWire
from tests.unit.transport.lean_kit import OK, AsyncRig, FakeTransport, Rig, shut

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REFUSED = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
EXPECT = {"Expect": "100-continue"}
LIMITS = {"timeout": 10.0, "connect_timeout": 1.0}


@pytest.fixture
def rig(begun: Any, binding: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`rig(plan={}, **options)` gives a wire for threads over scripted sockets."""

    def make(plan: Any = None, **options: Any) -> Rig:
        made = Rig(binding, begun(**LIMITS, **(plan or {})).call.plan, **options)
        made.wire = LeanWire(binding, made.options, made.clock)
        monkeypatch.setattr("meshlib.transport.wire_lean.dial", made.dial)
        return made

    yield make
    shut()


@pytest.fixture
def async_rig(begun: Any, binding: Any) -> Iterator[Any]:
    """The same for a loop in virtual time; its wire is made in `run`."""

    def make(plan: Any = None, **options: Any) -> AsyncRig:
        return AsyncRig(binding, begun(**LIMITS, **(plan or {})).call.plan, **options)

    yield make
    shut()


class Tls:
    """Wraps nothing, and remembers what it was asked; `error` is raised by the handshake, `stranger` by the check."""

    def __init__(self, error: Exception | None = None, stranger: Exception | None = None) -> None:
        self.version = 7
        self.server_hostname = "orders"
        self.session = "session"
        self.context = self
        self.error = error
        self.stranger = stranger
        self.remembered: list[Any] = []
        self.checked: list[Any] = []

    def wrap_socket(self, sock: Any, server_hostname: str, session: Any) -> Any:
        assert (server_hostname, session) == ("orders", "session")
        if self.error is not None:
            raise self.error
        return sock

    def check(self, connection: Any) -> None:
        self.checked.append(connection)
        if self.stranger is not None:
            raise self.stranger

    def remember(self, connection: Any) -> None:
        self.remembered.append(connection)

    def of(self, attempt: Any, request: Any) -> Tls:
        """As `Handshakes`."""
        return self


# For threads: the ordinary ways.


def test_a_buffered_exchange(rig: Any) -> None:
    """The response is whole, the connection idle, and the attempt knows what happened when."""
    one = rig()
    sock = one.bring(OK)
    request = one.request()
    attempt = one.attempt(request, BUFFERED | IDEMPOTENT)
    response = one.wire.send(attempt, request)
    assert (response.status_code, response.read(), response.extensions["http_version"]) == (
        200,
        b"ok",
        b"HTTP/1.1",
    )
    assert bytes(sock.written).startswith(b"GET /a HTTP/1.1\r\nHost: orders\r\n")
    assert attempt.sent
    assert attempt.head == attempt.opened == one.clock()
    assert one.counts == (1, 1)
    assert len(one.wire.connections) == 1


def test_the_connection_is_used_again(rig: Any) -> None:
    """Without dialling, and the attempt says so."""
    one = rig()
    one.bring(OK, OK)
    one.send()
    request = one.request()
    attempt = one.attempt(request, BUFFERED)
    assert one.wire.send(attempt, request).status_code == 200
    assert (attempt.opened, len(one.dialled)) == (0.0, 1)


def test_a_streamed_exchange(rig: Any) -> None:
    """The connection stays with its body until that is closed."""
    one = rig()
    sock = one.bring(HEAD)
    response = one.send(0)
    assert one.counts == (1, 0)
    sock.far.send(b"ok")
    assert b"".join(response.stream) == b"ok"
    response.close()
    assert one.counts == (1, 1)


def test_a_streamed_answer_that_is_whole_already(rig: Any) -> None:
    """Needs no stream: the connection is free."""
    one = rig()
    one.bring(OK)
    response = one.send(0)
    assert isinstance(response.stream, one.binding.ByteStream)
    assert one.counts == (1, 1)


def test_a_body_left_unread_closes_its_connection(rig: Any) -> None:
    """Nobody would know where the next answer begins."""
    one = rig()
    sock = one.bring(HEAD)
    one.send(0).close()
    assert one.counts == (0, 0)
    assert sock.fileno() == -1


@pytest.mark.parametrize("closes", [False, True])
def test_a_dropped_body_gives_its_connection_back_at_the_next_call(rig: Any, closes: bool) -> None:
    """A finaliser takes no lock, so the next one in does it; or the end of the wire."""
    one = rig()
    sock = one.bring(HEAD)
    response = one.send(0)
    del response
    gc.collect()
    assert one.counts == (1, 0)
    one.bring(OK)
    one.wire.close() if closes else one.send()
    assert sock.fileno() == -1
    assert one.counts == ((0, 0) if closes else (1, 1))


@pytest.mark.parametrize("bound", [None, 30.0])
def test_a_streamed_body_has_bounds_of_its_own(rig: Any, bound: float | None) -> None:
    """After the head the attempt's end does not hold any more; `stream_timeout` does."""
    one = rig({"stream_timeout": bound})
    sock = one.bring(HEAD)
    response = one.send(0, timeout={"read": 5.0})
    one.clock.advance(20.0)
    sock.far.send(b"o")
    parts = iter(response.stream)
    assert next(parts) == b"o"
    one.clock.advance(20.0)
    sock.far.send(b"k")
    if bound is None:
        assert next(parts) == b"k"
    else:
        with pytest.raises(one.binding.module.ReadTimeout):
            next(parts)
    response.close()


def test_a_request_in_pieces(rig: Any) -> None:
    """When the kernel takes less than all."""
    one = rig()
    sock = one.bring()
    sock.takes = 10
    sock.answers = [b""] * 20 + [OK]
    response = one.send(method="POST", content=b"x" * 150)
    assert response.status_code == 200
    assert bytes(sock.written).endswith(b"\r\n\r\n" + b"x" * 150)


def test_a_streamed_upload(rig: Any) -> None:
    """Chunk by chunk, or as long as announced."""
    one = rig()
    sock = one.bring(b"", b"", b"", OK)
    one.send(method="POST", content=iter([b"ab", b"", b"c"]))
    assert bytes(sock.written).endswith(b"\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
    sock.answers = [b"", OK]
    one.send(method="POST", content=iter([b"abc"]), headers={"Content-Length": "3"})
    assert bytes(sock.written).endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize("parts", [[b"ab"], [b"abc", b"d"]])
def test_a_body_that_is_not_as_long_as_announced(rig: Any, parts: list[bytes]) -> None:
    """Refused, and the connection closed: the peer cannot know any more where the request ends."""
    one = rig()
    sock = one.bring()
    with pytest.raises(one.binding.module.LocalProtocolError, match="Content-Length"):
        one.send(method="POST", content=iter(parts), headers={"Content-Length": "3"})
    assert one.counts == (0, 0)
    assert sock.fileno() == -1


def test_what_the_callers_body_raises_is_the_callers(rig: Any) -> None:
    """It passes through, and nothing is kept."""
    one = rig()

    def parts() -> Iterator[bytes]:
        yield b"a"
        raise TimeoutError("of the caller")

    one.bring()
    with pytest.raises(TimeoutError, match="of the caller") as raised:
        one.send(method="POST", content=parts())
    assert not isinstance(raised.value, one.binding.module.TransportError)
    assert one.counts == (0, 0)


def test_the_peer_is_asked_first(rig: Any) -> None:
    """And answers: the body goes, once."""
    one = rig()
    sock = one.bring(CONTINUE, b"", OK)
    response = one.send(method="POST", content=iter([b"abc"]), headers=EXPECT)
    assert response.status_code == 200
    assert bytes(sock.written).endswith(b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert one.counts == (1, 1)


def test_a_peer_that_declines_is_spared_the_body(rig: Any) -> None:
    """Its connection is not used again: the next request could be taken for the body."""
    one = rig()
    sock = one.bring(REFUSED)
    response = one.send(method="POST", content=b"abc", headers=EXPECT)
    assert (response.status_code, response.read()) == (413, b"no")
    assert b"abc" not in sock.written
    assert one.counts == (0, 0)


# For threads: failures.


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "ConnectError"),
        (TimeoutError("timed out"), "ConnectTimeout"),
    ],
)
def test_connecting_fails(rig: Any, error: OSError, kind: str) -> None:
    """With the family's error, its request and its cause; the room is free again."""
    one = rig(max_connections=1)
    for _ in range(2):
        one.brings.append(error)
        with pytest.raises(getattr(one.binding.module, kind)) as raised:
            one.send()
        assert raised.value.__cause__ is error
        assert raised.value.request.method == "GET"
    assert one.counts == (0, 0)


def test_a_handshake(rig: Any) -> None:
    """Within what is left, checked before a byte has left; its session is remembered once there was an answer."""
    one = rig()
    tls = one.wire.handshakes = Tls()
    sock = one.bring(OK, OK)
    one.send()
    one.send()
    assert (tls.checked, tls.remembered) == ([sock], [sock])
    assert sock.timeouts[0] == pytest.approx(1.0)
    (connection,) = one.pools[0].idle
    assert connection.stamp == 7


@pytest.mark.parametrize("trouble", ["error", "stranger"])
def test_a_handshake_fails(rig: Any, trouble: str) -> None:
    """As a connect error; the socket is closed, nothing was sent."""
    one = rig()
    error = ssl.SSLError("certificate verify failed")
    one.wire.handshakes = Tls(**{trouble: error})
    sock = one.bring()
    request = one.request()
    attempt = one.attempt(request)
    with pytest.raises(one.binding.module.ConnectError, match="certificate verify failed") as raised:
        one.wire.send(attempt, request)
    assert raised.value.__cause__ is error
    assert (sock.fileno(), bytes(sock.written), attempt.sent) == (-1, b"", False)
    assert one.counts == (0, 0)


def test_a_request_that_must_not_be_written(rig: Any) -> None:
    """No connection is even made for it."""
    one = rig()
    with pytest.raises(one.binding.module.LocalProtocolError):
        one.send(headers={"X-A": b"a\r\nb"})
    assert one.dialled == []


def test_a_dead_connection_under_the_first_write(rig: Any) -> None:
    """Nothing has left: the attempt may be repeated, whatever the method."""
    one = rig()
    sock = one.bring(OK)
    one.send()
    sock.error = BrokenPipeError("broken pipe")
    request = one.request("POST")
    attempt = one.attempt(request, BUFFERED)
    with pytest.raises(one.binding.module.WriteError):
        one.wire.send(attempt, request)
    assert not attempt.sent
    assert one.counts == (0, 0)


def test_a_peer_that_closes_during_an_upload_may_have_answered(rig: Any) -> None:
    """What it had to say is the response."""
    one = rig()
    sock = one.bring(b"", REFUSED)

    def parts() -> Iterator[bytes]:
        sock.broken = BrokenPipeError("broken pipe")
        yield b"a"

    response = one.send(method="POST", content=parts())
    assert (response.status_code, response.read()) == (413, b"no")
    assert one.counts == (0, 0)


@pytest.mark.parametrize("content", [b"x" * 40, None])
def test_an_early_answer_spares_the_peer_the_rest_from_threads(rig: Any, content: bytes | None) -> None:
    """Whether the body is at hand or not; the connection, with half a request on it, is not used again."""
    one = rig()
    sock = one.bring(REFUSED)
    sock.takes = 60 if content else 1000
    response = one.send(method="POST", content=content or iter([b"x"] * 40))
    assert (response.status_code, response.read()) == (413, b"no")
    assert sock.written.count(b"x") < 40
    assert one.counts == (0, 0)


def test_a_peer_that_closes_during_an_upload_without_a_word(rig: Any) -> None:
    """A WriteError, and the attempt counts as sent."""
    one = rig()
    sock = one.bring()

    def parts() -> Iterator[bytes]:
        sock.broken = BrokenPipeError("broken pipe")
        yield b"a"

    request = one.request("POST", content=parts())
    attempt = one.attempt(request, BUFFERED)
    with pytest.raises(one.binding.module.WriteError):
        one.wire.send(attempt, request)
    assert attempt.sent
    assert one.counts == (0, 0)


def test_a_broken_answer(rig: Any) -> None:
    """The connection is gone, the count exact; in a streamed body, too."""
    one = rig()
    one.bring(b"SSH-2.0-x\r\n\r\n")
    with pytest.raises(one.binding.module.RemoteProtocolError):
        one.send()
    sock = one.bring(HEAD)
    response = one.send(0)
    sock.far.close()
    with pytest.raises(one.binding.module.RemoteProtocolError, match="after 0 of 2 bytes"):
        list(response.stream)
    response.close()
    assert one.counts == (0, 0)


# For threads: waiting for a connection.


class Line:
    """Stands for `drivers.sync.wait`: does what it is told while a call waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, does: Any) -> None:
        self.does = does
        monkeypatch.setattr("meshlib.transport.wire_lean.wait", lambda turn, clock: self.does(turn))


def test_a_connection_that_comes_back_is_passed_on(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """To who waits, without a look at the line of dials."""
    one = rig(max_connections=1)
    sock = one.bring(HEAD, OK)
    response = one.send(0)

    def give(turn: Any) -> None:
        sock.far.send(b"ok")
        assert b"".join(response.stream) == b"ok"
        response.close()
        assert turn.granted

    Line(monkeypatch, give)
    assert one.send().status_code == 200
    assert (len(one.dialled), one.counts) == (1, (1, 1))


def test_room_that_comes_free_is_passed_on(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waited makes the connection."""
    one = rig(max_connections=1)
    one.bring(HEAD)
    response = one.send(0)
    Line(monkeypatch, lambda turn: response.close())
    one.bring(OK)
    assert one.send().status_code == 200
    assert (len(one.dialled), one.counts) == (2, (1, 1))


@pytest.mark.parametrize("flags", [BUFFERED, BUFFERED | IDEMPOTENT])
@pytest.mark.parametrize("trouble", ["dead", "idle for long"])
def test_what_a_waiter_wakes_to_is_looked_at_first(
    rig: Any, monkeypatch: pytest.MonkeyPatch, flags: int, trouble: str
) -> None:
    """It may have died, or grown too idle for what must not be repeated, before the waiter woke."""
    one = rig(max_connections=1)
    sock = one.bring(HEAD, OK)
    response = one.send(0)

    def late(turn: Any) -> None:
        sock.far.send(b"ok")
        list(response.stream)
        response.close()
        if trouble == "dead":
            sock.far.close()
        else:
            one.clock.advance(3.0)

    Line(monkeypatch, late)
    one.bring(OK)
    assert one.send(flags).status_code == 200
    again = trouble != "dead" and flags & IDEMPOTENT
    assert len(one.dialled) == (1 if again else 2)
    assert one.counts == (1, 1)


def test_what_must_not_be_repeated_replaces_a_long_idle_connection(rig: Any) -> None:
    """When no more may be opened beside it."""
    one = rig(max_connections=1)
    old = one.bring(OK)
    one.send()
    one.clock.advance(3.0)
    one.bring(OK)
    assert one.send(BUFFERED).status_code == 200
    assert (len(one.dialled), old.fileno(), one.counts) == (2, -1, (1, 1))


def test_an_interrupted_wait_hands_back_what_it_was_given(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the moment of the grant leaks nothing."""
    one = rig(max_connections=1)
    sock = one.bring(HEAD)
    response = one.send(0)

    def interrupted(turn: Any) -> None:
        sock.far.send(b"ok")
        list(response.stream)
        response.close()
        raise KeyboardInterrupt

    Line(monkeypatch, interrupted)
    with pytest.raises(KeyboardInterrupt):
        one.send()
    assert one.counts == (1, 1)


def test_a_refusal_in_line_holds_on_to_nothing(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call gets an error of its own: one for all would collect everybody's frames."""
    one = rig(max_connections=1)
    one.bring(HEAD)
    response = one.send(0)
    Line(monkeypatch, lambda turn: None)
    causes = []
    for _ in range(2):
        with pytest.raises(one.binding.module.PoolTimeout) as raised:
            one.send()
        causes.append(raised.value.__context__)
    assert causes[0] is not causes[1]
    response.close()


# On a loop.


def test_a_buffered_exchange_on_a_loop(async_rig: Any) -> None:
    """As for threads; the loop is told the address."""
    one = async_rig()

    async def run() -> None:
        one.bring(OK, OK)
        request = one.request()
        attempt = one.attempt(request, BUFFERED | IDEMPOTENT)
        response = await one.wire.send(attempt, request)
        assert (response.status_code, response.read()) == (200, b"ok")
        assert attempt.sent
        assert attempt.head == attempt.opened == one.clock()
        assert (await one.send()).status_code == 200
        assert one.where == [{"host": "10.0.0.1", "port": 8080}]
        assert one.counts == (1, 1)

    one.run(run)
    assert one.transports[0].closing


def test_a_streamed_exchange_on_a_loop(async_rig: Any) -> None:
    """The connection stays with its body until that is closed."""
    one = async_rig()

    async def run() -> None:
        one.bring(HEAD)
        response = await one.send(0)
        assert one.counts == (1, 0)
        one.transports[0].protocol.data_received(b"ok")
        assert [part async for part in response.stream] == [b"ok"]
        await response.aclose()
        assert one.counts == (1, 1)
        one.transports[0].on_write = lambda data: one.transports[0].protocol.data_received(OK)
        response = await one.send(0)
        assert isinstance(response.stream, one.binding.ByteStream)
        assert one.counts == (1, 1)

    one.run(run)


@pytest.mark.parametrize("closes", [False, True])
def test_a_body_left_unread_closes_its_connection_on_a_loop(async_rig: Any, closes: bool) -> None:
    """Closed, or dropped: then the next call does it, or the end of the wire."""
    one = async_rig()

    async def run() -> None:
        one.bring(HEAD)
        await (await one.send(0)).aclose()
        assert one.counts == (0, 0)
        one.bring(HEAD)
        response = await one.send(0)
        del response
        gc.collect()
        assert not one.transports[1].closing
        one.bring(OK)
        await (one.wire.aclose() if closes else one.send())
        assert one.transports[1].closing
        assert one.counts == ((0, 0) if closes else (1, 1))

    one.run(run)


def test_a_name_is_dialled_by_ourselves(async_rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop gets the socket."""
    one = async_rig()

    async def dial(host: str, port: int) -> Any:
        assert (host, port) == ("10.0.0.1", 8080)
        return "a socket"

    monkeypatch.setattr("meshlib.transport.dial_aio.dial", dial)

    async def run() -> None:
        one.bring(OK)
        await one.send()
        assert one.where == [{"sock": "a socket"}]

    one.run(run)


def test_a_handshake_on_a_loop(async_rig: Any) -> None:
    """The loop makes it; the peer is looked at before a byte has left."""
    one = async_rig()

    async def run() -> None:
        tls = one.wire.handshakes = Tls()
        one.bring(lambda transport: transport.extra.update(ssl_object="an object"), OK)
        await one.send()
        assert one.where[0]["ssl"] is tls.context
        assert one.where[0]["server_hostname"] == "orders"
        assert (tls.checked, tls.remembered) == (["an object"], [])
        (connection,) = one.pools[0].idle
        assert connection.stamp == 7
        assert one.wire.connections.retired is False

    one.run(run)


def test_a_stranger_on_a_loop(async_rig: Any) -> None:
    """Is left at once, and nothing was sent."""
    one = async_rig()

    async def run() -> None:
        one.wire.handshakes = Tls(stranger=ssl.SSLError("another certificate"))
        one.bring(OK)
        with pytest.raises(one.binding.module.ConnectError, match="another certificate"):
            await one.send()
        assert one.transports[0].closing
        assert one.transports[0].written == b""
        assert one.counts == (0, 0)

    one.run(run)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "ConnectError"),
        (ssl.SSLError("certificate verify failed"), "ConnectError"),
        (None, "ConnectTimeout"),
    ],
)
def test_connecting_fails_on_a_loop(async_rig: Any, error: OSError | None, kind: str) -> None:
    """In time, with the family's error; the room is free again."""
    one = async_rig(max_connections=1)

    async def run() -> None:
        for _ in range(2):
            one.brings.append(error)
            one.took = 0.1 if error else 60.0
            before = one.clock()
            with pytest.raises(getattr(one.binding.module, kind)) as raised:
                await one.send()
            assert raised.value.request.method == "GET"
            assert one.clock() - before == pytest.approx(0.1 if error else 1.0)
        assert one.counts == (0, 0)

    one.run(run)


def test_what_is_no_transport_error_passes(async_rig: Any) -> None:
    """A fault of ours is not dressed up as the network's, and leaks nothing."""
    one = async_rig()

    async def run() -> None:
        one.brings.append(RuntimeError("a fault"))
        with pytest.raises(RuntimeError, match="a fault"):
            await one.send()
        assert one.counts == (0, 0)

    one.run(run)


@pytest.mark.parametrize("end", ["end", "abort"])
def test_lost_between_connecting_and_writing(async_rig: Any, end: str) -> None:
    """A server that closes right after the handshake: a WriteError before anything was sent."""
    one = async_rig()

    async def run() -> None:
        one.bring(lambda transport: getattr(transport, end)())
        request = one.request("POST")
        attempt = one.attempt(request, BUFFERED)
        with pytest.raises(one.binding.module.TransportError):
            await one.wire.send(attempt, request)
        assert not attempt.sent
        await asyncio.sleep(0)
        assert one.counts == (0, 0)

    one.run(run)


def test_a_server_that_speaks_first(async_rig: Any) -> None:
    """No HTTP server does: refused before anything was sent."""
    one = async_rig()

    async def run() -> None:
        one.bring(lambda transport: transport.protocol.data_received(b"220 mail\r\n"))
        request = one.request()
        attempt = one.attempt(request, BUFFERED)
        with pytest.raises(one.binding.module.RemoteProtocolError):
            await one.wire.send(attempt, request)
        assert not attempt.sent
        await asyncio.sleep(0)
        assert one.counts == (0, 0)

    one.run(run)


@pytest.mark.parametrize("turns", range(10))
@pytest.mark.parametrize("flags", [0, BUFFERED])
def test_cancelled_at_any_turn_of_the_loop(async_rig: Any, turns: int, flags: int) -> None:
    """While connecting, uploading or waiting: counts are exact, and no connection is left open."""
    one = async_rig()

    async def parts() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(0)
        yield b"b"

    async def run() -> None:
        one.bring(*[b""] * 3, HEAD)
        task = asyncio.ensure_future(one.send(flags, method="POST", content=parts()))
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.done():
            await task.result().aclose()
        else:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        for _ in range(3):
            await asyncio.sleep(0)
        assert one.counts == (0, 0)
        assert all(transport.closing for transport in one.transports)

    one.run(run)


# On a loop: uploads.


async def parts_of(*parts: bytes) -> AsyncIterator[bytes]:
    """These."""
    for part in parts:
        yield part


def test_a_streamed_upload_on_a_loop(async_rig: Any) -> None:
    """Chunk by chunk, or as long as announced; what comes at hand goes the same way when it must."""
    one = async_rig()

    async def run() -> None:
        one.bring(b"", b"", b"", OK, b"", OK, CONTINUE, OK)
        await one.send(method="POST", content=parts_of(b"ab", b"", b"c"))
        written = one.transports[0].written
        assert bytes(written).endswith(b"\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        await one.send(method="POST", content=parts_of(b"abc"), headers={"Content-Length": "3"})
        assert bytes(written).endswith(b"\r\n\r\nabc")
        await one.send(method="POST", content=b"xyz", headers=EXPECT)
        assert bytes(written).endswith(b"\r\n\r\nxyz")
        assert one.counts == (1, 1)

    one.run(run)


@pytest.mark.parametrize("parts", [[b"ab"], [b"abc", b"d"]])
def test_a_body_that_is_not_as_long_as_announced_on_a_loop(async_rig: Any, parts: list[bytes]) -> None:
    """Refused, and the connection closed."""
    one = async_rig()

    async def run() -> None:
        one.bring()
        with pytest.raises(one.binding.module.LocalProtocolError, match="Content-Length"):
            await one.send(method="POST", content=parts_of(*parts), headers={"Content-Length": "3"})
        assert one.transports[0].closing
        assert one.counts == (0, 0)

    one.run(run)


def test_a_silent_peer_gets_the_body_after_a_second(async_rig: Any) -> None:
    """RFC 9110 10.1.1: a client does not wait indefinitely."""
    one = async_rig()

    async def run() -> None:
        one.bring(b"", OK)
        before = one.clock()
        await one.send(method="POST", content=b"xyz", headers=EXPECT)
        assert one.clock() - before == pytest.approx(1.0)

    one.run(run)


def test_a_peer_that_declines_is_spared_the_body_on_a_loop(async_rig: Any) -> None:
    """Its connection is not used again."""
    one = async_rig()

    async def run() -> None:
        one.bring(REFUSED)
        response = await one.send(method="POST", content=b"abc", headers=EXPECT)
        assert response.status_code == 413
        assert b"abc" not in one.transports[0].written
        assert one.counts == (0, 0)

    one.run(run)


def test_an_early_answer_spares_the_peer_the_rest(async_rig: Any) -> None:
    """The caller's body is not read to its end."""
    one = async_rig()
    taken: list[int] = []

    async def run() -> None:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(10):
                taken.append(number)
                yield b"x"
                await asyncio.sleep(0.1)

        one.bring(b"", REFUSED)
        response = await one.send(method="POST", content=parts())
        assert response.status_code == 413
        assert taken == [0, 1]
        assert one.counts == (0, 0)

    one.run(run)


def full(transport: FakeTransport) -> None:
    """The peer does not read."""
    transport.full = True


@pytest.mark.parametrize("content", [b"x" * 10, None])
def test_an_early_answer_to_a_slow_upload(async_rig: Any, content: bytes | None) -> None:
    """Is the response; the connection, with a request still on its way, is not used again."""
    one = async_rig()

    async def run() -> None:
        one.bring(full, REFUSED)
        response = await one.send(method="POST", content=content or parts_of(b"x"))
        assert (response.status_code, response.read()) == (413, b"no")
        assert one.counts == (0, 0)
        assert one.transports[0].closing

    one.run(run)


def test_a_peer_that_reads_on(async_rig: Any) -> None:
    """A long body at hand waits for it, and the connection stays."""
    one = async_rig()

    async def run() -> None:
        one.bring(full)
        task = asyncio.ensure_future(one.send(method="POST", content=b"x" * 10))
        await asyncio.sleep(1.0)
        assert not task.done()
        protocol = one.transports[0].protocol
        protocol.resume_writing()
        await asyncio.sleep(0)
        protocol.data_received(OK)
        assert (await task).status_code == 200
        assert one.counts == (1, 1)

    one.run(run)


def test_a_peer_that_never_reads(async_rig: Any) -> None:
    """A WriteTimeout after the request's bound."""
    one = async_rig()

    async def run() -> None:
        one.bring(full)
        before = one.clock()
        with pytest.raises(one.binding.module.WriteTimeout):
            await one.send(method="POST", content=b"x", timeout={"write": 2.0})
        assert one.clock() - before == pytest.approx(2.0)
        assert one.counts == (0, 0)

    one.run(run)


@pytest.mark.parametrize("answer", [b"", REFUSED, HEAD])
def test_a_peer_that_closes_during_an_upload_on_a_loop(async_rig: Any, answer: bytes) -> None:
    """What it had to say is the response, if it is whole; the rest of the body is not asked for."""
    one = async_rig()
    taken: list[bytes] = []

    async def run() -> None:
        async def parts() -> AsyncIterator[bytes]:
            transport = one.transports[0]
            for part in (b"a", b"b", b"c"):
                if answer:
                    transport.protocol.data_received(answer) if not taken else None
                transport.broken = True
                taken.append(part)
                yield part

        one.bring()
        sending = one.send(method="POST", content=parts())
        if answer == REFUSED:
            assert (await sending).status_code == 413
        else:
            error = "ReadError" if answer else "WriteError"
            with pytest.raises(getattr(one.binding.module, error)):
                await sending
        assert taken == [b"a"]
        await asyncio.sleep(0)
        assert one.counts == (0, 0)

    one.run(run)


# On a loop: waiting for a connection, and the end.


def test_a_line_on_a_loop(async_rig: Any) -> None:
    """First come, first served, on one connection."""
    one = async_rig(max_connections=1)

    async def run() -> None:
        one.bring(OK, OK, OK)
        responses = await asyncio.gather(*[one.send() for _ in range(3)])
        assert [response.status_code for response in responses] == [200] * 3
        assert (len(one.where), one.counts) == (1, (1, 1))

    one.run(run)


def test_room_in_the_line(async_rig: Any) -> None:
    """Who waited makes the connection when the one before is gone."""
    one = async_rig(max_connections=1)

    async def run() -> None:
        one.bring(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        one.bring(OK)
        responses = await asyncio.gather(one.send(), one.send())
        assert len(responses) == 2
        assert (len(one.where), one.counts) == (2, (1, 1))

    one.run(run)


def test_too_long_in_line(async_rig: Any) -> None:
    """The family's PoolTimeout after the request's bound; nobody stands in line any more."""
    one = async_rig(max_connections=1)

    async def run() -> None:
        one.bring(HEAD)
        response = await one.send(0)
        before = one.clock()
        with pytest.raises(one.binding.module.PoolTimeout):
            await one.send(timeout={"pool": 2.0})
        assert one.clock() - before == pytest.approx(2.0)
        await response.aclose()
        assert one.counts == (0, 0)

    one.run(run)


@pytest.mark.parametrize("late", [False, True])
def test_cancelled_in_line(async_rig: Any, late: bool) -> None:
    """Before the grant, or in the same turn of the loop: the connection is free for the next."""
    one = async_rig(max_connections=1)

    async def run() -> None:
        one.bring(HEAD, OK)
        response = await one.send(0)
        task = asyncio.ensure_future(one.send())
        await asyncio.sleep(0)
        if late:
            one.transports[0].protocol.data_received(b"ok")
            await response.aclose()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if not late:
            one.transports[0].protocol.data_received(b"ok")
            await response.aclose()
        assert one.counts == (1, 1)
        assert (await one.send()).status_code == 200

    one.run(run)


def test_idle_connections_close_by_themselves(async_rig: Any) -> None:
    """At the sweep after their time; without connections nothing is swept, and it begins anew."""
    one = async_rig(idle=7.0)

    async def run() -> None:
        for _ in range(2):
            one.bring(OK)
            await one.send()
            await asyncio.sleep(SWEEP + 0.1)
            assert one.counts == (1, 1)
            await asyncio.sleep(SWEEP)
            assert one.counts == (0, 0)
            assert one.wire._sweeper is None

    one.run(run)


def test_a_closed_wire_keeps_nothing_on_a_loop(async_rig: Any) -> None:
    """It still serves the calls that have it."""
    one = async_rig()

    async def run() -> None:
        one.bring(OK)
        await one.send()
        one.wire.drop_all()
        assert one.counts == (0, 0)
        assert one.transports[0].closing
        one.bring(OK)
        assert (await one.send()).status_code == 200
        assert one.counts == (0, 0)

    one.run(run)


def test_a_wires_security_is_its_handshakes(rig: Any) -> None:
    """Contexts offer HTTP/1.1 and nothing else."""
    one = rig()
    asked: list[Any] = []

    def connection(*arguments: Any) -> None:
        asked.append(arguments)

    security = SimpleNamespace(connection=connection)
    one.wire = LeanWire(one.binding, one.options, one.clock, lambda: security)
    one.bring(OK)
    one.send()
    assert asked == [(one.node.endpoint, "http", "orders", ("http/1.1",))]
