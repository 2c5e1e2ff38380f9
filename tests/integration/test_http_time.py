"""Time over HTTP: every bound is a true one, whatever the server does to stretch it."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from meshlib.errors import DeadlineExceededError
from meshlib.runtime import deadline
from meshlib.testing import Fault, FaultServer, Services
from tests.integration.http_kit import EACH_WIRE, Kit, in_flight, uri

pytestmark = pytest.mark.integration

ALONE = {"retry": False, "breaker": False, "ejection": False}
SLACK = 0.35
"""What a busy machine may add to a bound, in seconds; the faults below last far longer."""


def taken(act: Callable[[], Any], error: type[BaseException] | tuple[type[BaseException], ...]) -> float:
    """How long `act` takes to raise."""
    started = time.monotonic()
    with pytest.raises(error):
        act()
    return time.monotonic() - started


STRETCHED = {
    "dripping head": Fault.drip_head(0.05),
    "dripping body": Fault.drip_body(0.05),
    "dripping chunks": Fault.drip_body(0.05, chunked=True),
    "hang": Fault.hang(),
    "slow body": Fault.slow_body(3.0),
    "endless headers": Fault.endless_headers(0.02),
    "late": Fault.ok(delay=3.0),
}


@EACH_WIRE
@pytest.mark.parametrize("fault", STRETCHED)
def test_buffered_attempts_end_in_time(kit: Kit, fault: str) -> None:
    """To the last byte: 0.25 s are 0.25 s."""
    policy = {**ALONE, "attempt_timeout": 0.25}
    with FaultServer() as server, kit.side("orders", discovery=uri(server), policy=policy) as side:
        server.behave(default=STRETCHED[fault])
        seconds = taken(lambda: side.get("/"), (kit.http.ReadTimeout, kit.http.RemoteProtocolError))
        assert 0.2 < seconds < 0.25 + SLACK
        assert in_flight(side.runtime) == 0
        server.wait_for_connections(0)


@EACH_WIRE
@pytest.mark.parametrize("fault", ["dripping head", "hang", "endless headers"])
def test_streamed_attempts_have_their_head_in_time(kit: Kit, fault: str) -> None:
    """The same bound, up to the head."""
    policy = {**ALONE, "attempt_timeout": 0.25}
    with FaultServer() as server, kit.side("orders", discovery=uri(server), policy=policy) as side:
        server.behave(default=STRETCHED[fault])
        seconds = taken(lambda: side.open("GET", "/"), (kit.http.ReadTimeout, kit.http.RemoteProtocolError))
        assert 0.2 < seconds < 0.25 + SLACK
        assert in_flight(side.runtime) == 0


def test_streamed_bodies_outlive_the_attempt(kit: Kit) -> None:
    """After the head only the read timeout between chunks counts."""
    policy = {**ALONE, "attempt_timeout": 0.2}
    with FaultServer() as server, kit.side("orders", discovery=uri(server), policy=policy) as side:
        server.behave(default=Fault.drip_body(0.1, body=b"12345"))
        response = side.open("GET", "/")
        assert side.read(response) == b"12345"
        server.behave(default=Fault.slow_body(3.0))
        response = side.open("GET", "/", timeout=kit.http.Timeout(5, read=0.2))
        assert 0.15 < taken(lambda: side.read(response), kit.http.ReadTimeout) < 0.2 + SLACK
        assert in_flight(side.runtime) == 0


@EACH_WIRE
def test_stream_timeout_bounds_the_whole_body(kit: Kit) -> None:
    """Chunks that keep coming do not stretch it."""
    policy = {**ALONE, "stream_timeout": 0.3}
    with FaultServer() as server, kit.side("orders", discovery=uri(server), policy=policy) as side:
        server.behave(default=Fault.drip_body(0.05))
        response = side.open("GET", "/")
        assert 0.2 < taken(lambda: side.read(response), kit.http.ReadTimeout) < 0.3 + SLACK
        assert in_flight(side.runtime) == 0


@EACH_WIRE
def test_uploads_are_bounded(kit: Kit) -> None:
    """A server that does not read holds nobody up."""
    policy = {**ALONE, "attempt_timeout": 0.25}
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        where = f"static://127.0.0.1:{deaf.getsockname()[1]}"
        with kit.side("orders", discovery=where, policy=policy) as side:
            seconds = taken(lambda: side.post("/", content=b"x" * 20_000_000), kit.http.TimeoutException)
            assert 0.2 < seconds < 0.25 + SLACK
            assert in_flight(side.runtime) == 0


@EACH_WIRE
@contextmanager
def firehose() -> Iterator[int]:
    """A port where every answer goes on for ever, in small pieces without a pause."""

    def pour(listening: socket.socket) -> None:
        with suppress(OSError), listening.accept()[0] as peer:
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            while True:
                peer.sendall(b"x" * 64)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=pour, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1]
    thread.join(5)


def test_a_firehose_is_bounded(kit: Kit) -> None:
    """A read that never waits does not stretch the attempt either."""
    policy = {**ALONE, "attempt_timeout": 0.2}
    with (
        firehose() as port,
        kit.side("orders", discovery=f"static://127.0.0.1:{port}", policy=policy) as side,
    ):
        assert 0.15 < taken(lambda: side.get("/"), kit.http.ReadTimeout) < 0.2 + SLACK
        assert in_flight(side.runtime) == 0


def test_blackholed_connects_take_the_connect_timeout(kit: Kit) -> None:
    """And the next instance is tried, whatever the method."""
    policy = {"connect_timeout": 0.2, "breaker": False, "ejection": False}
    with Services(2) as services, kit.side("orders", discovery=services.uri, policy=policy) as side:
        services[0].blackhole()
        slow = 0
        for _ in range(6):
            started = time.monotonic()
            response = side.post("/", content=b"x")
            assert response.status_code == 200
            first = response.extensions["meshlib"]["attempts"][0]
            if first.address == services[0].address:
                slow += 1
                assert (first.cause, first.text) == ("unsent", "connect timed out")
                assert 0.15 < time.monotonic() - started < 0.2 + SLACK
        assert slow
    alone = {**ALONE, "connect_timeout": 0.2}
    with Services(1) as services, kit.side("orders", discovery=services.uri, policy=alone) as side:
        services[0].blackhole()
        assert 0.15 < taken(lambda: side.get("/"), kit.http.ConnectTimeout) < 0.2 + SLACK


@contextmanager
def slow_handshake(interval: float) -> Iterator[int]:
    """A port where a TLS handshake drips: plausible record bytes, one at a time."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            conns = []
            try:
                while True:
                    conn, _ = listening.accept()
                    conns.append(conn)
                    for byte in b"\x16\x03\x03\x40\x00" + b"\x02\x00\x3f\xfc" + b"\x03" * 200:
                        conn.send(bytes([byte]))
                        time.sleep(interval)
            except OSError:
                pass
            finally:
                for conn in conns:
                    conn.close()

        worker = threading.Thread(target=drip, daemon=True)
        worker.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
    worker.join(5.0)


@EACH_WIRE
def test_slow_handshakes_take_the_connect_timeout(kit: Kit) -> None:
    """From the first byte to the last, not for each of them."""
    policy = {**ALONE, "connect_timeout": 0.25}
    with (
        slow_handshake(0.02) as port,
        kit.side(
            "https://orders", discovery=f"static://127.0.0.1:{port}", policy=policy, verify=False
        ) as side,
    ):
        assert 0.2 < taken(lambda: side.get("/"), kit.http.ConnectTimeout) < 0.25 + SLACK
        assert in_flight(side.runtime) == 0


@EACH_WIRE
def test_deadline_bounds_all_attempts(kit: Kit) -> None:
    """Retries included: the error says when and lists them."""
    policy = {"breaker": False, "ejection": False, "attempt_timeout": 0.15}
    with Services(2) as services, kit.side("orders", discovery=services.uri, policy=policy) as side:
        for server in services:
            server.behave(default=Fault.hang())
        started = time.monotonic()
        with pytest.raises(DeadlineExceededError) as raised:
            side.get("/", timeout=0.4)
        assert 0.35 < time.monotonic() - started < 0.4 + SLACK
        assert isinstance(raised.value, kit.http.TimeoutException)
        assert re.search(r"deadline 0\.(4|39\d*) s", str(raised.value))
        assert 2 <= len(raised.value.attempts) <= 3
        assert in_flight(side.runtime) == 0


@EACH_WIRE
def test_auto_attempts_leave_time_for_another(kit: Kit) -> None:
    """Half of what is left: one hung instance does not eat the call."""
    with Services(2) as services, kit.side("orders", discovery=services.uri, timeout=0.6) as side:
        services[0].behave(default=Fault.hang())
        for _ in range(4):
            assert side.get("/").status_code == 200


@EACH_WIRE
@pytest.mark.parametrize("how", ["client", "call", "attribute", "policy"])
def test_numbers_are_whole_call_deadlines(kit: Kit, how: str) -> None:
    """Wherever they are given."""
    options: dict[str, Any] = {"timeout": 0.2} if how == "client" else {}
    policy = {**ALONE, "timeout": 0.2} if how == "policy" else ALONE
    with (
        FaultServer() as server,
        kit.side("orders", discovery=uri(server), policy=policy, **options) as side,
    ):
        server.behave(default=Fault.drip_body(0.03))
        if how == "attribute":
            side.client.timeout = 0.2
            assert side.client.timeout == kit.http.Timeout(None)
        call = {"timeout": 0.2} if how == "call" else {}
        assert 0.15 < taken(lambda: side.get("/", **call), DeadlineExceededError) < 0.2 + SLACK


def test_httpx_timeouts_keep_their_meaning(kit: Kit) -> None:
    """Per operation; the deadline stays the policy's, also where the client has a number."""
    with (
        FaultServer() as server,
        kit.side(
            "orders", discovery=uri(server), policy=ALONE, timeout=kit.http.Timeout(5, read=0.15)
        ) as side,
    ):
        server.behave(default=Fault.drip_body(0.05, body=b"123456"))
        assert side.get("/").content == b"123456"
        server.behave(default=Fault.hang())
        assert 0.1 < taken(lambda: side.get("/"), kit.http.ReadTimeout) < 0.15 + SLACK
        assert side.client.timeout.read == 0.15
        side.client.timeout = 0.1
        server.behave(default=Fault.ok(delay=0.25))
        assert taken(lambda: side.get("/"), DeadlineExceededError) < 0.1 + SLACK
        assert side.get("/", timeout=kit.http.Timeout(5)).status_code == 200
        assert side.get("/", timeout=None).status_code == 200


@EACH_WIRE
def test_none_is_no_deadline(kit: Kit) -> None:
    """Not even the policy's."""
    with (
        FaultServer() as server,
        kit.side("orders", discovery=uri(server), policy={**ALONE, "timeout": 0.1}, timeout=None) as side,
    ):
        server.behave(default=Fault.ok(delay=0.3))
        assert side.get("/").status_code == 200
        assert taken(lambda: side.get("/", timeout=0.05), DeadlineExceededError) < 0.05 + SLACK


@pytest.mark.parametrize("wrong", ["2", True, [1]])
def test_nonsense_is_refused(kit: Kit, wrong: Any) -> None:
    """Instead of meaning no timeout."""
    with pytest.raises(TypeError, match="timeout takes seconds"):
        kit.made("orders", discovery="static://127.0.0.1:1", timeout=wrong)
    with pytest.raises(ValueError, match="from 0 up"):
        kit.made("orders", discovery="static://127.0.0.1:1", timeout=-1)


@EACH_WIRE
def test_ambient_deadline_bounds_calls(kit: Kit) -> None:
    """The nearest one holds, and calls after the block are free of it."""
    with FaultServer() as server, kit.side("orders", discovery=uri(server), policy=ALONE) as side:
        server.behave(default=Fault.ok(delay=0.3))

        async def inside() -> None:
            async with deadline(0.1):
                await side.client.get("/")

        def block() -> None:
            if kit.kind == "async":
                side.run(inside())
            else:
                with deadline(0.1):
                    side.get("/")

        assert 0.05 < taken(block, DeadlineExceededError) < 0.1 + SLACK
        assert side.get("/").status_code == 200


def test_expired_deadline_sends_nothing(kit: Kit) -> None:
    """And the error is safe to repeat."""
    with FaultServer() as server, kit.side("orders", discovery=uri(server)) as side:
        with pytest.raises(DeadlineExceededError) as raised:
            side.get("/", timeout=0)
        assert raised.value.delivered == "no"
        assert server.requests == []


def test_callers_own_timeout_is_not_ours(kit: Kit) -> None:
    """asyncio.timeout around a call raises the caller's TimeoutError, and the node is not blamed."""
    if kit.kind == "sync":
        pytest.skip("threads cannot be interrupted")
    with FaultServer() as server, kit.side("orders", discovery=uri(server), policy=ALONE) as side:
        server.behave(default=Fault.hang())

        async def bounded() -> None:
            async with asyncio.timeout(0.1):
                await side.client.get("/", timeout=0.5)

        with pytest.raises(TimeoutError) as raised:
            side.run(bounded())
        assert not isinstance(raised.value, kit.http.HTTPError)
        (node,) = side.runtime.services["orders"].clusters[""].nodes.values()
        assert (node.failures, node.in_flight) == (0, 0)


def test_foreign_clients_bring_their_own_timeouts(kit: Kit) -> None:
    """On `mesh.transport()` httpx's four are honoured, and the deadline is the policy's."""
    with FaultServer() as server:
        server.behave(default=Fault.hang())
        with kit.mesh({"orders": {"discovery": uri(server), **ALONE, "timeout": 0.5}}) as mesh:
            transport = kit.transport(mesh)
            with kit.side(plain=True, transport=transport) as side:
                short = taken(lambda: side.get("http://orders/", timeout=0.15), kit.http.ReadTimeout)
                assert 0.1 < short < 0.15 + SLACK
                longer = taken(lambda: side.get("http://orders/", timeout=None), DeadlineExceededError)
                assert 0.4 < longer < 0.5 + SLACK
