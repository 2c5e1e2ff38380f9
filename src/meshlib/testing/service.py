"""A small well-behaved HTTP service in a process of its own: `python -m meshlib.testing.service --port 0 --name a`.

Prints one JSON line (`{"name", "host", "port", "pid"}`) once it listens, then answers `/health` and every other path
with JSON. `POST /_control?delay=0.2&fail=0.5&health=503` (from loopback only) makes it slow, failing or ill, and the
same with 0, 0, 200 well again. SIGTERM and SIGINT finish what is in flight and end it; so does the end of its
standard input when that is a pipe, which is how a parent's death is noticed, however it died.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import stat
import sys
from collections.abc import Callable
from random import Random
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

from meshlib.testing.behaviour import response_head
from meshlib.testing.received import BadRequestError, ReceivedRequest, RequestReader

__all__ = ["Service", "main"]

GRACE = 5.0
"""Seconds that requests in flight have to finish when the service is told to stop."""


class Service:
    """The state that all connections share: settings, counters, and whether it is going down. One event loop."""

    def __init__(self, name: str, *, seed: int | None = None) -> None:
        self.name = name
        self.delay: float = 0.0
        self.fail: float = 0.0
        self.health: int = 200
        self.served: int = 0
        self.draining = False
        self.connections: set[_Connection] = set()
        self.random: Callable[[], float] = Random(seed).random
        self._body = json.dumps({"name": name, "pid": os.getpid()}).encode()

    def settings(self) -> dict[str, Any]:
        """What `/_control` shows."""
        return {
            "name": self.name,
            "delay": self.delay,
            "fail": self.fail,
            "health": self.health,
            "served": self.served,
        }

    def answer(self, request: ReceivedRequest, peer: str) -> tuple[float, int, bytes]:
        """Delay in seconds, status, and JSON body for one request."""
        path = request.path
        if path == "/_control":
            status, text = self._control(request, peer)
            return 0.0, status, text
        if path == "/health":
            status = 503 if self.draining else self.health
            return 0.0, status, json.dumps({"status": "ok" if status == 200 else "ill"}).encode()
        self.served += 1
        if self.fail and self.random() < self.fail:
            return self.delay, 503, b'{"error": "failing as told"}'
        return self.delay, 200, self._body

    def _control(self, request: ReceivedRequest, peer: str) -> tuple[int, bytes]:
        # A page in a browser on this machine comes from loopback, too; it gives itself away by its Origin.
        if not _loopback(peer) or request.header("origin"):
            return 403, b'{"error": "only from this machine"}'
        if request.method not in ("GET", "POST"):
            return 405, b'{"error": "GET or POST"}'
        if request.method == "POST":
            try:
                self._set(dict(parse_qsl(request.target.partition("?")[2], strict_parsing=True)))
            except ValueError as error:
                return 400, json.dumps({"error": str(error)}).encode()
        return 200, json.dumps(self.settings()).encode()

    def _set(self, wanted: dict[str, str]) -> None:
        unknown = sorted(set(wanted) - {"delay", "fail", "health"})
        if unknown:
            raise ValueError(f"unknown setting {unknown[0]!r}: known are delay, fail, health")
        delay = float(wanted.get("delay", self.delay))
        fail = float(wanted.get("fail", self.fail))
        health = int(wanted.get("health", self.health))
        if not (0 <= delay <= 3600 and 0 <= fail <= 1 and 200 <= health <= 599):
            raise ValueError(
                "delay is 0 to 3600 seconds, fail a share from 0 to 1, health a status from 200 to 599"
            )
        self.delay, self.fail, self.health = delay, fail, health


def _loopback(peer: str) -> bool:
    return peer.removeprefix("::ffff:").startswith("127.") or peer == "::1"


class _Connection(asyncio.Protocol):
    """One client's connection: requests are answered one after the other, in order."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._reader = RequestReader()
        self._peer = ""
        self._transport: asyncio.Transport
        self._pending: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> bool:
        return self._pending is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peer = transport.get_extra_info("peername")[0]
        self._service.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._service.connections.discard(self)
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        if self._pending is None:
            self._work()

    def close(self) -> None:
        self._transport.close()

    def _work(self) -> None:
        while not self._transport.is_closing():
            try:
                request = self._reader.take()
            except BadRequestError as error:
                self._write(400, json.dumps({"error": str(error)}).encode(), close=True)
                return
            if request is None:
                if self._reader.wants_continue:
                    self._reader.continued()
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            delay, status, body = self._service.answer(request, self._peer)
            if delay:
                loop = asyncio.get_running_loop()
                self._pending = loop.call_later(delay, self._late, request, status, body)
                return
            self._finish(request, status, body)

    def _late(self, request: ReceivedRequest, status: int, body: bytes) -> None:
        self._pending = None
        self._finish(request, status, body)
        self._work()

    def _finish(self, request: ReceivedRequest, status: int, body: bytes) -> None:
        close = self._service.draining or not request.keep_alive
        self._write(status, b"" if request.method == "HEAD" else body, close=close, length=len(body))

    def _write(self, status: int, body: bytes, *, close: bool, length: int | None = None) -> None:
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body) if length is None else length)),
        ]
        if close:
            headers.append(("Connection", "close"))
        self._transport.write(response_head(status, headers) + body)
        if close:
            self._transport.close()


async def serve(service: Service, host: str, port: int) -> None:
    """Listen, say so on standard output, and serve until told to stop."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    server = await loop.create_server(lambda: _Connection(service), host, port, backlog=1024)
    _on_signals(loop, stop.set)
    _on_orphaned(lambda: loop.call_soon_threadsafe(stop.set))
    bound = server.sockets[0].getsockname()
    line = {"name": service.name, "host": bound[0], "port": bound[1], "pid": os.getpid()}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    await stop.wait()
    service.draining = True
    server.close()
    await asyncio.sleep(
        0.02
    )  # what the kernel has already taken in is read and answered with `Connection: close`
    await _drain(service)


async def _drain(service: Service) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + GRACE
    while service.connections and loop.time() < until:
        for connection in list(service.connections):
            if not connection.busy:
                connection.close()
        await asyncio.sleep(0.01)


def _on_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))


def _on_orphaned(stop: Callable[[], object]) -> None:
    """Call `stop` from a daemon thread when standard input, if it is a pipe or a socket, comes to its end.

    A terminal, a file and /dev/null say nothing about a parent. The read is of the bare descriptor: the lock of
    `sys.stdin` held by a daemon thread would abort the interpreter's shutdown.
    """
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return

    def read_to_the_end() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            stop()

    Thread(target=read_to_the_end, name="meshlib-service-parent", daemon=True).start()


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m meshlib.testing.service", description="A small HTTP service for demos and tests."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--name", default="service")
    parser.add_argument("--delay", default="0", help="seconds before every answer")
    parser.add_argument("--fail", default="0", help="share of answers that are 503, 0 to 1")
    parser.add_argument("--seed", type=int, help="makes the failures the same in every run")
    options = parser.parse_args(arguments)
    service = Service(options.name, seed=options.seed)
    try:
        service._set({"delay": options.delay, "fail": options.fail})
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(serve(service, options.host, options.port))
    except OSError as error:
        sys.stderr.write(f"cannot listen on {options.host}:{options.port}: {error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
