"""Wait: with threads and two event loops, no turn is lost and none is given twice."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable

import pytest

from meshlib.core.wait import Wait
from meshlib.drivers import aio, sync
from meshlib.resilience import Limiter, LimitOptions

WORKERS = 6
TURNS = 60


class Guarded:
    """A resource of which `size` may be used at a time; it notices when more are."""

    def __init__(self, size: int) -> None:
        self.limiter = Limiter(LimitOptions(concurrency=size, queue=10_000))
        self.size = size
        self.lock = threading.Lock()
        self.inside = self.served = self.given_up = 0

    def enter(self) -> None:
        with self.lock:
            self.inside += 1
            self.served += 1
            assert self.inside <= self.size

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
        self.limiter.release()

    def gave_up(self) -> None:
        with self.lock:
            self.given_up += 1


def patience(rng: random.Random) -> float:
    return time.monotonic() + rng.choice([0.0, 0.0005, 5.0, 5.0])


def threaded(guarded: Guarded, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(TURNS):
        turn = guarded.limiter.acquire(patience(rng))
        if isinstance(turn, Wait):
            sync.wait(turn, time.monotonic)
            if not turn.granted:
                turn.abandon()
                guarded.gave_up()
                continue
        guarded.enter()
        if rng.random() < 0.2:
            time.sleep(0.0002)
        guarded.leave()


async def looping(guarded: Guarded, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(TURNS):
        turn = guarded.limiter.acquire(patience(rng))
        if isinstance(turn, Wait):
            task = asyncio.ensure_future(aio.wait(turn, time.monotonic))
            if rng.random() < 0.2:
                asyncio.get_running_loop().call_later(rng.random() * 0.001, task.cancel)
            await asyncio.wait([task])
            if task.cancelled() or not turn.granted:
                turn.abandon()
                guarded.gave_up()
                continue
        guarded.enter()
        await asyncio.sleep(0)
        guarded.leave()


def many(guarded: Guarded, seed: int) -> None:
    async def main() -> None:
        await asyncio.gather(*(looping(guarded, seed * 100 + number) for number in range(WORKERS)))

    asyncio.run(main())


@pytest.mark.parametrize("size", [1, 3])
def test_threads_and_two_loops(size: int) -> None:
    """Everybody is served or gave up by choice; nobody is left waiting; nothing stays taken."""
    guarded = Guarded(size)
    errors: list[BaseException] = []

    def guard(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                errors.append(error)
                raise

        return run

    threads = [
        threading.Thread(target=guard(lambda seed=seed: threaded(guarded, seed))) for seed in range(WORKERS)
    ]
    threads += [threading.Thread(target=guard(lambda seed=seed: many(guarded, seed))) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors
    assert not any(thread.is_alive() for thread in threads)
    assert guarded.served + guarded.given_up == 3 * WORKERS * TURNS
    assert (guarded.limiter.used, guarded.limiter.queued, guarded.inside) == (0, 0, 0)


def test_closed_loop_passes_its_turn_on() -> None:
    """A waiter whose loop is closed is skipped: the next in line, on another loop, has the turn."""
    limiter = Limiter(LimitOptions(concurrency=1, queue=10))
    assert limiter.acquire(0.0) is True
    dead = asyncio.new_event_loop()
    turns = [limiter.acquire(float("inf")) for _ in range(3)]

    async def start(turn: Wait) -> None:
        waiting = aio.wait(turn, time.monotonic)
        waiting.send(None)
        keep.append(waiting)

    keep: list[object] = []
    for turn in turns[:2]:
        assert isinstance(turn, Wait)
        dead.run_until_complete(start(turn))
    dead.close()
    alive = turns[2]
    assert isinstance(alive, Wait)

    async def main() -> None:
        asyncio.get_running_loop().call_later(0.01, limiter.release)
        await asyncio.wait_for(aio.wait(alive, time.monotonic), 5)

    asyncio.run(main())
    assert alive.granted
    assert limiter.used == 1
    limiter.release()
    assert limiter.used == 0
    for waiting in keep:
        waiting.close()  # type: ignore[attr-defined]


def test_grant_and_abandon_race() -> None:
    """Of a grant and an abandon at the same time exactly one wins, and a turn that lost is handed back."""
    for _ in range(300):
        back: list[int] = []
        wait = Wait("queue", returned=lambda back=back: back.append(1))
        barrier = threading.Barrier(2)
        taken: list[bool] = []

        def grant(wait: Wait = wait, barrier: threading.Barrier = barrier, taken: list[bool] = taken) -> None:
            barrier.wait()
            taken.append(wait.grant())
            wait.wake()

        def leave(wait: Wait = wait, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            wait.abandon()

        threads = [threading.Thread(target=grant), threading.Thread(target=leave)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(back) == int(taken[0])
        assert not wait.granted
