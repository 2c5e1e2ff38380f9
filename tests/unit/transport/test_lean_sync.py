"""Connection: reading, writing and their bounds on a blocking socket."""

from __future__ import annotations

import select
import ssl
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from meshlib.core.deadline import NEVER
from meshlib.testing import FakeClock
from meshlib.transport.http1 import Http1
from meshlib.transport.lean_errors import LeanError
from meshlib.transport.lean_sync import Connection, enough
from tests.unit.transport.lean_kit import OK, FakeSocket, error_of, shut, sync_connection


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    """No socket outlives its test."""
    yield
    shut()


def asked(*answers: bytes, until: float = NEVER) -> tuple[Connection, FakeSocket, FakeClock]:
    """A connection on which a GET was sent; `until` is relative."""
    clock, sock = FakeClock(), FakeSocket(*answers)
    made = sync_connection(sock, clock)
    made.begin("GET", clock() + until, False)
    made.write_all(b"GET / HTTP/1.1\r\n\r\n", NEVER)
    return made, sock, clock


# The answer.


def test_a_whole_answer() -> None:
    """Head and body, in one go."""
    made, sock, _ = asked(OK)
    made.answered(NEVER, True)
    assert (made.core.status, made.core.parts, made.core.reusable) == (200, [b"ok"], True)
    assert bytes(sock.written) == b"GET / HTTP/1.1\r\n\r\n"


def test_a_streamed_answer() -> None:
    """There with its head; its parts as they come, then the end."""
    made, sock, _ = asked(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
    made.answered(NEVER, False)
    assert not made.core.parts
    sock.far.send(b"ab")
    assert made.part(NEVER) == b"ab"
    sock.far.send(b"cd")
    assert (made.part(NEVER), made.part(NEVER)) == (b"cd", b"")


def test_parts_that_came_with_the_head() -> None:
    """Chunks of one read are one part."""
    made, _, _ = asked(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
    )
    made.answered(NEVER, False)
    assert (made.part(NEVER), made.part(NEVER)) == (b"abc", b"")


def test_the_end_of_file_ends_a_body_until_then() -> None:
    """And the connection's use."""
    made, sock, _ = asked(b"HTTP/1.1 200 OK\r\n\r\nabc")
    sock.far.shutdown(1)
    made.answered(NEVER, True)
    assert made.core.parts == [b"abc"]
    assert not made.core.reusable


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200", "closed the connection in the middle of a head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", "after 2 of 9 bytes"),
        (b"SSH-2.0-x\r\n\r\n", "does not speak HTTP"),
    ],
)
def test_a_broken_answer(data: bytes, text: str) -> None:
    """The peer's fault, with the cause kept."""
    made, sock, _ = asked(data)
    sock.far.shutdown(1)
    with pytest.raises(LeanError, match=text) as raised:
        made.answered(NEVER, True)
    assert raised.value.kind == "RemoteProtocolError"
    assert raised.value.__cause__ is not None


def test_a_reset() -> None:
    """A ReadError, with what the system says."""
    made, sock, _ = asked()
    sock.error = ConnectionResetError("reset by peer")
    with pytest.raises(LeanError) as raised:
        made.answered(NEVER, True)
    assert error_of(raised) == ("ReadError", "reset by peer")


# Writing.


def test_a_long_request_goes_in_pieces() -> None:
    """As much at a time as the kernel takes; nothing is nothing."""
    made, sock, _ = asked()
    sock.written.clear()
    sock.takes = 3
    assert made.write(b"abcdef", NEVER) == 3
    assert made.write_all(b"defgh", NEVER)
    assert made.write_all(b"", NEVER)
    assert bytes(sock.written) == b"abcdefgh"


@pytest.mark.parametrize(
    ("error", "kind"),
    [(BrokenPipeError("broken pipe"), "WriteError"), (TimeoutError("timed out"), "WriteTimeout")],
)
def test_a_failed_write(error: OSError, kind: str) -> None:
    """By its kind, with the cause kept."""
    made, sock, _ = asked()
    sock.error = error
    with pytest.raises(LeanError) as raised:
        made.write(b"x", NEVER)
    assert raised.value.kind == kind
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("polls", [True, False])
@pytest.mark.parametrize(
    ("answer", "goes"),
    [
        (b"", True),
        (b"HTTP/1.1 102 Processing\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", True),
        (b"HTTP/1.1 413 No\r\nContent-Length: 9\r\n\r\n", False),
        (OK, False),
    ],
)
def test_the_peer_is_heard_during_an_upload(
    monkeypatch: pytest.MonkeyPatch, polls: bool, answer: bytes, goes: bool
) -> None:
    """With or without poll(), which Windows lacks."""
    if not polls:
        monkeypatch.setattr("meshlib.transport.lean_sync.select", SimpleNamespace(select=select.select))
    made, sock, _ = asked(answer)
    sock.written.clear()
    assert made.write_all(b"abc", NEVER) is goes
    assert bytes(sock.written) == (b"abc" if goes else b"")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 102 Processing\r\n\r\n"])
def test_a_peer_that_never_reads(answer: bytes) -> None:
    """A WriteTimeout after one bound, and not after two; what it says meanwhile is heard."""
    made, sock, _ = asked(answer)
    sock.fill()
    with pytest.raises(LeanError) as raised:
        made.write_all(b"abc", 0.001)
    assert error_of(raised) == ("WriteTimeout", "timed out")
    assert len(made.core.interim) == bool(answer)


def test_a_peer_that_never_reads_and_answers() -> None:
    """It is spared the rest."""
    made, sock, _ = asked(b"HTTP/1.1 413 No\r\nContent-Length: 9\r\n\r\n")
    sock.fill()
    assert not made.write_all(b"abc", NEVER)


def test_what_is_less_than_a_record_of_tls_is_no_answer() -> None:
    """Something can be read, and then there is nothing: the upload goes on."""
    made, sock, _ = asked(b"H")
    sock.error = TimeoutError("The read operation timed out")
    assert made.write_all(b"abc", NEVER)


@pytest.mark.parametrize("error", [ConnectionResetError("reset by peer"), None])
def test_a_peer_that_goes_during_an_upload(error: OSError | None) -> None:
    """Heard before more is written."""
    made, sock, _ = asked()
    sock.error = error
    sock.far.close()
    with pytest.raises(LeanError) as raised:
        made.write_all(b"abc", NEVER)
    assert raised.value.kind == ("ReadError" if error else "RemoteProtocolError")


def test_an_upload_in_pieces_ends_with_the_attempt() -> None:
    """Before the peer is even looked at."""
    made, _, clock = asked(until=10.0)
    clock.advance(10.1)
    with pytest.raises(LeanError) as raised:
        made.write_all(b"abc", NEVER)
    assert error_of(raised) == ("WriteTimeout", "timed out")


def test_what_spares_the_peer_the_rest() -> None:
    """A whole answer, or the head of an error."""
    core = Http1()
    core.begin("POST")
    assert not enough(core)
    core.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
    assert not enough(core)
    core.feed(b"x")
    assert enough(core)
    core.begin("POST")
    core.feed(b"HTTP/1.1 413 No\r\nContent-Length: 1\r\n\r\n")
    assert enough(core)


# Expect: 100-continue.


def test_the_body_is_asked_for() -> None:
    """100 comes first, the answer later."""
    made, _, _ = asked(b"HTTP/1.1 100 Continue\r\n\r\n")
    made.continued(1.0)
    assert (made.core.continued, made.core.head) == (True, False)


def test_an_answer_instead_of_an_invitation() -> None:
    """Its head is enough to know."""
    made, _, _ = asked(OK[:-1])
    made.continued(1.0)
    assert (made.core.continued, made.core.head) == (False, True)


def test_a_silent_peer_gets_the_body_all_the_same() -> None:
    """After the bound, as RFC 9110 10.1.1 wants it."""
    made, sock, _ = asked()
    made.continued(1.0)
    assert sock.timeouts[-1] == pytest.approx(1.0, abs=0.011)
    assert not made.core.head


def test_a_peer_that_closes_instead_of_inviting() -> None:
    """The error is the reading's."""
    made, sock, _ = asked()
    sock.far.close()
    with pytest.raises(LeanError) as raised:
        made.continued(1.0)
    assert raised.value.kind == "RemoteProtocolError"


# Bounds.


def test_every_operation_is_clamped_to_the_attempt() -> None:
    """The shorter of its own bound and what is left; a few milliseconds late at most."""
    made, sock, clock = asked(until=10.0)
    for bound, expected in ((3.0, 3.0), (NEVER, 10.0), (50.0, 10.0)):
        with pytest.raises(LeanError):
            made.answered(bound, True)
        assert 0.0 <= (sock.timeouts[-1] or 0.0) - expected <= 0.010
    clock.advance(8.0)
    with pytest.raises(LeanError):
        made.answered(3.0, True)
    assert 0.0 <= (sock.timeouts[-1] or 0.0) - 2.0 <= 0.010


def test_the_socket_is_not_told_twice() -> None:
    """A timeout that is right, or a few milliseconds late, stays: setting it is a system call."""
    made, sock, clock = asked(OK, until=10.0)
    clock.advance(0.004)
    made.answered(NEVER, True)
    assert len(sock.timeouts) == 1
    made.begin("GET", NEVER, False)
    made.write(b"x", NEVER)
    made.write(b"x", NEVER)
    assert sock.timeouts[1:] == [None]


def test_what_waits_in_the_kernel_can_still_be_taken() -> None:
    """In the last moment an operation has a millisecond at least."""
    made, sock, clock = asked(OK, until=10.0)
    clock.advance(10.0)
    made.answered(NEVER, True)
    assert 0.001 <= (sock.timeouts[-1] or 0.0) <= 0.011


@pytest.mark.parametrize("whole", [True, False])
def test_a_peer_that_always_has_a_byte_stretches_nothing(whole: bool) -> None:
    """Though the socket's own timeout never strikes, the attempt's end does."""
    made, sock, clock = asked(until=10.0)
    sock.far.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")

    def drip() -> int:
        count = 0
        while True:
            made.answered(NEVER, whole) if whole else made.part(NEVER)
            count += 1

    clock_read = made._clock
    made._clock = lambda: (sock.far.send(b"x"), clock.advance(0.001), clock_read())[2]  # type: ignore[assignment]
    with pytest.raises(LeanError) as raised:
        drip()
    assert error_of(raised) == ("ReadTimeout", "timed out")
    assert 10.0 <= clock() - 1000.0 <= 10.1


def test_an_upload_ends_with_the_attempt_too() -> None:
    """However fast the peer reads."""
    made, sock, clock = asked(until=10.0)
    clock.advance(10.1)
    with pytest.raises(LeanError) as raised:
        made.write(b"x", NEVER)
    assert error_of(raised) == ("WriteTimeout", "timed out")
    assert bytes(sock.written) == b"GET / HTTP/1.1\r\n\r\n"


# The pool's questions.


def test_an_idle_connection_with_something_to_say_is_stale() -> None:
    """Bytes, the end, or gone: nobody listens to it, so the kernel is asked whoever wants to know."""
    made, sock, _ = asked()
    assert (made.stale(False), made.stale(True), made.waiting()) == (False, False, False)
    sock.far.send(b"x")
    assert (made.stale(False), made.stale(True), made.waiting()) == (True, True, True)
    other, its, _ = asked()
    its.far.close()
    assert other.stale(False)
    other.discard()
    assert other.stale(False)
    assert other.descriptor() == -1


class FakeTls(FakeSocket):
    """Stands for a TLS socket; `behind` is what reading brings or raises."""

    def __init__(self, behind: bytes | Exception) -> None:
        super().__init__()
        self.behind = behind

    def recv(self, size: int) -> bytes:
        if isinstance(self.behind, Exception):
            raise self.behind
        return self.behind


@pytest.mark.parametrize(
    ("behind", "stale"),
    [
        (ssl.SSLWantReadError(), False),
        (b"x", True),
        (b"", True),
        (ssl.SSLError("alert"), True),
        (ConnectionResetError(), True),
        (ValueError("Read on closed or unwrapped SSL socket."), True),
    ],
)
def test_session_tickets_are_no_answer(
    monkeypatch: pytest.MonkeyPatch, behind: bytes | Exception, stale: bool
) -> None:
    """TLS 1.3 sends them after the handshake; whatever else waits makes the connection stale."""
    known = SimpleNamespace(SSLSocket=FakeTls, SSLWantReadError=ssl.SSLWantReadError)
    monkeypatch.setattr("meshlib.transport.lean_sync.ssl", known)
    tls = FakeTls(behind)
    made = sync_connection(tls, FakeClock())
    made.write(b"x", NEVER)
    assert not made.stale(False)
    tls.far.send(b"ticket")
    assert made.stale(False) is stale
    made.write(b"x", NEVER)
    assert tls.timeouts == [None, 0.0, None]  # the look must not leave the socket non-blocking
    assert made.get_extra_info("ssl_object") is tls


def test_what_a_network_stream_is_asked() -> None:
    """The families' names for it; what is not known is None."""
    made, sock, _ = asked()
    names = ("client_addr", "server_addr", "socket", "ssl_object", "other")
    found = [made.get_extra_info(name) for name in names]
    assert found == [("192.0.2.9", 40000), ("192.0.2.1", 80), sock, None, None]
    assert made.descriptor() == sock.near.fileno()
