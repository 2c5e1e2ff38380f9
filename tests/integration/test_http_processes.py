"""Real service processes that die, slow down and come back under load: no idempotent request is lost while one lives."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from meshlib.mesh import Mesh
from meshlib.testing import ServiceProcess
from tests.integration.http_kit import EACH_WIRE, Kit, eventually, in_flight, uri

pytestmark = [pytest.mark.integration, EACH_WIRE]  # what dies here is the server: one family tells

WORKERS = 8


class Load:
    """Requests without end from several threads, or tasks of one loop in a thread; everything that went wrong is kept."""

    def __init__(self, mesh: Mesh, kit: Kit) -> None:
        self.errors: list[str] = []
        self.served: Counter[str] = Counter()
        self.slowest = 0.0
        self._stop = threading.Event()
        self._mesh = mesh
        self._kit = kit
        if kit.kind == "sync":
            self._client = kit.client(mesh, "orders", timeout=3.0)
            self._threads = [threading.Thread(target=self._work) for _ in range(WORKERS)]
        else:
            self._threads = [threading.Thread(target=lambda: asyncio.run(self._loop()))]
        for thread in self._threads:
            thread.start()

    def _note(self, started: float, response: Any) -> None:
        self.slowest = max(self.slowest, time.monotonic() - started)
        if response.status_code == 200:
            self.served[response.json()["name"]] += 1
        else:
            self.errors.append(f"{response.status_code} {response.extensions['meshlib']}")

    def _work(self) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self._note(started, self._client.get("/x"))
            except Exception as error:
                self.errors.append(repr(error))
            time.sleep(0.002)

    async def _loop(self) -> None:
        async with self._kit.async_client(self._mesh, "orders", timeout=3.0) as client:

            async def work() -> None:
                while not self._stop.is_set():
                    started = time.monotonic()
                    try:
                        self._note(started, await client.get("/x"))
                    except Exception as error:
                        self.errors.append(repr(error))
                    await asyncio.sleep(0.002)

            await asyncio.gather(*(work() for _ in range(WORKERS)))

    def stop(self) -> None:
        """End it."""
        self._stop.set()
        for thread in self._threads:
            thread.join(10.0)
        if hasattr(self, "_client"):
            self._client.close()


@pytest.fixture
def processes() -> Iterator[list[ServiceProcess]]:
    """Three instances, `a`, `b` and `c`."""
    with ExitStack() as stack:
        made = [ServiceProcess(name).launch() for name in "abc"]
        for process in made:
            stack.callback(process.stop)
        for process in made:
            process.ready()
        yield made


def state(mesh: Mesh, process: ServiceProcess) -> str:
    """The node's state in one word."""
    runtime = mesh.runtime
    node = runtime.services["orders"].clusters[""].nodes[(process.host, process.port)]
    return node.state(runtime.clock())


def gains(load: Load, name: str) -> Callable[[], bool]:
    """Whether an instance answers again."""
    before = load.served[name]
    return lambda: load.served[name] > before + 5


OUT = ("unreachable", "ejected", "probing")


def mesh_of(kit: Kit, processes: list[ServiceProcess], **policy: Any) -> Mesh:
    """A mesh that knows `orders`."""
    return kit.mesh({"orders": {"discovery": uri(*processes), **policy}})


def test_killed_and_restored(kit: Kit, processes: list[ServiceProcess]) -> None:
    """Left alone when it dies, used again when it is back, and nobody noticed."""
    a, b, _ = processes
    with mesh_of(kit, processes, balancer="round_robin") as mesh:
        load = Load(mesh, kit)
        try:
            assert eventually(lambda: all(load.served[name] > 20 for name in "abc"))
            assert state(mesh, a) == "ready"
            a.kill()
            assert eventually(lambda: state(mesh, a) in OUT)
            time.sleep(0.3)
            a.start()
            assert eventually(gains(load, "a"), 10.0)
            assert eventually(lambda: state(mesh, a) == "ready")
            # One that answers 503 is as good as dead, and one that drains says so in its last responses.
            b.control(fail=1.0)
            assert eventually(lambda: state(mesh, b) in OUT)
            b.control(fail=0.0)
            assert eventually(gains(load, "b"), 10.0)
            a.stop()
            time.sleep(0.2)
        finally:
            load.stop()
        assert load.errors[:3] == []
        assert in_flight(mesh) == 0


def test_default_policy_loses_nothing(kit: Kit, processes: list[ServiceProcess]) -> None:
    """Slow, killed, restored: a slow instance gets less than its share, and no call fails."""
    a, b, _ = processes
    with mesh_of(kit, processes) as mesh:
        load = Load(mesh, kit)
        try:
            assert eventually(lambda: all(load.served[name] > 20 for name in "abc"))
            a.control(delay=0.3)
            time.sleep(0.4)
            before = Counter(load.served)
            assert eventually(lambda: sum(load.served.values()) > sum(before.values()) + 300)
            gained = load.served - before
            assert gained["a"] < gained["b"] / 2
            b.kill()
            time.sleep(0.3)
            assert eventually(gains(load, "c"))
            b.start()
            a.control(delay=0.0)
            time.sleep(0.3)
        finally:
            load.stop()
        assert load.errors[:3] == []
        assert in_flight(mesh) == 0


@pytest.mark.slow
def test_all_but_one_killed(kit: Kit, processes: list[ServiceProcess]) -> None:
    """One living instance carries everything, whichever it is."""
    with mesh_of(kit, processes) as mesh:
        load = Load(mesh, kit)
        try:
            for number in range(3):
                first, second = processes[number], processes[(number + 1) % 3]
                living = processes[(number + 2) % 3].name
                first.kill()
                time.sleep(0.3)
                second.kill()
                assert eventually(gains(load, living), 10.0)
                time.sleep(0.7)
                first.start()
                second.start()
                time.sleep(0.5)
        finally:
            load.stop()
        assert load.errors[:3] == []
        assert in_flight(mesh) == 0
