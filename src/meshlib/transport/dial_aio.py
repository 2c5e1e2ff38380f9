"""Connecting by name, for event loops: the same as `dial`, on any loop (uvloop's create_connection has no happy eyeballs)."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from meshlib.transport.dial import STAGGER, interleaved
from meshlib.transport.lookup import literal

__all__ = ["dial"]


async def dial(host: str, port: int) -> socket.socket | None:
    """A connected non-blocking socket, or None for an address, which the loop connects by itself.

    Raises OSError. Bounded by its caller's cancellation.
    """
    if literal(host):
        return None
    loop = asyncio.get_running_loop()
    try:
        answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host!r} is not a host name") from error
    found = [answer[4][:2] for answer in answers]
    if not found:
        raise OSError(f"{host} has no address")
    return await _race(interleaved(found))


async def _race(found: list[tuple[Any, ...]]) -> socket.socket:
    running: set[asyncio.Task[socket.socket]] = set()
    error: BaseException = OSError("no address")
    try:
        while found or running:
            if found:
                running.add(asyncio.ensure_future(_connected(found.pop(0))))
            done, running = await asyncio.wait(
                running, timeout=STAGGER if found else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                failed = task.exception()
                if failed is None:
                    running |= done - {task}
                    return task.result()
                error = failed
        raise error
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_close)


async def _connected(address: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        # asyncio sets it on the sockets that it makes itself.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _close(task: asyncio.Task[socket.socket]) -> None:
    """A loser that connected all the same."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
