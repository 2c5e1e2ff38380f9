"""Closed loops: so many calls in flight, each followed by the next, on an event loop or in threads.

Nothing is drained between warm-up and measurement: how a pool behaves depends on the state it has got into. CPU is the
process's, all threads included, over the calls that ended in the window.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.e2e.accounts import waited
from benchmarks.report import percentile

__all__ = ["Client", "run_async", "run_threads"]


class Client:
    """`call` sends one request and checks its answer. `ready` says whether warm-up has reached what it must reach; `about`
    is asked afterwards what carried the requests."""

    __slots__ = ("about", "call", "ready")

    def __init__(
        self,
        call: Callable[[], Any],
        ready: Callable[[], bool] | None = None,
        about: Callable[[], str] | None = None,
    ) -> None:
        self.call = call
        self.ready = ready
        self.about = about


class Window:
    """What was when the window opened and when it closed."""

    __slots__ = ("_latencies", "_marks")

    def __init__(self, latencies: list[float]) -> None:
        self._latencies = latencies
        self._marks: list[tuple[int, float, float, float]] = []

    def mark(self) -> None:
        """Now."""
        self._marks.append((len(self._latencies), time.process_time(), time.perf_counter(), waited()))

    def figures(self) -> dict[str, float]:
        """Microseconds, calls a second, and all calls that were made."""
        (first, cpu, began, queued), (last, cpu_end, ended, queued_end) = self._marks
        if last - first < 1:
            raise RuntimeError("no call ended while it was measured")
        within = self._latencies[first:last]
        return {
            "cpu": (cpu_end - cpu) / (last - first) * 1e6,
            "rate": (last - first) / (ended - began),
            "p50": percentile(within, 0.5) * 1e6,
            "p99": percentile(within, 0.99) * 1e6,
            "waited": (queued_end - queued) / (ended - began),
            "calls": len(self._latencies),
        }


async def run_async(client: Client, in_flight: int, warm: float, seconds: float) -> dict[str, float]:
    """On the running loop."""
    call: Callable[[], Awaitable[None]] = client.call
    latencies: list[float] = []
    append, clock, over = latencies.append, time.perf_counter, asyncio.Event()

    async def work() -> None:
        while not over.is_set():
            begin = clock()
            await call()
            append(clock() - begin)

    while client.ready is not None and not client.ready():
        for _ in range(500):
            begin = clock()
            await call()
            append(clock() - begin)
    window = Window(latencies)
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())
        await asyncio.sleep(warm)
        window.mark()
        await asyncio.sleep(seconds)
        window.mark()
        over.set()
    return window.figures()


def run_threads(client: Client, in_flight: int, warm: float, seconds: float) -> dict[str, float]:
    """In as many threads."""
    call = client.call
    latencies: list[float] = []
    failures: list[BaseException] = []
    append, clock, over = latencies.append, time.perf_counter, threading.Event()

    def work() -> None:
        try:
            while not over.is_set():
                begin = clock()
                call()
                append(clock() - begin)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(in_flight)]
    for thread in threads:
        thread.start()
    window = Window(latencies)
    time.sleep(warm)
    window.mark()
    time.sleep(seconds)
    window.mark()
    over.set()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return window.figures()
