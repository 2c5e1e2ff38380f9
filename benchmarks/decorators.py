"""Decorators: what a decorated call costs above the bare one, and how breakers behave when calls come together.

    python -m benchmarks.decorators            both tables
    python -m benchmarks.decorators --gate     exit 1 above twice the target (headroom for a noisy machine)

Rows of libraries that are not installed are left out: pip install stamina pybreaker aiobreaker purgatory circuitbreaker
(tenacity comes with meshlib). All candidates of a table take turns in short rounds, because a machine's speed drifts by more
than the differences; a figure is the median of the rounds' differences to the bare function. The functions return at once,
so nothing is measured but the decorator on its happy path, with the library's default settings.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import count
from threading import Barrier, Thread
from typing import Any

from benchmarks.report import Row, machine, median_spread, table
from meshlib import circuit_breaker, retry, timeout

CALLS = 2000
HEADROOM = 2.0
TARGET = 1.0
CALLERS = 20

_NUMBERS = count()

Function = Callable[..., Any]
Candidates = dict[str, Function]


def there(module: str) -> bool:
    """Whether the peer is installed."""
    return importlib.util.find_spec(module) is not None


def plain(number: int) -> int:
    """The sync function."""
    return number


async def later(number: int) -> int:
    """The async function."""
    return number


def retries(function: Function) -> Candidates:
    """Each library's retry around it, 3 attempts."""
    found: Candidates = {"meshlib retry": retry(attempts=3, on=ConnectionError)(function)}
    if there("tenacity"):
        import tenacity

        found["tenacity retry"] = tenacity.retry(stop=tenacity.stop_after_attempt(3))(function)
    if there("stamina"):
        import stamina

        found["stamina retry"] = stamina.retry(on=ConnectionError, attempts=3)(function)
    return found


def breakers(function: Function, asynchronous: bool, **options: Any) -> Candidates:
    """Each library's breaker around it; `failures` and `seconds` are when it opens and for how long."""
    failures, seconds, name = (
        options.get("failures", 5),
        options.get("seconds", 30.0),
        f"bench-{next(_NUMBERS)}",
    )
    ours = circuit_breaker(name, consecutive_failures=failures, open_for=seconds)
    found: Candidates = {"meshlib circuit_breaker": ours(function)}
    if there("pybreaker") and not asynchronous:
        import pybreaker

        found["pybreaker"] = pybreaker.CircuitBreaker(failures, seconds)(function)
    if there("circuitbreaker"):
        import circuitbreaker

        found["circuitbreaker"] = circuitbreaker.circuit(failures, seconds, name=name)(function)
    if there("aiobreaker") and asynchronous:
        from datetime import timedelta

        import aiobreaker

        found["aiobreaker"] = aiobreaker.CircuitBreaker(failures, timedelta(seconds=seconds))(function)
    if there("purgatory"):
        import purgatory

        kind = purgatory.AsyncCircuitBreakerFactory if asynchronous else purgatory.SyncCircuitBreakerFactory
        found["purgatory"] = kind(failures, seconds)(name)(function)
    return found


def sync_round(function: Function) -> float:
    """Microseconds a call."""
    numbers = range(CALLS)
    start = time.perf_counter()
    for number in numbers:
        function(number)
    return (time.perf_counter() - start) / CALLS * 1e6


async def async_round(function: Function) -> float:
    """Microseconds a call."""
    numbers = range(CALLS)
    start = time.perf_counter()
    for number in numbers:
        await function(number)
    return (time.perf_counter() - start) / CALLS * 1e6


async def measured(candidates: Candidates, bare: Function, asynchronous: bool, rounds: int) -> list[Row]:
    """Every candidate's overhead, all of them in turn in each round."""

    async def one(function: Function) -> float:
        return await async_round(function) if asynchronous else sync_round(function)

    found: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 2):
        base = await one(bare)
        for name, function in candidates.items():
            cost = await one(function) - base
            if number >= 2:
                found[name].append(cost)
    kind = "async" if asynchronous else "sync"
    return [Row(f"{name}, {kind}", *median_spread(costs), "us", bar(name)) for name, costs in found.items()]


def bar(name: str) -> float | None:
    """The target of our own figures."""
    return TARGET if name in ("meshlib circuit_breaker", "meshlib retry") else None


async def overheads(rounds: int) -> list[Row]:
    """The first table."""
    rows: list[Row] = []
    for asynchronous, function in ((False, plain), (True, later)):
        candidates = {
            **breakers(function, asynchronous),
            **retries(function),
            "meshlib timeout": timeout(2.0)(function),
        }
        if asynchronous:
            candidates["asyncio.timeout by hand"] = by_hand(function)
        rows += await measured(candidates, function, asynchronous, rounds)
    return rows


def by_hand(function: Callable[..., Awaitable[Any]]) -> Function:
    """What `@timeout` saves writing."""

    async def bounded(number: int) -> Any:
        async with asyncio.timeout(2.0):
            return await function(number)

    return bounded


class Backend:
    """Fails until it is told to recover; then takes 50 ms and knows how many were inside together at most."""

    def __init__(self) -> None:
        self.broken = True
        self.inside = self.most = 0

    def enter(self) -> None:
        """A call arrives."""
        if self.broken:
            raise ConnectionError
        self.inside += 1
        self.most = max(self.most, self.inside)

    def call(self) -> None:
        """As a sync client meets it."""
        self.enter()
        time.sleep(0.05)
        self.inside -= 1

    async def acall(self) -> None:
        """As an async client meets it."""
        self.enter()
        await asyncio.sleep(0.05)
        self.inside -= 1


def at_once(callers: int, function: Function) -> float:
    """Seconds until all of them, begun together on threads, are through."""
    start = Barrier(callers + 1)

    def call() -> None:
        start.wait()
        try:
            function()
        except Exception as error:
            del error

    threads = [Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def let_in_threads(name: str) -> int:
    """How many of 20 threads that come together after the open time are inside at once."""
    backend = Backend()
    function = breakers(backend.call, False, failures=2, seconds=0.2)[name]
    for _ in range(3):
        at_once(1, function)
    time.sleep(0.5)
    backend.broken = False
    at_once(CALLERS, function)
    return backend.most


async def let_in_tasks(name: str) -> int:
    """The same for 20 tasks of one loop."""
    backend = Backend()

    async def call() -> None:  # aiobreaker takes no bound methods
        await backend.acall()

    function = breakers(call, True, failures=2, seconds=0.2)[name]
    for _ in range(3):
        await asyncio.gather(function(), return_exceptions=True)
    await asyncio.sleep(0.5)
    backend.broken = False
    await asyncio.gather(*(function() for _ in range(CALLERS)), return_exceptions=True)
    return backend.most


def concurrency() -> str:
    """The second table."""
    lines = [
        "### Breakers under concurrency",
        "",
        f"| library | half-open lets in at once, of {CALLERS} threads | of {CALLERS} tasks | closed, 5 threads of 0.2 s take |",
        "|---|---|---|---|",
    ]
    sync_names, async_names = list(breakers(plain, False)), list(breakers(later, True))
    for name in dict.fromkeys([*sync_names, *async_names]):
        threads = let_in_threads(name) if name in sync_names else "-"
        tasks = asyncio.run(let_in_tasks(name)) if name in async_names else "-"
        took = "-"
        if name in sync_names:
            took = f"{at_once(5, breakers(lambda: time.sleep(0.2), False)[name]):.2f} s"
        lines.append(f"| {name} | {threads} | {tasks} | {took} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the tables; with `--gate`, judge our own figures."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--gate", action="store_true", help="exit 1 above twice the target")
    arguments.add_argument("--rounds", type=int, default=30, help="rounds of 2,000 calls each")
    chosen = arguments.parse_args()
    rows = asyncio.run(overheads(chosen.rounds))
    print(machine())
    print()
    print(table("Overhead of a decorated call, happy path", rows))
    print(concurrency())
    return 1 if chosen.gate and any(row.bar and row.median > row.bar * HEADROOM for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
