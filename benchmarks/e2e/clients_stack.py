"""What teams compose by hand today: a client with tenacity, aiobreaker, asyncio.timeout, prometheus_client and OpenTelemetry's
instrumentation, each used as its documentation says. No SDK is installed, as in meshlib's cells.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

from benchmarks.e2e.job import Job, short
from benchmarks.e2e.load import Client

__all__ = ["ASYNC"]


def _protected(
    send: Callable[[], Awaitable[int]], errors: tuple[type[Exception], ...]
) -> Callable[[], Awaitable[int]]:
    """`send` (which returns a status) with retries, a breaker, a deadline, and metrics."""
    from aiobreaker import CircuitBreaker
    from prometheus_client import Counter, Histogram
    from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    breaker: Any = CircuitBreaker(fail_max=5, timeout_duration=timedelta(seconds=5))
    calls = Counter("client_calls", "Calls.", ["service", "status"])
    durations = Histogram("client_call_seconds", "Duration of calls.", ["service"])

    @retry(
        stop=stop_after_attempt(3),
        wait=wait_random_exponential(multiplier=0.025, max=0.25),
        retry=retry_if_exception_type(errors),
        reraise=True,
    )
    async def attempts() -> int:
        status: int = await breaker.call_async(send)
        return status

    async def call() -> int:
        begin = time.perf_counter()
        async with asyncio.timeout(10):
            status = await attempts()
        durations.labels("orders").observe(time.perf_counter() - begin)
        calls.labels("orders", str(status)).inc()
        return status

    return call


@asynccontextmanager
async def _aiohttp_stack(job: Job) -> AsyncIterator[Client]:
    import aiohttp
    from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor

    AioHttpClientInstrumentor().instrument()
    url, size = job.url, job.size
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def send() -> int:
            async with session.get(url) as response:
                body = await response.read()
                if len(body) != size:
                    raise short(len(body), job)
                return response.status

        yield Client(_protected(send, (aiohttp.ClientConnectionError, TimeoutError)))


@asynccontextmanager
async def _httpx_stack(job: Job) -> AsyncIterator[Client]:
    import httpx
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    HTTPXClientInstrumentor().instrument()
    url, size = job.url, job.size
    async with httpx.AsyncClient() as client:

        async def send() -> int:
            response = await client.get(url)
            if len(response.content) != size:
                raise short(len(response.content), job)
            return response.status_code

        yield Client(_protected(send, (httpx.TransportError,)))


ASYNC: dict[str, Callable[[Job], AbstractAsyncContextManager[Client]]] = {
    "aiohttp stack": _aiohttp_stack,
    "httpx stack": _httpx_stack,
}
