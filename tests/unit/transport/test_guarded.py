"""httpcore's connections under asyncio's own cancellation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meshlib.transport.binding import Binding
from meshlib.transport.guarded import _Atomic
from meshlib.transport.pooling import Pooling

RESPONSE = [b"HTTP/1.1 200 OK\r\n", b"Content-Length: 2\r\n", b"\r\n", b"ok"]


@pytest.fixture
def pooling(binding: Binding) -> Pooling:
    """httpcore, then httpcore2."""
    return binding.pooling


def request(pooling: Pooling) -> Any:
    """A GET."""
    library = pooling.module
    return library.Request("GET", library.URL("http://10.0.0.1:80/"), headers=[("Host", "orders")])


def pool(pooling: Pooling, *more: bytes) -> Any:
    """A pool whose every connection answers the same."""
    return pooling.guarded(network_backend=pooling.module.AsyncMockBackend([*RESPONSE, *more]))


def test_requests_go_through_and_connections_are_reused(pooling: Pooling) -> None:
    """As in the library's own pool."""

    async def run() -> str:
        async with pool(pooling, *RESPONSE) as guarded:
            for _ in range(2):
                response = await guarded.handle_async_request(request(pooling))
                assert await response.aread() == b"ok"
                await response.aclose()
            return repr(guarded)

    shown = asyncio.run(run())
    assert "Requests: 0 active, 0 queued" in shown
    assert "Connections: 0 active, 1 idle" in shown


@pytest.mark.parametrize("turns", range(12))
def test_cancelled_at_every_turn_of_the_loop(pooling: Pooling, turns: int) -> None:
    """Wherever the task stands then, no request and no connection is forgotten."""

    async def work(guarded: Any) -> None:
        response = await guarded.handle_async_request(request(pooling))
        try:
            await response.aread()
        finally:
            await response.aclose()

    async def run() -> str:
        async with pool(pooling) as guarded:
            task = asyncio.ensure_future(work(guarded))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return repr(guarded)

    shown = asyncio.run(run())
    assert "Requests: 0 active, 0 queued" in shown
    assert "Connections: 0 active" in shown


def test_an_atomic_end_gives_the_loop_no_turn() -> None:
    """Mere yields are skipped, real waiting is not, and what is raised comes out."""
    log: list[str] = []

    async def yielding() -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        log.append("ended")

    async def waiting(future: asyncio.Future[Any]) -> None:
        await asyncio.sleep(0)
        log.append(f"woke with {await future}")
        raise LookupError

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(log.append, "turn")
        await _Atomic(yielding())
        assert log == ["ended"]
        future = loop.create_future()
        loop.call_soon(future.set_result, 7)
        with pytest.raises(LookupError):
            await _Atomic(waiting(future))

    asyncio.run(run())
    assert log == ["ended", "turn", "woke with 7"]
