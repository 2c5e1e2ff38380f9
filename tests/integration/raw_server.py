"""RawServer: a TCP server that says exactly the bytes it is told to, for tests that look at the wire itself."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.integration.http_kit import eventually

__all__ = ["OK", "Peer", "RawServer", "Script", "answering", "deaf", "framed"]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """One accepted connection, used by its script's thread; `received` holds all that has come."""

    def __init__(self, sock: Any, number: int, requests: list[bytes], stopped: threading.Event) -> None:
        self.sock = sock
        self.number = number
        self.received = bytearray()
        self.requests = requests
        self.stopped = stopped
        self.closed = False
        self._taken = 0

    def head(self) -> bytes:
        """The next request's head, as it came; empty when the client has closed."""
        while (end := self.received.find(b"\r\n\r\n", self._taken)) < 0:
            if not self.more():
                return b""
        return bytes(self.received[self._taken : end + 4])

    def request(self) -> bytes:
        """The next request to its last byte, as it came; empty when the client has closed."""
        head = self.head()
        if not head:
            return b""
        end = self._taken + len(head)
        while (last := _end(head, self.received, end)) < 0:
            if not self.more():
                return b""
        request = bytes(self.received[self._taken : last])
        self._taken = last
        self.requests.append(request)
        return request

    def more(self) -> bool:
        """Read on; False at the end."""
        try:
            data = self.sock.recv(65536)
        except OSError:
            return False
        self.received += data
        return bool(data)

    def gone(self) -> None:
        """Read until the client has left."""
        while self.more():
            pass

    def send(self, *pieces: bytes, pause: float = 0.0) -> bool:
        """Send these; False when the client has left."""
        try:
            for piece in pieces:
                self.sock.sendall(piece)
                if pause:
                    time.sleep(pause)
        except OSError:
            return False
        return True

    def drip(self, data: bytes, interval: float) -> None:
        """A byte at a time."""
        for position in range(len(data)):
            if not self.send(data[position : position + 1], pause=interval):
                return

    def flood(self, piece: bytes) -> None:
        """The same piece for ever, as fast as it goes."""
        while self.send(piece):
            pass

    def finish(self) -> None:
        """FIN, reading goes on."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def reset(self) -> None:
        """RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """FIN, or RST when something of the client's was not read."""
        self.sock.close()
        self.closed = True


Script = Callable[[Peer], None]


class RawServer:
    """Listens on 127.0.0.1; every connection runs `script(peer)` in a thread of its own and is closed after it.

    `tls` wraps connections first (a failed handshake runs no script); `window` is the receive buffer's size in bytes.
    `requests` lists the whole ones of all connections, as they came.
    """

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None, window: int = 0) -> None:
        self.script = script
        self.peers: list[Peer] = []
        self.requests: list[bytes] = []
        self._tls = tls
        self._stopped = threading.Event()
        self._listener = socket.socket()
        if window:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def address(self) -> str:
        """`127.0.0.1:41231`."""
        return f"127.0.0.1:{self.port}"

    @property
    def received(self) -> bytes:
        """Every byte that came on any connection."""
        return b"".join(bytes(peer.received) for peer in self.peers)

    @property
    def open(self) -> int:
        """Connections whose script still runs."""
        return sum(not peer.closed for peer in self.peers)

    def settled(self, connections: int = 0) -> bool:
        """Whether soon no more than so many scripts run: those that read to the end notice that the client has left."""
        return eventually(lambda: self.open <= connections)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(sock, len(self.peers), self.requests, self._stopped)
            self.peers.append(peer)
            thread = threading.Thread(target=self._serve, args=(peer,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, peer: Peer) -> None:
        try:
            if self._tls is None or self._shaken(peer, self._tls):
                self.script(peer)
        except OSError:
            pass
        finally:
            peer.close()

    def _shaken(self, peer: Peer, context: ssl.SSLContext) -> bool:
        """Hands; else the client is given the time to read the alert that says why."""
        tls = context.wrap_socket(peer.sock.dup(), server_side=True, do_handshake_on_connect=False)
        try:
            tls.do_handshake()
        except OSError:
            tls.close()
            peer.finish()
            while peer.sock.recv(65536):
                pass
            return False
        peer.sock.close()
        peer.sock = tls
        return True

    def __enter__(self) -> RawServer:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for sock in (self._listener, *(peer.sock for peer in self.peers if not peer.closed)):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(5.0)
        self._listener.close()


def answering(*answers: bytes) -> Script:
    """One answer a request of a connection, the last one again and again."""

    def script(peer: Peer) -> None:
        number = 0
        while peer.request():
            peer.send(answers[min(number, len(answers) - 1)])
            number += 1

    return script


def deaf(peer: Peer) -> None:
    """Read the head and then no more, as long as the server runs."""
    peer.head()
    peer.stopped.wait(10)


def framed(body: bytes | Iterable[bytes], *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """A response: bytes are counted, anything else comes in chunks."""
    head = [b"HTTP/1.1 " + status, *fields]
    if isinstance(body, bytes):
        return b"\r\n".join([*head, b"Content-Length: %d" % len(body), b"", body])
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in body)
    return b"\r\n".join([*head, b"Transfer-Encoding: chunked", b"", chunks]) + b"0\r\n\r\n"


def _end(head: bytes, data: bytearray, start: int) -> int:
    """Where the body ends that begins at `start`; -1 while it is not whole."""
    length = 0
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"transfer-encoding":
            return _end_of_chunks(data, start)
        if name == b"content-length":
            length = int(value)
    return start + length if len(data) >= start + length else -1


def _end_of_chunks(data: bytearray, start: int) -> int:
    while (line := data.find(b"\r\n", start)) >= 0:
        size = int(data[start:line], 16)
        start = line + 2 + size + 2
        if not size:
            return start if len(data) >= start else -1
        if len(data) < start:
            return -1
    return -1
