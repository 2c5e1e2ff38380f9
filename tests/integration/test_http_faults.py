"""Every fault a peer can commit: a typed error in time, classified right, and counts that stay exact."""

from __future__ import annotations

import time
from typing import Any

import pytest

from meshlib.core.listener import Listener
from meshlib.core.outcome import Outcome
from meshlib.engine.attempt import Attempt
from meshlib.engine.call import Call
from meshlib.testing import Fault, FaultServer
from tests.integration.http_kit import LONG, Kit, Side, eventually, in_flight, uri

pytestmark = pytest.mark.integration

ALONE = {"retry": False, "breaker": False, "ejection": False, "attempt_timeout": 0.3, "connect_timeout": 0.2}


class Outcomes(Listener):
    """Keeps what each attempt was classified as."""

    def __init__(self) -> None:
        self.seen: list[Outcome] = []

    def attempt_finished(self, call: Call, attempt: Attempt, outcome: Outcome) -> None:
        """One more."""
        self.seen.append(outcome)


NETWORK = ("ReadError", "RemoteProtocolError")
FAULTS: dict[str, tuple[Any, tuple[str, ...], str, bool | None, str]] = {
    # name: fault, error, cause, retry_safe, delivered
    "refused": ("refuse", ("ConnectError",), "unsent", True, "no"),
    "blackhole": ("blackhole", ("ConnectTimeout",), "unsent", True, "no"),
    "reset before head": (Fault.reset_before_head(), NETWORK, "reset", None, "maybe"),
    "reset mid head": (Fault.reset_mid_head(), NETWORK, "reset", None, "maybe"),
    "reset mid body": (Fault.reset_mid_body(), NETWORK, "reset", None, "maybe"),
    "cut body": (Fault.cut_body(), ("RemoteProtocolError",), "reset", None, "maybe"),
    "cut chunks": (Fault.cut_body(chunked=True), ("RemoteProtocolError",), "reset", None, "maybe"),
    "half-close": (Fault.half_close(), ("RemoteProtocolError",), "reset", None, "maybe"),
    "garbage": (Fault.garbage(), ("RemoteProtocolError",), "reset", None, "maybe"),
    "endless headers": (Fault.endless_headers(), ("RemoteProtocolError",), "reset", None, "maybe"),
    "slow loris": (Fault.drip_head(0.05), ("ReadTimeout",), "timeout", None, "maybe"),
    "hang": (Fault.hang(), ("ReadTimeout",), "timeout", None, "maybe"),
    "lying length": (
        Fault.ok(body=b"short", headers={"Content-Length": "500"}, close=True),
        ("RemoteProtocolError",),
        "reset",
        None,
        "maybe",
    ),
    "no chunk": (
        Fault.garbage(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        ("RemoteProtocolError",),
        "reset",
        None,
        "maybe",
    ),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_typed_timely_and_counted(kit: Kit, name: str, method: str) -> None:
    """Within the attempt's timeout, by httpx's class; what is safe to repeat is known; nothing stays in flight."""
    fault, names, cause, retry_safe, delivered = FAULTS[name]
    error = tuple(getattr(kit.http, one) for one in names)
    outcomes = Outcomes()
    with (
        FaultServer() as server,
        kit.mesh({"orders": {"discovery": uri(server), **ALONE}}, listeners=[outcomes]) as mesh,
        kit.side("orders", mesh=mesh) as side,
    ):
        if isinstance(fault, str):
            getattr(server, fault)()
        else:
            server.behave(default=fault)
        for round_number in (1, 2):
            started = time.monotonic()
            with pytest.raises(error) as raised:
                side.request(method, "/", content=b"x" if method == "POST" else None)
            assert time.monotonic() - started < 0.3 + 0.4
            assert raised.value.request.method == method
            seen = outcomes.seen[-1]
            assert (seen.cause, seen.retry_safe, seen.delivered) == (cause, retry_safe, delivered)
            assert len(outcomes.seen) == round_number
        (node,) = side.runtime.services["orders"].clusters[""].nodes.values()
        assert (node.calls, node.failures, node.in_flight) == (2, 2, 0)
        if isinstance(fault, str):
            server.restore()
        else:
            server.wait_for_connections(0)
            server.behave(default=Fault.ok())
        assert side.get("/").status_code == 200
        assert (node.calls, node.failures, node.in_flight) == (3, 2, 0)


def warm(side: Side, server: FaultServer) -> None:
    """Leave one idle connection."""
    assert side.get("/").status_code == 200
    assert server.open_connections == 1


def test_idle_connections_closed_by_the_server_are_not_used(kit: Kit) -> None:
    """A close that has arrived is seen before anything is sent: no request is lost, no failure counted."""
    with FaultServer() as server, kit.side("orders", discovery=uri(server), policy=ALONE) as side:
        server.behave(default=Fault.close_idle())
        for number in range(1, 6):
            assert side.post("/", content=b"x").status_code == 200
            assert eventually(lambda: server.open_connections == 0)
            assert server.total_connections == number
        (node,) = side.runtime.services["orders"].clusters[""].nodes.values()
        assert node.failures == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_idle_connection_closed_at_the_worst_moment(kit: Kit, method: str) -> None:
    """The server takes the request and resets: repeated only if it may be, never sent twice otherwise."""
    policy = {"breaker": False, "ejection": False, "retry": {"wait": {"base": 0.001}}}
    with FaultServer() as server, kit.side("orders", discovery=uri(server), policy=policy) as side:
        warm(side, server)
        server.behave(Fault.reset_before_head())
        if method == "GET":
            assert side.get("/").status_code == 200
            assert len(server.requests) == 3
        else:
            with pytest.raises(kit.http.ReadError):
                side.post("/", content=b"x")
            assert len(server.requests) == 2
        assert in_flight(side.runtime) == 0


def test_many_idle_connections_lost_at_once(kit: Kit) -> None:
    """A restarted server: idempotent or not, no request fails once the listener is back."""
    policy = {"breaker": False, "ejection": False}
    with FaultServer() as server, kit.side("orders", discovery=uri(server), policy=policy) as side:
        server.behave(*[Fault.ok(body=LONG)] * 5)
        held = [side.open("GET", "/") for _ in range(5)]
        for response in held:
            side.read(response)
        assert server.open_connections == 5
        for _ in range(3):
            server.refuse()
            server.restore()
            assert side.post("/", content=b"x").status_code == 200
        assert in_flight(side.runtime) == 0


def test_responses_before_the_upload_is_read(kit: Kit) -> None:
    """A server that answers early and closes is an answer, not a failure."""
    with FaultServer() as server, kit.side("orders", discovery=uri(server), policy=ALONE) as side:
        server.behave(default=Fault.ok(413, b"too large", close=True))
        assert side.post("/", content=b"x" * 10).status_code == 413
        assert in_flight(side.runtime) == 0


def test_interim_and_empty_responses(kit: Kit) -> None:
    """204, 304 and HEAD have no body and leave the connection usable."""
    with FaultServer() as server, kit.side("orders", discovery=uri(server), policy=ALONE) as side:
        for status in (204, 304):
            server.behave(Fault.ok(status, b""))
            assert side.get("/").status_code == status
        assert side.request("HEAD", "/").headers["content-length"] == "2"
        assert side.get("/").text == "ok"
        assert server.total_connections == 1
