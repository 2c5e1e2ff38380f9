"""A streamed download: how much memory it holds above what the process had before."""

from __future__ import annotations

import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from benchmarks.e2e.accounts import peak, reset_peak, resident
from benchmarks.e2e.clients_mesh import SERVICE, mesh_of
from benchmarks.e2e.job import Job, short

__all__ = ["run_download", "run_download_sync"]


@asynccontextmanager
async def _client(job: Job) -> AsyncIterator[Any]:
    if job.client == "httpx":
        import httpx

        async with httpx.AsyncClient(base_url=f"http://{job.addresses[0]}") as bare:
            yield bare
    else:
        from meshlib import AsyncClient

        with mesh_of(job, {"timeout": 60}) as mesh:
            async with AsyncClient(f"http://{SERVICE}", mesh=mesh) as client:
                yield client


@contextmanager
def _client_sync(job: Job) -> Iterator[Any]:
    from meshlib import Client

    with mesh_of(job, {"timeout": 60}) as mesh, Client(f"http://{SERVICE}", mesh=mesh) as client:
        yield client


async def run_download(job: Job) -> dict[str, float]:
    """One, after a smaller one that makes the process what it is."""
    async with _client(job) as client:

        async def got(path: str) -> int:
            count = 0
            async with client.stream("GET", path) as response:
                async for piece in response.aiter_bytes():
                    count += len(piece)
            return count

        await got("/1m")
        before = _before()
        count = await got(job.path)
        return _figures(job, count, before)


def run_download_sync(job: Job) -> dict[str, float]:
    """The same without asyncio."""
    with _client_sync(job) as client:

        def got(path: str) -> int:
            with client.stream("GET", path) as response:
                return sum(map(len, response.iter_bytes()))

        got("/1m")
        before = _before()
        count = got(job.path)
        return _figures(job, count, before)


def _before() -> tuple[float, float, float]:
    gc.collect()
    reset_peak()
    return resident(), time.process_time(), time.perf_counter()


def _figures(job: Job, count: int, before: tuple[float, float, float]) -> dict[str, float]:
    held, cpu, began = before
    if count != job.size:
        raise short(count, job)
    taken = time.perf_counter() - began
    return {
        "held": max(0.0, peak() - held),
        "cpu": (time.process_time() - cpu) * 1e6,
        "rate": count / taken / (1 << 20),
        "calls": 2,
    }
