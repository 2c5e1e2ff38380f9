"""Connecting by name for threads: RFC 8305 in virtual time, over sockets that never touch a network."""

from __future__ import annotations

import errno
import selectors
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from meshlib.core.deadline import NEVER
from meshlib.testing import FakeClock
from meshlib.transport import dial as module
from meshlib.transport.dial import STAGGER, dial, interleaved

SIX, FOUR, OTHER_SIX, OTHER_FOUR = (
    ("2001:db8::1", 80),
    ("192.0.2.1", 80),
    ("2001:db8::2", 80),
    ("192.0.2.2", 80),
)


class FakeSocket:
    """Connects when its address's turn has come."""

    def __init__(self, net: Net, family: int) -> None:
        self.net = net
        self.family = family
        self.options: list[tuple[int, int, int]] = []
        self.closed = False
        self.code = 0
        self.ready = NEVER

    def setblocking(self, blocking: bool) -> None:
        assert not blocking

    def connect_ex(self, address: tuple[str, int]) -> int:
        assert (self.family == socket.AF_INET6) is (":" in address[0])
        self.net.tried.append((self.net.clock() - self.net.start, address))
        after, self.code = self.net.outcome[address]
        self.ready = self.net.clock() + after
        return errno.EINPROGRESS if after else self.code

    def getsockopt(self, level: int, option: int) -> int:
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR)
        return self.code

    def setsockopt(self, *option: int) -> None:
        self.options.append(option)  # type: ignore[arg-type]

    def close(self) -> None:
        self.closed = True


class FakeSelector:
    """Moves the clock to the next socket that has something to say."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.map: dict[FakeSocket, Any] = {}
        self.closed = False

    def register(self, sock: FakeSocket, events: int) -> None:
        assert events == selectors.EVENT_WRITE
        self.map[sock] = SimpleNamespace(fileobj=sock)

    def unregister(self, sock: FakeSocket) -> None:
        del self.map[sock]

    def get_map(self) -> dict[FakeSocket, Any]:
        return self.map

    def select(self, timeout: float | None) -> list[tuple[Any, int]]:
        now = self.clock()
        due = min(sock.ready for sock in self.map)
        until = due if timeout is None else min(due, now + timeout)
        assert until != NEVER, "would wait for ever"
        self.clock.advance(until - now)
        return [(key, 0) for sock, key in self.map.items() if sock.ready <= until]

    def close(self) -> None:
        self.closed = True


class Net:
    """What every address does: (seconds until it is decided, 0 or an error number)."""

    def __init__(self, outcome: dict[tuple[str, int], tuple[float, int]]) -> None:
        self.outcome = outcome
        self.clock = FakeClock()
        self.start = self.clock()
        self.tried: list[tuple[float, tuple[str, int]]] = []
        self.sockets: list[FakeSocket] = []
        self.selectors: list[FakeSelector] = []
        self.asked: list[float | None] = []
        self.created: list[tuple[Any, float | None]] = []
        self.no_ipv6 = False

    def socket(self, family: int, kind: int) -> FakeSocket:
        if self.no_ipv6 and family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        self.sockets.append(FakeSocket(self, family))
        return self.sockets[-1]

    def selector(self) -> FakeSelector:
        self.selectors.append(FakeSelector(self.clock))
        return self.selectors[-1]

    def addresses(self, host: str, port: int, timeout: float | None) -> list[tuple[str, int]]:
        assert (host, port) == ("orders", 80)
        self.asked.append(timeout)
        return list(self.outcome)

    def create_connection(self, address: Any, timeout: float | None) -> FakeSocket:
        self.created.append((address, timeout))
        return self.socket(socket.AF_INET, socket.SOCK_STREAM)

    def dial(self, within: float = NEVER) -> Any:
        return dial("orders", 80, self.clock() + within, self.clock)


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Net]:
    """`net({address: (after, code)})` replaces the network under `dial`."""

    def make(outcome: dict[tuple[str, int], tuple[float, int]]) -> Net:
        made = Net(outcome)
        names = {name: getattr(socket, name) for name in dir(socket) if name.isupper()}
        faked = {**names, "socket": made.socket, "create_connection": made.create_connection}
        monkeypatch.setattr(module, "socket", SimpleNamespace(**faked))
        monkeypatch.setattr(
            module,
            "selectors",
            SimpleNamespace(DefaultSelector=made.selector, EVENT_WRITE=selectors.EVENT_WRITE),
        )
        monkeypatch.setattr(module, "addresses", made.addresses)
        return made

    return make


Nets = Callable[..., Net]


def left_open(net: Net) -> list[FakeSocket]:
    return [sock for sock in net.sockets if not sock.closed]


def test_families_take_turns() -> None:
    """The system's first choice first, and nothing is lost of the longer list."""
    assert interleaved([SIX, OTHER_SIX, FOUR, OTHER_FOUR]) == [SIX, FOUR, OTHER_SIX, OTHER_FOUR]
    assert interleaved([FOUR, SIX, OTHER_SIX]) == [FOUR, SIX, OTHER_SIX]
    assert interleaved([FOUR]) == [FOUR]


def test_one_address_is_connected_plainly(net: Nets) -> None:
    """Within what is left, and without Nagle's delay."""
    one = net({FOUR: (0.0, 0)})
    sock = one.dial(within=2.0)
    assert one.asked == [2.0]
    assert one.created == [(FOUR, 2.0)]
    assert sock.options == [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]


def test_without_a_bound_nothing_is_bounded(net: Nets) -> None:
    """`inf` is no timeout of the look-up's or the socket's."""
    one = net({FOUR: (0.0, 0)})
    one.dial()
    assert one.asked == [None]
    assert one.created == [(FOUR, None)]


def test_no_address_is_an_error(net: Nets) -> None:
    """A name that resolves to nothing."""
    with pytest.raises(OSError, match="orders has no address"):
        net({}).dial()


def test_the_first_wins_when_it_is_quick(net: Nets) -> None:
    """No second attempt is started within the stagger."""
    two = net({SIX: (0.1, 0), FOUR: (0.1, 0)})
    sock = two.dial(within=5.0)
    assert sock.family == socket.AF_INET6
    assert sock.options == [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    assert [address for _, address in two.tried] == [SIX]
    assert two.selectors[0].closed


def test_a_silent_first_address_costs_the_stagger(net: Nets) -> None:
    """The next is tried beside it, and who lost is closed."""
    two = net({SIX: (60.0, 0), FOUR: (0.1, 0)})
    sock = two.dial(within=5.0)
    assert two.tried == [(0.0, SIX), (pytest.approx(STAGGER), FOUR)]
    assert left_open(two) == [sock]
    assert sock.family == socket.AF_INET


def test_the_first_may_win_after_the_second_began(net: Nets) -> None:
    """It goes on meanwhile."""
    two = net({SIX: (STAGGER + 0.05, 0), FOUR: (1.0, 0)})
    assert two.dial(within=5.0).family == socket.AF_INET6
    assert len(two.tried) == 2
    assert len(left_open(two)) == 1


@pytest.mark.parametrize("after", [0.0, 0.05])
def test_a_refusal_starts_the_next_at_once(net: Nets, after: float) -> None:
    """Said by connect() itself, or a little later."""
    two = net({SIX: (after, errno.ECONNREFUSED), FOUR: (0.01, 0)})
    sock = two.dial(within=5.0)
    assert two.tried == [(0.0, SIX), (pytest.approx(after), FOUR)]
    assert left_open(two) == [sock]


def test_a_refusal_beside_another_attempt_starts_the_next_at_once(net: Nets) -> None:
    """The stagger is for addresses that say nothing."""
    three = net({SIX: (60.0, 0), OTHER_SIX: (0.1, 0), FOUR: (0.0, errno.ENETUNREACH)})
    three.dial(within=5.0)
    assert [address for _, address in three.tried] == [SIX, FOUR, OTHER_SIX]
    assert [round(when, 6) for when, _ in three.tried] == [0.0, STAGGER, STAGGER]


def test_a_system_without_ipv6_uses_the_other_family(net: Nets) -> None:
    """A socket that cannot be made is a failed attempt and not the end."""
    two = net({SIX: (0.1, 0), FOUR: (0.1, 0)})
    two.no_ipv6 = True
    assert two.dial(within=5.0).family == socket.AF_INET


def test_when_all_fail_the_last_error_is_raised(net: Nets) -> None:
    """With the system's words, and nothing left open."""
    two = net({SIX: (0.0, errno.ENETUNREACH), FOUR: (0.2, errno.ECONNREFUSED)})
    with pytest.raises(OSError, match="refused") as raised:
        two.dial(within=5.0)
    assert raised.value.errno == errno.ECONNREFUSED
    assert left_open(two) == []


def test_the_deadline_ends_the_race(net: Nets) -> None:
    """To the moment, with everything closed."""
    two = net({SIX: (60.0, 0), FOUR: (60.0, 0)})
    with pytest.raises(TimeoutError):
        two.dial(within=1.0)
    assert two.clock() - two.start == pytest.approx(1.0)
    assert left_open(two) == []
    assert two.selectors[0].closed


def test_without_a_deadline_the_slow_are_waited_for(net: Nets) -> None:
    """As long as one of them may still answer."""
    two = net({SIX: (100.0, errno.ETIMEDOUT), FOUR: (90.0, 0)})
    assert two.dial().family == socket.AF_INET
