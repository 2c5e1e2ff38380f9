"""Connecting by name for event loops: the same race, in virtual time; every socket that loses is closed."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from meshlib.testing import FakeClock, VirtualLoop
from meshlib.transport.dial import STAGGER
from meshlib.transport.dial_aio import dial

SIX, FOUR = ("2001:db8::1", 80), ("192.0.2.1", 80)


class Loop(VirtualLoop):
    """Resolves and connects by script: address to (seconds, error number or 0)."""

    def __init__(self) -> None:
        super().__init__(FakeClock())
        self.start = self.time()
        self.outcome: dict[tuple[str, int], tuple[float, int]] = {}
        self.refused: Exception | None = None
        self.tried: list[tuple[float, tuple[str, int]]] = []
        self.sockets: list[socket.socket] = []

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        assert (host, port, options) == ("orders", 80, {"type": socket.SOCK_STREAM})
        if self.refused is not None:
            raise self.refused
        return [(0, 0, 0, "", (*address, 0, 0)) for address in self.outcome]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        assert sock.family == (socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        assert sock.gettimeout() == 0.0
        self.sockets.append(sock)
        self.tried.append((self.time() - self.start, address))
        after, code = self.outcome[address]
        await asyncio.sleep(after)
        if code:
            raise OSError(code, "scripted")

    def left_open(self) -> list[socket.socket]:
        """Sockets that nobody closed."""
        return [sock for sock in self.sockets if sock.fileno() >= 0]


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Closed at the end, once what was scheduled has run."""
    made = Loop()
    yield made
    made.run_until_complete(asyncio.sleep(0))
    left = made.left_open()
    for sock in left:
        sock.close()
    made.close()
    assert left == []


Run = Callable[[Coroutine[Any, Any, Any]], Any]


def won(loop: Loop) -> socket.socket:
    """The winner, closed after a look at what else is open."""

    async def run() -> socket.socket:
        sock = await dial("orders", 80)
        for _ in range(3):
            await asyncio.sleep(0)  # losers close when their tasks end
        assert sock is not None
        assert loop.left_open() == [sock]
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        return sock

    sock: socket.socket = loop.run_until_complete(run())
    sock.close()
    return sock


def test_addresses_are_left_to_the_loop(loop: Loop) -> None:
    """It needs no name for them; a zone counts as one."""
    assert [loop.run_until_complete(dial(host, 80)) for host in ("10.0.0.1", "::1", "fe80::1%eth0")] == [
        None
    ] * 3


def test_one_address(loop: Loop) -> None:
    """Connected, without Nagle's delay."""
    loop.outcome = {FOUR: (0.1, 0)}
    assert won(loop).family == socket.AF_INET


def test_the_first_wins_when_it_is_quick(loop: Loop) -> None:
    """No second attempt is started within the stagger."""
    loop.outcome = {SIX: (0.1, 0), FOUR: (0.1, 0)}
    assert won(loop).family == socket.AF_INET6
    assert len(loop.tried) == 1


def test_a_silent_first_address_costs_the_stagger(loop: Loop) -> None:
    """The next is tried beside it, and who lost is closed."""
    loop.outcome = {SIX: (60.0, 0), FOUR: (0.1, 0)}
    assert won(loop).family == socket.AF_INET
    assert loop.tried == [(0.0, SIX), (pytest.approx(STAGGER), FOUR)]


def test_a_refusal_starts_the_next_at_once(loop: Loop) -> None:
    """The stagger is for addresses that say nothing."""
    loop.outcome = {SIX: (0.05, errno.ECONNREFUSED), FOUR: (0.1, 0)}
    assert won(loop).family == socket.AF_INET
    assert loop.tried == [(0.0, SIX), (pytest.approx(0.05), FOUR)]


def test_the_last_that_runs_is_waited_for(loop: Loop) -> None:
    """Though the others have failed meanwhile."""
    loop.outcome = {SIX: (0.5, errno.ECONNREFUSED), FOUR: (2.0, 0)}
    assert won(loop).family == socket.AF_INET


def test_two_winners_at_once_leave_one(loop: Loop) -> None:
    """The other is closed though it stands."""
    loop.outcome = {SIX: (STAGGER + 0.5, 0), FOUR: (0.5, 0)}
    won(loop)
    assert len(loop.sockets) == 2


def test_a_winner_beside_a_failure(loop: Loop) -> None:
    """What failed in the same instant is no matter."""
    loop.outcome = {SIX: (STAGGER + 0.5, errno.ECONNREFUSED), FOUR: (0.5, 0)}
    assert won(loop).family == socket.AF_INET


def test_when_all_fail_the_last_error_is_raised(loop: Loop) -> None:
    """And nothing is left open."""
    loop.outcome = {SIX: (0.0, errno.ENETUNREACH), FOUR: (0.2, errno.ECONNREFUSED)}
    with pytest.raises(OSError, match="scripted") as raised:
        loop.run_until_complete(dial("orders", 80))
    assert raised.value.errno == errno.ECONNREFUSED


def test_no_address_is_an_error(loop: Loop) -> None:
    """A name that resolves to nothing."""
    with pytest.raises(OSError, match="orders has no address"):
        loop.run_until_complete(dial("orders", 80))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (socket.gaierror(-2, "Name or service not known"), "not known"),
        (UnicodeError("label"), "not a host name"),
    ],
)
def test_what_the_look_up_raises_is_an_os_error(loop: Loop, error: Exception, text: str) -> None:
    """A name that IDNA refuses among it."""
    loop.refused = error
    with pytest.raises(OSError, match=text):
        loop.run_until_complete(dial("orders", 80))


@pytest.mark.parametrize("at", [0.0, 0.1, STAGGER, STAGGER + 0.1, STAGGER + 0.3])
def test_cancelled_at_any_time_leaves_nothing(loop: Loop, at: float) -> None:
    """While one runs, while two run, and in the instant in which they stand: the fixture looks for open sockets."""
    loop.outcome = {SIX: (STAGGER + 0.3, 0), FOUR: (0.3, 0)}

    async def run() -> None:
        task = asyncio.ensure_future(dial("orders", 80))
        await asyncio.sleep(at)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(3):
            await asyncio.sleep(0)

    loop.run_until_complete(run())


@pytest.mark.parametrize("turns", range(12))
def test_cancelled_at_any_turn_of_the_loop(loop: Loop, turns: int) -> None:
    """The winner is closed too when nobody takes it."""
    loop.outcome = {FOUR: (0.0, 0)}

    async def run() -> None:
        task = asyncio.ensure_future(dial("orders", 80))
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            task.result().close()
        for _ in range(3):
            await asyncio.sleep(0)

    loop.run_until_complete(run())
