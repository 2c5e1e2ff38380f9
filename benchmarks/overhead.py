"""Engine overhead: what a call through plan and driver costs above calling `send` directly.

    python benchmarks/overhead.py            the figures, with their spread
    python benchmarks/overhead.py --gate     exit 1 above twice the target (headroom for a noisy machine)

Everything a service has by default is on: locks, deadline and attempt timeout, p2c over 10 nodes, breaker, retry budget,
ejection. Telemetry is off, and the transport does nothing, so that what is left is the engine's own. Bare and driven calls
alternate in short rounds, because a machine's speed drifts by more than the difference within a second; the figure is the
median of the rounds' differences and its spread their quartiles.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from meshlib.balancing import BALANCERS
from meshlib.core.endpoint import Endpoint
from meshlib.core.outcome import OK, Outcome
from meshlib.core.snapshot import EndpointSet
from meshlib.drivers import aio, sync
from meshlib.engine import BUFFERED, IDEMPOTENT, REPLAYABLE, Attempt, CallPlan, Cluster
from meshlib.resilience import (
    BreakerOptions,
    BudgetOptions,
    CircuitBreaker,
    EjectionOptions,
    OutlierDetector,
    RetryBudget,
)
from meshlib.resilience.retry import RetryOptions, RetryPolicy

TARGET = {"sync": 3.0, "async": 4.0}
HEADROOM = 2.0
CALLS = 2000
FLAGS = IDEMPOTENT | REPLAYABLE | BUFFERED


class Nothing:
    """The family of a transport that always answers."""

    transport_errors: tuple[type[BaseException], ...] = (ConnectionError, TimeoutError)

    def classify(self, reply: Any) -> Outcome:
        """Everything is well."""
        return OK

    def classify_error(self, error: BaseException, attempt: Attempt) -> Outcome:
        """Never asked."""
        raise error


def plan_of(nodes: int = 10, seed: int = 1) -> CallPlan:
    """The defaults of a service, over that many nodes."""
    rng = random.Random(seed).random
    kind = BALANCERS.get("p2c")
    cluster = Cluster("orders", kind(kind.options()), rng, detector=OutlierDetector(EjectionOptions(), rng))
    endpoints = EndpointSet(Endpoint(host=f"10.0.0.{number}", port=8080) for number in range(nodes))
    for _ in cluster.apply(endpoints, time.monotonic()):
        pass
    family: Any = Nothing()
    return CallPlan(
        "orders",
        cluster,
        family,
        rng,
        timeout=10.0,
        connect_timeout=1.0,
        retry=RetryPolicy(RetryOptions()),
        max_attempts=3,
        budget=RetryBudget(BudgetOptions()),
        breaker=CircuitBreaker("orders", BreakerOptions(), rng),
    )


def send(attempt: Any, request: Any) -> Any:
    """The transport that does nothing."""
    return request


async def asend(attempt: Any, request: Any) -> Any:
    """The same for asyncio."""
    return request


def sync_round(plan: CallPlan) -> tuple[float, float]:
    """Seconds a call, bare and driven."""
    numbers, clock = range(CALLS), time.perf_counter
    start = clock()
    for _ in numbers:
        send(None, plan)
    middle = clock()
    for _ in numbers:
        sync.drive(plan, plan, send, time.monotonic, FLAGS)
    end = clock()
    return (middle - start) / CALLS, (end - middle) / CALLS


async def async_round(plan: CallPlan) -> tuple[float, float]:
    """Seconds a call, bare and driven."""
    numbers, clock = range(CALLS), time.perf_counter
    start = clock()
    for _ in numbers:
        await asend(None, plan)
    middle = clock()
    for _ in numbers:
        await aio.drive(plan, plan, asend, time.monotonic, FLAGS)
    end = clock()
    return (middle - start) / CALLS, (end - middle) / CALLS


async def rounds_of(
    round_of: Callable[[CallPlan], Awaitable[tuple[float, float]]], rounds: int
) -> list[tuple[float, float]]:
    """Microseconds a call, bare and driven, of each round after a warm-up."""
    plan = plan_of()
    found = []
    gc.collect()
    for number in range(rounds + 5):
        bare, driven = await round_of(plan)
        if number >= 5:
            found.append((bare * 1e6, driven * 1e6))
    return found


def objects_a_call(plan: CallPlan) -> float:
    """Objects known to the garbage collector that one sync call makes, measured by its allocation counter."""
    calls = 200
    for _ in range(10 * calls):  # windows and dicts of the nodes come with their first attempts
        sync.drive(plan, plan, send, time.monotonic, FLAGS)
    gc.collect()
    gc.disable()
    kept: list[Any] = []

    def keep(attempt: Any, _: Any) -> None:
        kept.append(attempt)

    try:
        before = gc.get_count()[0]
        for _ in range(calls):
            # Kept alive, because the counter goes down again when an object dies.
            sync.drive(plan, plan, keep, time.monotonic, FLAGS)
        return (gc.get_count()[0] - before) / calls
    finally:
        gc.enable()


def measured(rounds: int) -> dict[str, list[tuple[float, float]]]:
    """The rounds of both drivers."""

    async def as_sync(plan: CallPlan) -> tuple[float, float]:
        return sync_round(plan)

    return {
        "sync": asyncio.run(rounds_of(as_sync, rounds)),
        "async": asyncio.run(rounds_of(async_round, rounds)),
    }


def main() -> int:
    """Print the table; with `--gate`, judge it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gate", action="store_true", help="exit 1 above twice the target")
    parser.add_argument("--rounds", type=int, default=60, help="rounds of 2,000 calls each way")
    chosen = parser.parse_args()
    failed = False
    print(
        f"Python {platform.python_version()} on {platform.machine()}, {chosen.rounds} rounds of {CALLS} calls"
    )
    for driver, found in measured(chosen.rounds).items():
        low, median, high = statistics.quantiles((driven - bare for bare, driven in found), n=4)
        # The gate looks at the quietest rounds of both sides: a neighbour on the machine only ever adds.
        quiet = min(driven for _, driven in found) - min(bare for bare, _ in found)
        limit = TARGET[driver] * HEADROOM
        print(
            f"{driver:>5}: {median:.2f} us a call (quartiles {low:.2f} to {high:.2f}, quietest {quiet:.2f}), "
            f"target {TARGET[driver]:.1f}, gate {limit:.1f}"
        )
        failed = failed or quiet > limit
    print(f"objects: {objects_a_call(plan_of()):.2f} a call (Call and Attempt are two)")
    return 1 if chosen.gate and failed else 0


if __name__ == "__main__":
    sys.exit(main())
