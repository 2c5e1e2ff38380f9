"""Addresses of a host that is called by name, for threads: a dead name server must not outlast the attempt.

`getaddrinfo` cannot be interrupted, so it runs in a daemon thread that is left behind when time is up.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from threading import Event, Thread
from typing import Any

__all__ = ["addresses", "literal"]


def addresses(host: str, port: int, timeout: float | None) -> list[tuple[Any, ...]]:
    """Socket addresses of `host`, in the system's order. Raises OSError, TimeoutError among them (seconds)."""
    if literal(host):
        return [(host, port)]
    if timeout is None:
        return _asked(host, port)
    found: list[Any] = []
    done = Event()

    def ask() -> None:
        try:
            found.append(_asked(host, port))
        except Exception as error:
            found.append(error)
        done.set()

    Thread(target=ask, name="meshlib-lookup", daemon=True).start()
    if not done.wait(timeout):
        raise TimeoutError(f"the address of {host} was not found in time")
    answer = found[0]
    if isinstance(answer, Exception):
        raise answer
    result: list[tuple[Any, ...]] = answer
    return result


def _asked(host: str, port: int) -> list[tuple[Any, ...]]:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host!r} is not a host name") from error
    return [answer[4][:2] for answer in answers]


def literal(host: str) -> bool:
    """Whether `host` is an address already."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
