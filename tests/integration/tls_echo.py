"""A TLS server on loopback that answers each line with the SPIFFE ID of whoever sent it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

from meshlib.core.endpoint import Endpoint
from meshlib.security import spiffe_id_of
from meshlib.security.secured import Secured

__all__ = ["Echo", "aask", "ask", "presented"]


class Echo:
    """Serves `context` on an event loop of its own thread; `endpoint` is where."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(lambda *_: None)  # failed handshakes are what is tested
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=self._context)
        self.endpoint = Endpoint(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.02)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        who = str(spiffe_id_of(writer.get_extra_info("ssl_object")))
        try:
            while await reader.readline():
                writer.write(f"{who}\n".encode())
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    def __enter__(self) -> Echo:
        self._thread.start()
        assert self._started.wait(5.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5.0)


@contextlib.contextmanager
def connected(endpoint: Endpoint, secured: Secured) -> Iterator[ssl.SSLSocket]:
    """A checked blocking connection."""
    plain = socket.create_connection((endpoint.host, endpoint.port), 5.0)
    try:
        secure = secured.context.wrap_socket(
            plain, server_hostname=secured.server_hostname, session=secured.session
        )
    except BaseException:
        plain.close()
        raise
    with secure:
        secured.check(secure)
        yield secure


def ask(endpoint: Endpoint, secured: Secured) -> str:
    """Who the server says that we are, over a new blocking connection whose session is remembered."""
    with connected(endpoint, secured) as secure:
        secure.sendall(b"who\n")
        answer = secure.recv(500).decode().strip()
        secured.remember(secure)
        return f"{answer} again" if secure.session_reused else answer


async def aask(endpoint: Endpoint, secured: Secured) -> str:
    """The same from an event loop."""
    reader, writer = await asyncio.open_connection(
        endpoint.host, endpoint.port, ssl=secured.context, server_hostname=secured.server_hostname
    )
    try:
        secured.check(writer.get_extra_info("ssl_object"))
        writer.write(b"who\n")
        return (await reader.readline()).decode().strip()
    finally:
        writer.transport.abort()


def presented(endpoint: Endpoint, secured: Secured) -> bytes | None:
    """The server's certificate."""
    with connected(endpoint, secured) as secure:
        return secure.getpeercert(True)
