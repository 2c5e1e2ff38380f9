"""What both lean wires share: pools by node, how long connections live, and what becomes of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from meshlib.core.deadline import NEVER
from meshlib.transport.lean import seconds
from meshlib.transport.wire_lean import LeanWire
from tests.unit.transport.lean_kit import OK, FakeSocket, Rig, shut

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


@pytest.fixture
def rig(begun: Any, binding: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`rig(plan={}, **options)` gives a wire for threads over scripted sockets."""

    def make(plan: Any = None, **options: Any) -> Rig:
        limits = {"timeout": 10.0, "connect_timeout": 1.0, **(plan or {})}
        made = Rig(binding, begun(**limits).call.plan, **options)
        made.wire = LeanWire(binding, made.options, made.clock)
        monkeypatch.setattr("meshlib.transport.wire_lean.dial", made.dial)
        return made

    yield make
    shut()


def kept(value: str = "") -> bytes:
    """An answer that says something of keeping alive."""
    more = f"Keep-Alive: {value}\r\n" if value else ""
    return f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{more}\r\nok".encode()


def beside(rig: Rig) -> Any:
    """A streamed answer on a second connection: what may not be repeated avoids one that was idle for so long."""
    rig.clock.advance(3.0)
    request = rig.request("POST")
    return rig.wire.send(rig.attempt(request), request)


def open_after(rig: Rig, idle: float) -> bool:
    """Whether the connection of a first request is used again so much later."""
    rig.send()
    rig.clock.advance(idle)
    rig.bring(OK)
    rig.send()
    return len(rig.dialled) == 1


def test_no_timeout_is_forever() -> None:
    """None and not given, both."""
    assert seconds({"read": 1.5, "write": None}, "read") == 1.5
    assert seconds({"read": 1.5, "write": None}, "write") == NEVER
    assert seconds({}, "pool") == NEVER


# How long connections live.


@pytest.mark.parametrize(("after", "again"), [(54.9, True), (55.0, False)])
def test_an_idle_connection_lives_as_long_as_policy_says(rig: Any, after: float, again: bool) -> None:
    """Then it is closed and a new one made."""
    one = rig(idle=55.0)
    first = one.bring(OK, OK)
    assert open_after(one, after) is again
    assert (first.fileno() >= 0) is again


@pytest.mark.parametrize(("after", "again"), [(3.9, True), (4.0, False)])
def test_the_peers_own_bound_is_obeyed_minus_a_second(rig: Any, after: float, again: bool) -> None:
    """`Keep-Alive: timeout=5`."""
    one = rig(idle=55.0)
    one.bring(kept("timeout=5, max=100"), OK)
    assert open_after(one, after) is again


def test_the_peer_cannot_prolong(rig: Any) -> None:
    """Its bound is only ever a shorter one."""
    one = rig(idle=55.0)
    one.bring(kept("timeout=500"), OK)
    assert not open_after(one, 56.0)


def test_without_an_idle_bound(rig: Any) -> None:
    """None keeps connections as long as the peer does."""
    one = rig(idle=None)
    one.bring(OK, OK)
    assert open_after(one, 1e6)


@pytest.mark.parametrize(("after", "again"), [(29.0, True), (30.0, False)])
def test_a_busy_connection_grows_old_too(rig: Any, after: float, again: bool) -> None:
    """Its age counts from the day that it was made."""
    one = rig(max_age=lambda: 30.0)
    one.bring(OK, OK)
    assert open_after(one, after) is again


def test_no_more_are_kept_than_wanted(rig: Any) -> None:
    """`max_idle` 0 keeps none."""
    one = rig(max_idle=0)
    sock = one.bring(OK)
    one.send()
    assert one.counts == (0, 0)
    assert sock.fileno() == -1


def test_one_that_is_not_reusable_closes(rig: Any) -> None:
    """The server said so."""
    one = rig()
    sock = one.bring(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    one.send()
    assert one.counts == (0, 0)
    assert sock.fileno() == -1


def test_an_idle_connection_holds_on_to_no_body(rig: Any) -> None:
    """What was read belongs to the caller."""
    one = rig()
    one.bring(OK)
    response = one.send()
    (connection,) = one.pools[0].idle
    assert connection.core.parts == []
    assert response.read() == b"ok"


def test_sweeping_closes_what_is_over(rig: Any) -> None:
    """When another connection is made, at the latest."""
    one = rig(idle=5.0)
    first, second = one.bring(OK), FakeSocket(OK)
    one.send()
    one.wire.sweep()
    assert first.fileno() >= 0
    one.clock.advance(5.0)
    one.brings.append(second)
    one.wire.sweep()
    assert first.fileno() == -1
    one.send()
    assert one.counts == (1, 1)


def test_a_whole_answer_is_made_when_looked_at(rig: Any) -> None:
    """But for one that has to be decoded, which is the family's own business; both are read already or readable."""
    one = rig()
    one.bring(OK, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-encoding: identity\r\n\r\nok")
    lazy, ordinary = one.send(), one.send()
    assert (lazy.read(), ordinary.read()) == (b"ok", b"ok")
    assert isinstance(lazy, one.binding.lazy_response)
    assert not isinstance(ordinary, one.binding.lazy_response)


# Where they go.


@pytest.mark.parametrize(
    ("port", "url", "secured", "expected"),
    [
        (8080, "http://orders/", False, 8080),
        (0, "http://orders:81/", False, 81),
        (0, "http://orders/", False, 80),
        (0, "http://orders/", True, 443),
        (8080, "https://orders/", True, 8080),
    ],
)
def test_the_port(rig: Any, port: int, url: str, secured: bool, expected: int) -> None:
    """The endpoint's, else the URL's, else that of the protocol that is spoken."""
    one = rig({"port": port})
    one.bring(OK)
    if secured:
        one.wire.handshakes = SimpleNamespace(of=lambda attempt, request: Tls())
    one.send(url=url)
    assert [(host, port) for host, port, _ in one.dialled] == [("10.0.0.1", expected)]


class Tls:
    """A handshake that wraps nothing."""

    def __init__(self, version: int = 1) -> None:
        self.version = version
        self.server_hostname = "orders"
        self.session = None
        self.context = self
        self.remembered: list[Any] = []

    def wrap_socket(self, sock: Any, server_hostname: str, session: Any) -> Any:
        assert (server_hostname, session) == ("orders", None)
        return sock

    def check(self, connection: Any) -> None:
        """All are welcome."""

    def remember(self, connection: Any) -> None:
        self.remembered.append(connection)


def test_plain_and_secured_connections_are_kept_apart(rig: Any) -> None:
    """A request that is to be encrypted never travels in clear."""
    one = rig()
    one.bring(OK)
    one.send()
    one.wire.handshakes = SimpleNamespace(of=lambda attempt, request: Tls())
    one.bring(OK)
    one.send()
    assert len(one.dialled) == 2
    assert one.counts == (2, 2)


def test_after_a_rotation_connections_are_made_anew(rig: Any) -> None:
    """The one of the old identity closes when it is looked at, the one in use when it comes back."""
    one = rig()
    tls = Tls(1)
    one.wire.handshakes = SimpleNamespace(of=lambda attempt, request: tls)
    idle, busy = one.bring(OK), one.bring(HEAD)
    one.send()
    response = beside(one)
    tls = Tls(2)
    one.bring(OK)
    one.send()
    assert idle.fileno() == -1
    busy.far.send(b"ok")
    assert b"".join(response.stream) == b"ok"
    response.close()
    assert busy.fileno() == -1
    assert one.counts == (1, 1)


# The bounds of connecting and waiting.


@pytest.mark.parametrize(
    ("timeout", "plan", "expected"),
    [
        ({}, {}, 1.0),
        ({"connect": None}, {}, 1.0),
        ({"connect": 0.3}, {}, 0.3),
        ({"connect": 50.0}, {}, 1.0),
        ({}, {"connect_timeout": 500.0, "timeout": 7.0}, 7.0),
    ],
)
def test_connecting_is_bounded(rig: Any, timeout: Any, plan: Any, expected: float) -> None:
    """By policy, by the request where it wants less, and by the attempt."""
    one = rig(plan)
    one.bring(OK)
    one.send(timeout=timeout)
    assert one.dialled[0][2] == pytest.approx(expected)


@pytest.mark.parametrize(("timeout", "expected"), [({}, 10.0), ({"pool": 0.5}, 0.5), ({"pool": 50.0}, 10.0)])
def test_waiting_for_a_connection_is_bounded(
    rig: Any, monkeypatch: pytest.MonkeyPatch, timeout: Any, expected: float
) -> None:
    """By the request, and by the attempt; then it is the family's PoolTimeout, and nobody stands in line any more."""
    one = rig(max_connections=1)
    one.bring(HEAD)
    request = one.request()
    response = one.wire.send(one.attempt(request), request)
    waited: list[float] = []
    monkeypatch.setattr(
        "meshlib.transport.wire_lean.wait", lambda turn, clock: waited.append(turn.until - clock())
    )
    with pytest.raises(one.binding.module.PoolTimeout, match="no connection became free in time"):
        one.send(timeout=timeout)
    assert waited == [pytest.approx(expected)]
    response.close()
    assert one.counts == (0, 0)


# The end.


def test_a_node_that_is_gone(rig: Any) -> None:
    """Its idle connections close now, those in use when their exchange ends."""
    one = rig()
    idle, busy = one.bring(OK), one.bring(HEAD)
    one.send()
    response = beside(one)
    (pool,) = one.pools
    for _ in range(2):
        one.wire.drop(one.node)
    assert one.pools == []
    assert (idle.fileno(), busy.fileno() >= 0) == (-1, True)
    busy.far.send(b"ok")
    assert b"".join(response.stream) == b"ok"
    response.close()
    assert busy.fileno() == -1
    assert (pool.open, len(pool.idle)) == (0, 0)


def test_a_closed_wire_keeps_nothing(rig: Any) -> None:
    """It still serves the calls that have it."""
    one = rig()
    idle = one.bring(OK)
    one.send()
    one.wire.close()
    assert idle.fileno() == -1
    late = one.bring(OK)
    assert one.send().status_code == 200
    assert late.fileno() == -1
    assert one.counts == (0, 0)


def test_a_pool_made_after_the_end_keeps_nothing_either(rig: Any) -> None:
    """A redirect of a call that began before."""
    one = rig()
    one.wire.close()
    sock = one.bring(OK)
    assert one.send().status_code == 200
    assert sock.fileno() == -1


def test_the_child_of_a_fork_makes_its_own(rig: Any) -> None:
    """The parent's connections are let go of without a word; open bodies give back no lease of the parent's."""
    one = rig()
    sock = one.bring(OK)
    one.send()
    os_level = os.dup(sock.near.fileno())
    one.wire.after_in_child()
    assert one.wire.bodies.forked
    assert one.pools == []
    assert sock.fileno() >= 0
    os.close(os_level)
    one.bring(OK)
    assert one.send().status_code == 200
