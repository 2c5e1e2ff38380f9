"""What the lean wire's parts do with the kernel's own sockets; the rest is told by test_wire_*.py."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import httpx
import pytest

from meshlib import Client
from meshlib.testing import FaultServer
from meshlib.transport.dial import dial
from meshlib.transport.dial_aio import dial as async_dial

pytestmark = pytest.mark.integration


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that speaks IPv4 only: `localhost` may have two addresses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found: int = server.getsockname()[1]
    return found


def on_asyncio(made: Coroutine[Any, Any, Any]) -> Any:
    """The loop that everybody has."""
    return asyncio.run(made)


def on_uvloop(made: Coroutine[Any, Any, Any]) -> Any:
    """The one that fast applications run."""
    return pytest.importorskip("uvloop").run(made)


LOOPS = [on_asyncio, on_uvloop]
Loop = Callable[[Coroutine[Any, Any, Any]], Any]


def undelayed(sock: Any) -> bool:
    """Whether small pieces leave at once."""
    return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_threads_connect(port: int, host: str) -> None:
    """By name or address, whichever family answers."""
    with dial(host, port, time.monotonic() + 5.0, time.monotonic) as sock:
        assert sock.getpeername()[1] == port
        assert undelayed(sock)


def test_threads_race(port: int, closed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is noticed at once and the next address tried; no socket of the race stays open."""
    found: list[tuple[str, int]] = [("::1", closed), ("127.0.0.1", closed), ("127.0.0.1", port)]
    monkeypatch.setattr("meshlib.transport.dial.addresses", lambda host, port, timeout: list(found))
    started = time.monotonic()
    with dial("orders", port, started + 5.0, time.monotonic) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
    del found[2]
    with pytest.raises(OSError, match=r"refused|requested address"):
        dial("orders", port, started + 5.0, time.monotonic)
    assert time.monotonic() - started < 1.0


@pytest.mark.parametrize("run", LOOPS)
def test_loops_connect(port: int, run: Loop) -> None:
    """By name, on both loops; asyncio leaves the delay on for sockets that it did not make."""

    async def connected() -> None:
        sock = await async_dial("localhost", port)
        assert sock is not None
        with sock:
            assert sock.getpeername()[1] == port
            assert undelayed(sock)

    run(connected())


@pytest.mark.parametrize("run", LOOPS)
def test_loops_are_refused(closed: int, run: Loop) -> None:
    """By every address of the name, and at once."""

    async def refused() -> None:
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await async_dial("localhost", closed)

    started = time.monotonic()
    run(refused())
    assert time.monotonic() - started < 1.0


def test_connect_is_refused_from_our_own_client() -> None:
    """The short way of a plain request is no way around what the wire does not speak."""
    with (
        FaultServer() as server,
        Client("orders", discovery=f"static://{server.address}", policy={"wire": "lean"}) as client,
        pytest.raises(httpx.LocalProtocolError, match="CONNECT"),
    ):
        client.request("CONNECT", "/")
    assert not server.requests
