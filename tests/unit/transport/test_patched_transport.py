"""Patches below the clients."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import httpcore
import httpx
import pytest

from meshlib.transport.patched_transport import POOL, TRANSPORT, TransportWatch
from tests.unit.transport.test_patched import WAYS

PLACES: list[tuple[Any, bool, int]] = [
    (httpx.HTTPTransport, False, TRANSPORT),
    (httpcore.ConnectionPool, False, POOL),
    (httpcore.HTTPConnection, False, POOL),
    (httpx.AsyncHTTPTransport, True, TRANSPORT),
    (httpcore.AsyncConnectionPool, True, POOL),
    (httpcore.AsyncHTTPConnection, True, POOL),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("place", "asynchronous", "level"), PLACES)
def test_each_place_has_its_level(
    place: Any, asynchronous: bool, level: int, way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen when it comes, while it stays, and gone when it goes; the other kind of client is not concerned."""
    name = "handle_async_request" if asynchronous else "handle_request"
    watch, other = TransportWatch(httpx, asynchronous), TransportWatch(httpx, not asynchronous)
    assert watch.level() == 0
    with monkeypatch.context() as patch:
        patch.setattr(place, name, way(getattr(place, name)))
        assert [watch.level(), watch.level(), other.level()] == [level, level, 0]
    assert watch.level() == 0


def test_both_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracer above and a mock below."""
    watch = TransportWatch(httpx, False)
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda self, request: None)
    monkeypatch.setattr(httpcore.ConnectionPool, "handle_request", lambda self, request: None)
    assert watch.level() == TRANSPORT | POOL


def test_httpcore_is_watched_once_somebody_imports_it() -> None:
    """Watching imports nothing, and what is imported and patched later is seen."""
    program = """
import sys, httpx
from meshlib.transport.patched_transport import TransportWatch
watch = TransportWatch(httpx, False)
assert watch.level() == 0
assert "httpcore" not in sys.modules
import httpcore
assert watch.level() == 0
httpcore.ConnectionPool.handle_request = lambda self, request: None
assert watch.level() == 2
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
