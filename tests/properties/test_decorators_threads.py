"""Decorated functions under threads: calls run side by side, probes stay bounded, the pool never exceeds its size."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Barrier, Event, Lock, Thread
from types import SimpleNamespace

import pytest

from meshlib import (
    CircuitOpenError,
    DeadlineExceededError,
    LimitExceededError,
    circuit_breaker,
    retry,
    timeout,
)
from meshlib.policy import PolicySnapshot, document_of
from meshlib.resilience.breaker import State
from meshlib.runtime import Runtime
from meshlib.testing import FakeClock


def together(count: int, work: Callable[[], object]) -> list[object]:
    """What `work` returned or raised on each of `count` threads that begin at once."""
    start, results = Barrier(count), []

    def run() -> None:
        start.wait()
        try:
            results.append(work())
        except Exception as error:
            results.append(type(error))

    threads = [Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def mesh_on(clock: FakeClock) -> SimpleNamespace:
    return SimpleNamespace(runtime=Runtime(PolicySnapshot(document_of({}), "1", "code"), clock=clock, seed=7))


@pytest.mark.parametrize("decorate", [circuit_breaker("side by side"), retry("side by side"), timeout(5.0)])
def test_five_threads_take_the_time_of_one(decorate: Callable[..., Callable[[], None]]) -> None:
    """No lock is held while the function runs: 5 calls of 0.2 s take 0.2 s (pybreaker: 1.00 s)."""
    barrier = Barrier(5)

    @decorate
    def slow() -> None:
        barrier.wait(5)  # broken, and raising, unless all five are inside at once
        time.sleep(0.2)

    started = time.monotonic()
    assert together(5, slow) == [None] * 5
    assert time.monotonic() - started < 0.9


@pytest.mark.parametrize("probes", [1, 3])
def test_twenty_threads_share_the_probes(probes: int) -> None:
    """Exactly as many concurrent calls get into half-open as there are probes."""
    clock = FakeClock()
    broken, inside, refused = True, [], Event()

    @circuit_breaker("payments", consecutive_failures=1, half_open_probes=probes, mesh=mesh_on(clock))
    def charge() -> None:
        if broken:
            raise ConnectionError
        inside.append(1)
        assert refused.wait(5)

    def call() -> None:
        try:
            charge()
        except CircuitOpenError:
            with counting:
                refusals.append(1)
                if len(refusals) == 20 - probes:
                    refused.set()

    counting, refusals = Lock(), list[int]()
    with pytest.raises(ConnectionError):
        charge()
    clock.advance(10)
    broken = False
    together(20, call)
    assert len(inside) == probes
    assert charge.breaker.state is State.CLOSED


def test_first_calls_bind_once() -> None:
    """Threads that make the first call together, while policy changes, end up on one breaker and the last policy."""
    for round_number in range(20):
        mesh = mesh_on(FakeClock())
        charge = circuit_breaker("payments", mesh=mesh)(lambda: 1)

        def call(mesh: SimpleNamespace = mesh, charge: Callable[[], int] = charge) -> int:
            version = str(time.perf_counter_ns())
            document = document_of({"services": {"payments": {"breaker": {"window": 20}}}})
            mesh.runtime.adopt(PolicySnapshot(document, version, "code"))
            return charge()

        assert together(8, call) == [1] * 8, round_number
        assert charge.breaker.options.window == 20.0
        assert charge.breaker.current.describe(mesh.runtime.clock())["calls"] <= 8


def test_budget_under_threads() -> None:
    """All retries of a name together stay within what the budget gives."""
    mesh, calls, counting = mesh_on(FakeClock()), [], Lock()

    @retry("fetch", attempts=5, wait={"base": 0.0}, budget={"ratio": 0.0, "floor": 1.0}, mesh=mesh)
    def fetch() -> None:
        with counting:
            calls.append(1)
        raise ConnectionError

    assert together(16, fetch) == [ConnectionError] * 16
    assert len(calls) == 16 + 10


def test_the_pool_stays_within_its_size() -> None:
    """20 hanging calls into 4 threads: 4 are let go in time, 16 refused at once, and all places come back."""
    go = Event()

    @timeout(0.2, name="hanging", isolate=4)
    def hang() -> str:
        go.wait(5)
        return "through"

    started = time.monotonic()
    results = together(20, hang)
    assert time.monotonic() - started < 2.0
    assert results.count(DeadlineExceededError) == 4
    assert results.count(LimitExceededError) == 16
    go.set()
    while True:
        try:
            assert hang() == "through"
            break
        except LimitExceededError:
            time.sleep(0.01)
