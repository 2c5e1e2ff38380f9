"""Look-ups that cannot outlast their time."""

from __future__ import annotations

import socket
from threading import Event
from typing import Any

import pytest

from meshlib.transport import lookup


def test_literals_need_no_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked."""
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert lookup.addresses("10.0.0.1", 80, 1.0) == [("10.0.0.1", 80)]
    assert lookup.addresses("fe80::1%eth0", 80, None) == [("fe80::1%eth0", 80)]


def test_names_in_the_systems_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded or not; its errors come out."""

    def answer(host: str, port: int, **options: Any) -> list[Any]:
        if host == "missing":
            raise socket.gaierror(8, "not known")
        return [(2, 1, 6, "", ("10.0.0.2", port)), (10, 1, 6, "", ("::1", port, 0, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    for timeout in (None, 5.0):
        assert lookup.addresses("orders", 80, timeout) == [("10.0.0.2", 80), ("::1", 80)]
        with pytest.raises(OSError, match="not known"):
            lookup.addresses("missing", 80, timeout)


def test_a_dead_name_server_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up goes on in its daemon thread; the caller does not."""
    release = Event()

    def hang(host: str, port: int, **options: Any) -> list[Any]:
        release.wait(5.0)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(TimeoutError, match="orders"):
        lookup.addresses("orders", 80, 0.0)
    release.set()


def test_impossible_names_are_errors_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not UnicodeError, which nobody expects."""
    with pytest.raises(OSError, match="not a host name"):
        lookup.addresses("a" * 70 + ".example", 80, None)
