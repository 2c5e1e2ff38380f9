"""The clients that people use today, with nothing on. One connection pool, big enough for the load, otherwise their defaults.

Each is a context manager that yields a `load.Client`; what it needs is imported inside, because the process measures memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from itertools import cycle
from typing import Any

from benchmarks.e2e.job import Job, short
from benchmarks.e2e.load import Client

__all__ = ["ASYNC", "SYNC"]


@asynccontextmanager
async def _aiohttp(job: Job) -> AsyncIterator[Client]:
    import aiohttp

    url, size = job.url, job.size
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call() -> None:
            async with session.get(url) as response:
                body = await response.read()
                if len(body) != size or response.status != 200:
                    raise short(len(body), job)

        yield Client(call)


@asynccontextmanager
async def _pyreqwest(job: Job) -> AsyncIterator[Client]:
    from pyreqwest.client import ClientBuilder

    url, size = job.url, job.size
    async with ClientBuilder().build() as client:

        async def call() -> None:
            response = await client.get(url).build().send()
            body = await response.bytes()
            if len(body) != size or response.status != 200:
                raise short(len(body), job)

        yield Client(call)


def _httpx_like(family: str) -> Callable[[Job], AbstractAsyncContextManager[Client]]:
    @asynccontextmanager
    async def client_of(job: Job) -> AsyncIterator[Client]:
        from importlib import import_module

        module: Any = import_module(family)
        size, following = job.size, cycle(job.urls if len(job.addresses) > 3 else [job.url]).__next__
        most = max(100, job.in_flight, len(job.addresses))
        limits = module.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=120)
        async with module.AsyncClient(limits=limits) as client:

            async def call() -> None:
                response = await client.get(following())
                if len(response.content) != size or response.status_code != 200:
                    raise short(len(response.content), job)

            yield Client(call)

    return client_of


@contextmanager
def _httpx_sync(job: Job) -> Iterator[Client]:
    import httpx

    url, size = job.url, job.size
    with httpx.Client() as client:

        def call() -> None:
            response = client.get(url)
            if len(response.content) != size or response.status_code != 200:
                raise short(len(response.content), job)

        yield Client(call)


@contextmanager
def _urllib3(job: Job) -> Iterator[Client]:
    import urllib3

    url, size = job.url, job.size
    with urllib3.PoolManager(maxsize=max(10, job.in_flight)) as pool:

        def call() -> None:
            response = pool.request("GET", url)
            if len(response.data) != size or response.status != 200:
                raise short(len(response.data), job)

        yield Client(call)


ASYNC: dict[str, Callable[[Job], AbstractAsyncContextManager[Client]]] = {
    "aiohttp": _aiohttp,
    "pyreqwest": _pyreqwest,
    "httpx": _httpx_like("httpx"),
    "httpx2": _httpx_like("httpx2"),
}
SYNC: dict[str, Callable[[Job], AbstractContextManager[Client]]] = {"httpx": _httpx_sync, "urllib3": _urllib3}
