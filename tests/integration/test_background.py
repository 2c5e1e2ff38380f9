"""The one background thread, in real time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from meshlib.world.background import Background, background
from meshlib.world.io import World
from meshlib.world.slices import sliced

pytestmark = pytest.mark.integration


@pytest.fixture
def on() -> Iterator[Background]:
    """A thread of its own."""
    one = Background("test-control")
    yield one
    assert one.stop(2.0)


def test_starts_at_first_use_and_again_after_a_stop(on: Background) -> None:
    """Never before."""
    assert not on.running
    for _ in range(2):
        called = threading.Event()
        on.call_soon(called.set)
        assert called.wait(5)
        assert on.running
        assert on.stop(2.0)
        assert not on.running


def test_import_starts_no_thread() -> None:
    """Nor does asking for the process-wide instance."""
    code = (
        "import threading, meshlib.world.io, meshlib.discovery\n"
        "from meshlib.world.background import background\n"
        "assert background() is background() and not background().running\n"
        "assert threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_exit_takes_less_than_a_second() -> None:
    """With work on the loop that sleeps, work that refuses to end, and a blocking call that hangs."""
    code = """
import asyncio, time
from meshlib.world.background import background
from meshlib.world.offload import Offload
async def stubborn():
    while True:
        try: await asyncio.sleep(60)
        except asyncio.CancelledError: pass
on, off = background(), Offload()
on.spawn(lambda: asyncio.sleep(60)); on.spawn(stubborn); on.spawn(lambda: off.run(lambda: time.sleep(30)))
time.sleep(0.2)
print(time.monotonic(), flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=30, capture_output=True, text=True
    )
    assert time.monotonic() - float(done.stdout) < 1.8  # a second, and the interpreter's own end


def test_errors_are_reported_and_end_nothing_else(on: Background) -> None:
    """Cancellation is not reported."""
    errors: list[BaseException] = []

    async def fail() -> None:
        raise ValueError("wrong")

    def no_coroutine() -> Any:
        raise TypeError("no coroutine")

    assert on.spawn(fail, errors.append).wait(5)
    assert on.spawn(no_coroutine, errors.append).wait(5)
    sleeper = on.spawn(lambda: asyncio.sleep(60), errors.append)
    assert not sleeper.done
    sleeper.cancel()
    assert sleeper.wait(5)
    assert [type(error) for error in errors] == [ValueError, TypeError]


def test_cancel_before_the_start_and_twice(on: Background) -> None:
    """From any thread, at any time."""
    blocked = threading.Event()
    on.call_soon(blocked.wait, 5)
    ran: list[int] = []

    async def run() -> None:
        ran.append(1)

    handle = on.spawn(run)
    handle.cancel()
    blocked.set()
    assert handle.wait(5)
    handle.cancel()
    assert ran == []


def test_a_thousand_users_share_one_thread() -> None:
    """Every mesh and client of the process."""
    before = threading.active_count()
    handles = [background().spawn(lambda: asyncio.sleep(0.01)) for _ in range(1000)]
    assert threading.active_count() - before <= 1
    assert all(handle.wait(5) for handle in handles)
    assert background().stop(2.0)


def test_kicks_wake_once_a_second_and_none_is_lost(on: Background) -> None:
    """A storm of them is one early wake-up; the next one comes a second later."""
    world = World(on)
    scope = world.scope("orders")
    woken: list[float] = []

    async def watch() -> None:
        while True:
            await scope.sleep(30)
            woken.append(time.monotonic())

    handle = on.spawn(watch)
    time.sleep(0.1)
    start = time.monotonic()
    for _ in range(500):
        scope.kick()
    time.sleep(0.3)
    assert len(woken) == 1
    scope.kick()
    time.sleep(0.3)
    assert len(woken) == 1
    time.sleep(0.8)
    assert len(woken) == 2
    assert 0.95 < woken[1] - start < 1.4
    handle.cancel()
    assert handle.wait(2)


def test_kick_while_busy_ends_the_next_sleep(on: Background) -> None:
    """What was asked for during a look-up is done after it; a pause of sliced work does not swallow it."""
    scope = World(on).scope("orders")
    busy = threading.Event()

    async def watch() -> None:
        busy.set()
        await asyncio.sleep(0.1)
        await scope.sleep(0.001)
        await scope.sleep(30)

    handle = on.spawn(watch)
    assert busy.wait(5)
    scope.kick()
    assert handle.wait(2)


def test_jump_of_the_clock_wakes_every_scope(on: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a suspend every lease and TTL counts as due."""
    from meshlib.world import io

    monkeypatch.setattr(io, "CLOCK_CHECK", 0.05)
    ahead = [0.0]
    world = World(on, wall=lambda: time.time() + ahead[0])
    scopes = [world.scope(str(number)) for number in range(3)]
    handles = [on.spawn(lambda scope=scope: scope.sleep(30)) for scope in scopes]
    time.sleep(0.2)
    assert not any(handle.done for handle in handles)
    ahead[0] = 3600.0
    assert all(handle.wait(2) for handle in handles)


def test_sliced_work_leaves_other_loops_alone(on: Background) -> None:
    """An application loop keeps turning while two seconds' worth of work is done beside it."""
    world = World(on)

    def work() -> Iterator[None]:
        until = time.thread_time() + 0.3
        while time.thread_time() < until:
            sum(range(2000))
            yield

    async def application() -> list[float]:
        handle = on.spawn(lambda: sliced(work(), world))
        late = []
        while not handle.done:
            start = time.perf_counter()
            await asyncio.sleep(0)
            late.append(time.perf_counter() - start)
            await asyncio.sleep(0.0002)
        return late

    late = sorted(asyncio.run(application()))
    # The bar is 2 ms at the 99th percentile on a quiet machine; the rest is room for a noisy one.
    assert late[int(len(late) * 0.99)] < 0.006
