"""Control-path HTTP against a loopback server that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from meshlib.errors import DiscoveryError
from meshlib.world.http import Http

pytestmark = pytest.mark.integration

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def against(answer: bytes, pause: float = 0.0, *, hang: bool = False) -> Serve:
    """A server that reads a head, sends bytes one part at a time, and closes or hangs."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for part in answer.split(b"|"):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            if hang:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return serve


async def use(serve: Serve, work: Callable[[Http, str], Awaitable[object]]) -> object:
    """One client against one server."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    http = Http()
    try:
        port = server.sockets[0].getsockname()[1]
        return await work(http, f"http://user:pw@127.0.0.1:{port}/v1/x?token=secret")
    finally:
        await http.close()
        server.close()
        await asyncio.sleep(0.02)


def test_reply_whole_whatever_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """And environment proxies are not used."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    answer = b"HTTP/1.1 404 x\r\nX-Index: 7\r\ncontent-length: 4\r\n\r\n|go|ne"
    reply = asyncio.run(use(against(answer), lambda http, url: http.fetch(url)))
    assert (reply.status, reply.headers["x-index"], reply.body) == (404, "7", b"gone")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\nhalf"]
)
def test_broken_answer_is_a_discovery_error(answer: bytes) -> None:
    """Without query and userinfo in its text."""
    with pytest.raises(DiscoveryError) as caught:
        asyncio.run(use(against(answer), lambda http, url: http.fetch(url)))
    assert "/v1/x" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_dripping_answer_does_not_stretch_the_timeout() -> None:
    """Head and body together."""
    drip = b"HTTP/1.1 200 x\r\ncontent-length: 100\r\n\r\n" + b"|x" * 100
    loop_time: list[float] = []

    async def work(http: Http, url: str) -> None:
        start = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await http.fetch(url, timeout=0.3)
        loop_time.append(asyncio.get_running_loop().time() - start)

    asyncio.run(use(against(drip, 0.05), work))
    assert loop_time[0] < 0.6


def test_refused_and_unusable() -> None:
    """DiscoveryError, whatever httpx calls it."""

    async def work(http: Http, url: str) -> None:
        for wrong in ("http://127.0.0.1:1/", "nonsense://x", "http://[::1", ""):
            with pytest.raises(DiscoveryError):
                await http.fetch(wrong)

    asyncio.run(use(against(b""), work))


def test_stream_gives_chunks_and_ends() -> None:
    """As the server sends them."""
    answer = b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n|2\r\nab\r\n|1\r\nc\r\n|0\r\n\r\n"

    async def work(http: Http, url: str) -> bytes:
        return b"".join([chunk async for chunk in http.stream(url)])

    assert asyncio.run(use(against(answer, 0.01), work)) == b"abc"


def test_silent_stream_is_a_timeout_and_a_bad_status_an_error() -> None:
    """A watch that hangs is started again."""
    head = b"HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\n|x"

    async def read(http: Http, url: str) -> None:
        async for _ in http.stream(url, idle=0.1):
            pass

    with pytest.raises(TimeoutError, match="silent"):
        asyncio.run(use(against(head, hang=True), read))
    with pytest.raises(DiscoveryError, match="answered 503"):
        asyncio.run(use(against(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n"), read))
