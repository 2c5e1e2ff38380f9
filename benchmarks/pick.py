"""Large clusters: what a pick, a new set, a small change and an idle endpoint cost.

    python benchmarks/pick.py            the figures
    python benchmarks/pick.py --gate     exit 1 above twice a target (headroom for a noisy machine)

A set is applied as the control path does it, in slices with real pauses between (`world.slices`), so its time contains the
pauses; beside it stands the longest slice, which is what an application's loop in the same process may have to wait.
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
import tracemalloc
from collections.abc import Generator
from typing import Any

from meshlib.balancing import BALANCERS
from meshlib.core.endpoint import Endpoint
from meshlib.core.snapshot import EndpointSet
from meshlib.engine import Cluster
from meshlib.resilience import EjectionOptions, OutlierDetector
from meshlib.world.slices import sliced

MANY = 10_000
TARGETS = {"pick": 1.0, "apply": 150.0, "change": 20.0, "memory": 1024.0}
HEADROOM = 2.0


class World:
    """As much of `core.io.IO` as slicing needs, with real time."""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """A real pause."""
        await asyncio.sleep(seconds)


def endpoints(count: int, *, changed: bool = False) -> EndpointSet:
    """A set as a registry brings it: fresh objects every time; `changed` replaces one address."""
    found = [Endpoint(host=f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", port=8080) for i in range(count)]
    if changed:
        found[count // 2] = Endpoint(host="10.9.9.9", port=8080)
    return EndpointSet(found, source="bench")


def cluster_of(balancer: str = "p2c") -> Cluster:
    """An empty cluster with what a service has by default."""
    rng = random.Random(1).random
    kind = BALANCERS.get(balancer)
    return Cluster("orders", kind(kind.options()), rng, detector=OutlierDetector(EjectionOptions(), rng))


class Asking:
    """The call that a picker sees."""

    now = 1000.0
    request = None
    tried = ()


def pick_cost(balancer: str, count: int) -> float:
    """Microseconds a pick, the median of rounds, over nodes that have learned something."""
    cluster = cluster_of(balancer)
    for _ in cluster.apply(endpoints(count), 1000.0):
        pass
    for number, node in enumerate(cluster.nodes.values()):
        node.ewma, node.stamp = 0.01 + number % 7 * 0.001, 1000.0
    picker, asking, rounds = cluster.picker, Asking(), []
    assert picker is not None
    numbers = range(5000)
    for _ in range(15):
        begun = time.perf_counter()
        for _ in numbers:
            picker.pick(asking)
        driven = time.perf_counter() - begun
        begun = time.perf_counter()
        for _ in numbers:
            pass
        rounds.append((driven - (time.perf_counter() - begun)) / len(numbers) * 1e6)
    return statistics.median(rounds)


def timed(work: Generator[None, None, None], slices: list[float]) -> Generator[None, None, None]:
    """The same work, writing down how long each step took."""
    while True:
        begun = time.perf_counter()
        try:
            next(work)
        except StopIteration:
            return
        finally:
            slices.append((time.perf_counter() - begun) * 1000)
        yield


async def applied(cluster: Cluster, snapshot: EndpointSet) -> tuple[float, float]:
    """Milliseconds to apply a set, pauses included, and the longest step between two of them."""
    steps: list[float] = []
    gc.collect()
    begun = time.perf_counter()
    world: Any = World()
    await sliced(timed(cluster.apply(snapshot, time.monotonic()), steps), world)
    return (time.perf_counter() - begun) * 1000, max(steps)


async def applying(rounds: int) -> dict[str, tuple[float, float]]:
    """A first set of 10,000, and the change of one address in it: medians and the longest steps."""
    whole, change = [], []
    for _ in range(rounds):
        cluster = cluster_of()
        whole.append(await applied(cluster, endpoints(MANY)))
        change.append(await applied(cluster, endpoints(MANY, changed=True)))
    return {
        name: (statistics.median(took for took, _ in found), statistics.median(step for _, step in found))
        for name, found in (("apply", whole), ("change", change))
    }


def memory() -> float:
    """Bytes an idle endpoint takes, its Endpoint, Node and share of the picker together."""
    gc.collect()
    tracemalloc.start()
    cluster = cluster_of()
    for _ in cluster.apply(endpoints(MANY), 0.0):
        pass
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(cluster.nodes) == MANY
    return taken / MANY


def main() -> int:
    """Print the table; with `--gate`, judge it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gate", action="store_true", help="exit 1 above twice a target")
    parser.add_argument("--rounds", type=int, default=7, help="how often the large set is applied")
    chosen = parser.parse_args()
    failed = False

    def line(what: str, value: float, unit: str, target: float, more: str = "") -> None:
        nonlocal failed
        failed = failed or value > target * HEADROOM
        print(f"{what:<42}{value:>9.2f} {unit:<6} target {target:g}{more}")

    print(f"Python {platform.python_version()} on {platform.machine()}")
    for balancer in BALANCERS:
        for count in (10, MANY):
            line(f"pick, {balancer}, {count:,} endpoints", pick_cost(balancer, count), "us", TARGETS["pick"])
    found = asyncio.run(applying(chosen.rounds))
    for name, what in (("apply", "a first set of 10,000"), ("change", "one address of 10,000 changed")):
        took, step = found[name]
        line(what, took, "ms", TARGETS[name], f", longest step {step:.2f} ms")
    line("an idle endpoint", memory(), "bytes", TARGETS["memory"])
    return 1 if chosen.gate and failed else 0


if __name__ == "__main__":
    sys.exit(main())
