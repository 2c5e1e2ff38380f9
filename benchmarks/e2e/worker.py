"""The process of one cell: `python -m benchmarks.e2e.worker '{...}'`. Prints its figures as one JSON line."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from benchmarks.e2e import clients_bare, clients_mesh, clients_stack
from benchmarks.e2e.accounts import resident
from benchmarks.e2e.job import Job
from benchmarks.e2e.load import Client, run_async, run_threads

ASYNC = {**clients_bare.ASYNC, **clients_stack.ASYNC, **clients_mesh.ASYNC}
SYNC = {**clients_bare.SYNC, **clients_mesh.SYNC}


async def _run(job: Job) -> dict[str, Any]:
    if job.kind == "pairs":
        from benchmarks.e2e.pairs import run_pairs

        return await run_pairs(job)
    if job.kind == "download":
        from benchmarks.e2e.download import run_download

        return await run_download(job)
    async with ASYNC[job.client](job) as client:
        figures: dict[str, Any] = await run_async(client, job.in_flight, job.warm, job.seconds)
        return {**figures, **_said(client)}


def _run_sync(job: Job) -> dict[str, Any]:
    if job.kind == "download":
        from benchmarks.e2e.download import run_download_sync

        return dict(run_download_sync(job))
    with SYNC[job.client](job) as client:
        figures: dict[str, Any] = run_threads(client, job.in_flight, job.warm, job.seconds)
        return {**figures, **_said(client)}


def _said(client: Client) -> dict[str, Any]:
    return {"rss": resident(), "about": "" if client.about is None else client.about()}


def main(told: str) -> dict[str, Any]:
    """Pin, run, report."""
    job = Job(json.loads(told))
    os.sched_setaffinity(0, {job.core})
    if job.loop == "threads":
        return _run_sync(job)
    if job.loop == "uvloop":
        import uvloop

        found: dict[str, Any] = uvloop.run(_run(job))
        return found
    return asyncio.run(_run(job))


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])), flush=True)
    # Some peers' native threads abort while the interpreter is taken down; the figures are out.
    os._exit(0)
