"""AsyncConnection: everything that a loop may call, in every order in which it may."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meshlib.core.deadline import NEVER
from meshlib.testing import FakeClock, StalledError, VirtualLoop
from meshlib.transport.lean_aio import AsyncConnection
from meshlib.transport.lean_errors import LeanError
from meshlib.transport.pool import Pool
from tests.unit.transport.lean_kit import OK, FakeTransport, aio, connection, error_of

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


async def answered(made: AsyncConnection, whole: bool = True, bound: float = NEVER) -> None:
    """As a wire waits."""
    core = made.core
    while not (core.complete or (core.head and not whole)):
        await made.changed(bound)


def asked(loop: VirtualLoop, whole: bool = True) -> tuple[AsyncConnection, FakeTransport]:
    """A connection on which an exchange began."""
    made, transport = connection(loop)
    made.begin("GET", whole, False)
    made.write(b"GET / HTTP/1.1\r\n\r\n")
    return made, transport


# The answer.


def test_an_answer_in_pieces() -> None:
    """Woken once, when the message is whole."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = asked(loop)
        task = asyncio.ensure_future(answered(made))
        for position in range(len(OK)):
            await asyncio.sleep(0)
            assert not task.done()
            made.data_received(OK[position : position + 1])
        await task
        assert (made.core.status, b"".join(made.core.parts)) == (200, b"ok")
        assert bytes(transport.written) == b"GET / HTTP/1.1\r\n\r\n"

    aio(run)


def test_an_answer_before_anybody_waits() -> None:
    """Nothing is waited for then."""

    async def run(loop: VirtualLoop) -> None:
        made, _ = asked(loop)
        made.data_received(OK)
        await answered(made)
        assert made.core.complete

    aio(run)


def test_a_streamed_answer_is_there_with_its_head() -> None:
    """And its parts one by one, to the end."""

    async def run(loop: VirtualLoop) -> None:
        made, _ = asked(loop, whole=False)
        loop.call_soon(made.data_received, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        await answered(made, whole=False)
        loop.call_soon(made.data_received, b"ab")
        assert await made.part(NEVER) == b"ab"
        made.data_received(b"c")
        made.data_received(b"d")
        assert await made.part(NEVER) == b"cd"
        assert await made.part(NEVER) == b""

    aio(run)


def test_the_end_of_file_ends_a_body_until_then() -> None:
    """With data and EOF in one turn of the loop, too."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = asked(loop)
        task = asyncio.ensure_future(answered(made))
        await asyncio.sleep(0)
        made.data_received(b"HTTP/1.1 200 OK\r\n\r\nabc")
        transport.end()
        await task
        assert made.core.parts == [b"abc"]
        assert not made.core.reusable

    aio(run)


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (b"", "RemoteProtocolError", "closed the connection without an answer"),
        (b"HTTP/1.1 200", "RemoteProtocolError", "closed the connection in the middle of a head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", "RemoteProtocolError", "after 2 of 9 bytes"),
    ],
)
@pytest.mark.parametrize("waits", [True, False])
def test_an_early_end_of_file(data: bytes, kind: str, text: str, waits: bool) -> None:
    """Told as what it is, whether or not somebody was waiting already."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = asked(loop)
        if not waits:
            made.data_received(data)
            transport.end()
        task = asyncio.ensure_future(answered(made))
        await asyncio.sleep(0)
        if waits:
            made.data_received(data)
            transport.end()
        with pytest.raises(LeanError, match=text) as raised:
            await task
        assert raised.value.kind == kind

    aio(run)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"])
def test_a_reset(data: bytes) -> None:
    """A ReadError, with what the system says."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = asked(loop)
        made.data_received(data)
        task = asyncio.ensure_future(answered(made))
        await asyncio.sleep(0)
        transport.lose(ConnectionResetError("reset by peer"))
        with pytest.raises(LeanError) as raised:
            await task
        assert error_of(raised) == ("ReadError", "reset by peer")

    aio(run)


def test_a_whole_answer_survives_the_reset_behind_it() -> None:
    """It is delivered; the connection is not used again."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = asked(loop)
        made.data_received(OK)
        transport.lose(ConnectionResetError("reset by peer"))
        await asyncio.sleep(0)
        await answered(made)
        assert not made.core.reusable
        assert made.stale(False)

    aio(run)


def test_what_is_no_http_closes_the_connection() -> None:
    """At once, as the peer's fault."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = asked(loop)
        loop.call_soon(made.data_received, b"SSH-2.0-x\r\n\r\n")
        with pytest.raises(LeanError) as raised:
            await answered(made)
        assert raised.value.kind == "RemoteProtocolError"
        assert transport.closing

    aio(run)


def test_bytes_that_nobody_asked_for_close_an_idle_connection() -> None:
    """It leaves its pool, and its count."""

    async def run(loop: VirtualLoop) -> None:
        pool: Pool[AsyncConnection] = Pool()
        made, transport = connection(loop, pool)
        pool.give(made, 0.0, NEVER)
        made.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert transport.closing
        assert pool.take(0.0, True) is None
        await asyncio.sleep(0)
        assert (pool.open, len(pool.idle)) == (0, 0)

    aio(run)


# Writing.


def test_writing_on_a_closed_connection() -> None:
    """A WriteError, and nothing has left."""

    async def run(loop: VirtualLoop) -> None:
        for close in ("end", "abort"):
            made, transport = connection(loop)
            getattr(transport, close)()
            with pytest.raises(LeanError) as raised:
                made.write(b"x")
            assert error_of(raised) == ("WriteError", "the connection is closed")
            assert transport.written == b""

    aio(run)


def test_a_connection_that_closes_under_the_write() -> None:
    """asyncio tries at once and closes: nothing has left then either."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = connection(loop)
        transport.broken = True
        with pytest.raises(LeanError) as raised:
            made.write(b"x")
        assert raised.value.kind == "WriteError"

    aio(run)


def test_a_fast_peer_is_not_waited_for() -> None:
    """`drain` returns at once."""

    async def run(loop: VirtualLoop) -> None:
        made, _ = asked(loop)
        assert not made.slow
        await made.drain(NEVER)

    aio(run)


def test_a_slow_peer_is_waited_for() -> None:
    """Until the loop says that there is room again; saying so twice is no matter."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = connection(loop)
        transport.full = True
        made.begin("POST", True, False)
        made.write(b"x")
        assert made.slow
        task = asyncio.ensure_future(made.drain(5.0))
        await asyncio.sleep(1.0)
        assert not task.done()
        made.resume_writing()
        made.resume_writing()
        await task
        assert not made.slow

    aio(run)


def test_a_peer_that_never_reads_is_a_write_timeout() -> None:
    """After the bound, to the moment."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = connection(loop)
        transport.full = True
        made.begin("POST", True, False)
        made.write(b"x")
        before = loop.time()
        with pytest.raises(LeanError) as raised:
            await made.drain(5.0)
        assert error_of(raised) == ("WriteTimeout", "timed out")
        assert loop.time() - before == pytest.approx(5.0)

    aio(run)


@pytest.mark.parametrize(("status", "spared"), [(b"413 Content Too Large", True), (b"200 OK", False)])
def test_an_answer_spares_the_peer_the_rest(status: bytes, spared: bool) -> None:
    """An error's head is enough for that; of a good answer the message's end."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = connection(loop)
        transport.full = True
        made.begin("POST", False, False)
        made.write(b"x")
        task = asyncio.ensure_future(made.drain(5.0))
        await asyncio.sleep(0)
        made.data_received(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n")
        await asyncio.sleep(0)
        assert task.done() is spared
        made.data_received(b"ok")
        await task
        assert made.core.complete

    aio(run)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 413 Content Too Large\r\n\r\n"])
def test_a_peer_that_closes_during_an_upload(answer: bytes) -> None:
    """What it had to say counts; without that it is a WriteError."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = connection(loop)
        transport.full = True
        made.begin("POST", True, False)
        made.write(b"x")
        task = asyncio.ensure_future(made.drain(NEVER))
        await asyncio.sleep(0)
        made.data_received(answer)
        transport.lose(ConnectionResetError("reset by peer"))
        if answer:
            await task
            with pytest.raises(LeanError) as raised:
                await answered(made)
            assert error_of(raised) == ("ReadError", "reset by peer")
        else:
            with pytest.raises(LeanError) as raised:
                await task
            assert error_of(raised) == ("WriteError", "reset by peer")

    aio(run)


def test_a_cancelled_drain_harms_nobody() -> None:
    """The loop's later word finds nobody waiting."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = connection(loop)
        transport.full = True
        made.begin("POST", True, False)
        made.write(b"x")
        task = asyncio.ensure_future(made.drain(5.0))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(10.0)
        made.resume_writing()
        assert not made.slow
        assert not made.stale(False)

    aio(run)


# Expect: 100-continue.


def test_the_body_is_asked_for() -> None:
    """100, in pieces."""

    async def run(loop: VirtualLoop) -> None:
        made, _ = asked(loop)
        task = asyncio.ensure_future(made.continued(1.0))
        await asyncio.sleep(0)
        made.data_received(b"HTTP/1.1 100 Con")
        await asyncio.sleep(0)
        assert not task.done()
        made.data_received(b"tinue\r\n\r\n")
        await task
        assert (made.core.continued, made.core.head) == (True, False)

    aio(run)


def test_a_silent_peer_gets_the_body_all_the_same() -> None:
    """After the bound, whatever it says in between; the exchange goes on as it was begun."""

    async def run(loop: VirtualLoop) -> None:
        made, _ = asked(loop)
        before = loop.time()
        for after in (0.4, 0.8, 1.2):
            loop.call_later(after, made.data_received, b"HTTP/1.1 102 Processing\r\n\r\n")
        await made.continued(1.0)
        assert 1.0 <= loop.time() - before <= 1.5
        loop.call_later(1.0, made.data_received, OK)
        await answered(made)
        assert made.core.status == 200

    aio(run)


def test_an_answer_instead_of_an_invitation() -> None:
    """Its whole is waited for again afterwards."""

    async def run(loop: VirtualLoop) -> None:
        made, _ = asked(loop)
        loop.call_soon(made.data_received, OK[:-1])
        await made.continued(1.0)
        assert made.core.head
        task = asyncio.ensure_future(answered(made))
        await asyncio.sleep(0)
        assert not task.done()
        made.data_received(OK[-1:])
        await task

    aio(run)


def test_a_long_answer_instead_of_an_invitation_is_read_on() -> None:
    """What paused the reading while nobody waited does not stay in force."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = asked(loop)
        task = asyncio.ensure_future(made.continued(1.0))
        await asyncio.sleep(0)
        made.data_received(HEAD)
        made.data_received(b"x" * 300_000)
        assert not transport.reading
        await task
        assert transport.reading
        made.data_received(b"x" * 700_000)
        await answered(made)

    aio(run)


def test_a_peer_that_closes_instead_of_inviting() -> None:
    """The error is the reading's."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = asked(loop)
        loop.call_soon(transport.end)
        with pytest.raises(LeanError) as raised:
            await made.continued(1.0)
        assert raised.value.kind == "RemoteProtocolError"

    aio(run)


# Backpressure.


def test_an_unread_body_pauses_the_peer() -> None:
    """Above the high-water mark, until it is taken."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = asked(loop, whole=False)
        made.data_received(HEAD)
        await answered(made, whole=False)
        made.data_received(b"x" * 200_000)
        assert transport.reading
        made.data_received(b"x" * 100_000)
        made.data_received(b"x")  # what a loop had read already
        assert not transport.reading
        assert len(await made.part(NEVER)) == 300_001
        assert transport.reading

    aio(run)


def test_a_whole_message_is_never_paused() -> None:
    """Whoever wants it whole takes it whole."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = asked(loop)
        made.data_received(HEAD)
        made.data_received(b"x" * 999_999)
        assert transport.reading
        made.data_received(b"x")
        assert transport.reading
        assert made.core.complete

    aio(run)


def test_a_message_that_is_whole_does_not_pause_the_next_exchange() -> None:
    """A long body may be left unread: the connection goes on."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = asked(loop, whole=False)
        made.data_received(HEAD)
        made.data_received(b"x" * 900_000)
        assert not transport.reading
        made.data_received(b"x" * 100_000)
        assert made.core.reusable
        assert transport.reading
        made.begin("GET", True, False)
        made.data_received(OK)
        await answered(made)

    aio(run)


# Bounds.


def test_a_silent_peer_is_a_read_timeout() -> None:
    """After the bound, to the moment."""

    async def run(loop: VirtualLoop) -> None:
        made, _ = asked(loop)
        before = loop.time()
        with pytest.raises(LeanError) as raised:
            await answered(made, bound=5.0)
        assert error_of(raised) == ("ReadTimeout", "timed out")
        assert loop.time() - before == pytest.approx(5.0)
        assert not made.core.reusable

    aio(run)


@pytest.mark.parametrize("whole", [True, False])
def test_the_bound_is_of_each_pause(whole: bool) -> None:
    """As httpx's read timeout: whoever says something may take another pause."""

    async def run(loop: VirtualLoop) -> None:
        made, _ = asked(loop, whole)
        before = loop.time()
        for number in range(20):
            loop.call_later(4.0 * (number + 1), made.data_received, OK[number : number + 1])
        with pytest.raises(LeanError):
            await answered(made, whole, bound=5.0)
        assert loop.time() - before == pytest.approx(85.0)

    aio(run)


def test_a_shorter_bound_is_kept_after_a_longer_one() -> None:
    """The timer that is wound already would ring too late."""

    async def run(loop: VirtualLoop) -> None:
        made, _ = asked(loop)
        made.data_received(OK)
        made.begin("GET", True, False)
        loop.call_later(1.0, made.data_received, OK)
        await answered(made, bound=50.0)
        made.begin("GET", True, False)
        before = loop.time()
        with pytest.raises(LeanError):
            await answered(made, bound=2.0)
        assert loop.time() - before == pytest.approx(2.0)

    aio(run)


def test_an_unbounded_wait_after_a_bounded_one() -> None:
    """The old bound is forgotten; without any timer nothing would ever end it."""

    async def run(loop: VirtualLoop) -> None:
        made, _ = asked(loop)
        loop.call_later(1.0, made.data_received, OK)
        await answered(made, bound=5.0)
        made.begin("GET", True, False)
        loop.call_later(500.0, made.data_received, OK)
        await answered(made)
        assert made.core.complete

    aio(run)


def test_an_idle_connection_winds_no_timer() -> None:
    """The last exchange's rings once, finds nobody, and is not wound again: nothing is left for the loop to wait for."""

    async def run(loop: VirtualLoop) -> None:
        made, _ = asked(loop)
        loop.call_soon(made.data_received, OK)
        await answered(made, bound=5.0)
        await asyncio.sleep(20.0)
        assert made.core.reusable
        await loop.create_future()

    with pytest.raises(StalledError):
        aio(run)


def test_a_caller_who_gave_up_waiting_may_come_back() -> None:
    """Its bound does not run on while it is away."""

    async def run(loop: VirtualLoop) -> None:
        made, _ = asked(loop, whole=False)
        made.data_received(HEAD)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await made.part(5.0)
        await asyncio.sleep(60.0)
        loop.call_later(1.0, made.data_received, b"later")
        assert await made.part(5.0) == b"later"

    aio(run)


def test_data_after_the_bound_and_before_the_waiter_runs() -> None:
    """The answer is in time for whoever looks; the connection is not used again."""

    async def run(loop: VirtualLoop) -> None:
        made, _ = asked(loop)
        task = asyncio.ensure_future(answered(made, bound=5.0))
        await asyncio.sleep(0)
        loop.call_later(5.0, made.data_received, OK)  # wound after the bound's own: the same turn of the loop
        await task
        assert made.core.complete
        assert made.stale(False)

    aio(run)


# The pool's questions.


def test_a_lost_connection_leaves_its_pool_once() -> None:
    """Idle or in use, whoever notices first."""

    async def run(loop: VirtualLoop) -> None:
        pool: Pool[AsyncConnection] = Pool()
        idle, its_transport = connection(loop, pool)
        busy, other_transport = connection(loop, pool)
        pool.give(idle, 0.0, NEVER)
        its_transport.end()
        other_transport.end()
        await asyncio.sleep(0)
        assert (pool.open, len(pool.idle)) == (1, 0)
        pool.drop(busy)
        await asyncio.sleep(0)
        assert pool.open == 0

    aio(run)


def test_dropped_between_end_of_file_and_loss() -> None:
    """The count goes down once."""

    async def run(loop: VirtualLoop) -> None:
        pool: Pool[AsyncConnection] = Pool()
        made, transport = connection(loop, pool)
        pool.give(made, 0.0, NEVER)
        transport.end()
        assert pool.take(0.0, True) is None
        assert pool.open == 0
        await asyncio.sleep(0)
        assert pool.open == 0

    aio(run)


def test_only_the_thorough_ask_the_kernel() -> None:
    """Bytes that the loop has not read yet are seen by a request that may not be repeated."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = connection(loop)
        assert (made.stale(False), made.stale(True)) == (False, False)
        transport.far.send(b"x")
        assert (made.stale(False), made.stale(True)) == (False, True)
        transport.abort()
        assert made.stale(False)

    aio(run)


def test_a_connection_that_never_stood_can_be_discarded() -> None:
    """As when connecting fails."""

    async def run(loop: VirtualLoop) -> None:
        made = AsyncConnection(Pool(), loop, loop.clock)
        assert made.descriptor() == -1
        made.discard()
        made.discard()

    aio(run)


def test_discarding_closes_at_once() -> None:
    """The timer is wound down, the descriptor is gone, later words of the loop change nothing."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = asked(loop)
        task = asyncio.ensure_future(answered(made, bound=5.0))
        await asyncio.sleep(0)
        task.cancel()
        assert made.descriptor() == transport.near.fileno() >= 0
        made.discard()
        await asyncio.sleep(0)
        assert made.descriptor() == -1
        times.append(loop.clock)
        await loop.create_future()

    times: list[Any] = []
    with pytest.raises(StalledError):
        aio(run)
    assert times[0]() == FakeClock()()


def test_what_a_network_stream_is_asked() -> None:
    """The families' names for it; what is not known is None."""

    async def run(loop: VirtualLoop) -> None:
        made, transport = connection(loop)
        found: list[Any] = [
            made.get_extra_info(name)
            for name in ("client_addr", "server_addr", "socket", "ssl_object", "other")
        ]
        assert found == [("192.0.2.9", 40000), ("192.0.2.1", 80), transport.near, None, None]
        transport.extra = {}
        assert made.descriptor() == -1
        transport.abort()

    aio(run)
