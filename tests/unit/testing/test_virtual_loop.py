"""VirtualLoop."""

import asyncio
from collections.abc import Iterator

import pytest

from meshlib.testing import FakeClock, StalledError, VirtualLoop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    """A loop that starts at 0."""
    loop = VirtualLoop(FakeClock(0.0))
    yield loop
    loop.close()


def test_sleepers_overlap(loop: VirtualLoop) -> None:
    """Concurrent sleeps wake in the order of their times and take as long as the longest."""
    woken = []

    async def sleeper(name: str, seconds: float) -> None:
        await loop.clock.asleep(seconds)
        woken.append((name, loop.time()))

    async def main() -> None:
        await asyncio.gather(sleeper("day", 86_400.0 * 3), sleeper("hour", 3600.0), sleeper("none", 0.0))

    loop.run_until_complete(main())
    assert woken == [("none", 0.0), ("hour", 3600.0), ("day", 259_200.0)]


def test_timeouts_are_virtual(loop: VirtualLoop) -> None:
    """`asyncio.timeout` measures by the fake clock."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30.0):
                await asyncio.Event().wait()

    loop.run_until_complete(main())
    assert loop.clock() == pytest.approx(30.0)


def test_ready_work_takes_no_time(loop: VirtualLoop) -> None:
    """The clock moves only when nothing else can."""

    async def main() -> float:
        timer = asyncio.create_task(asyncio.sleep(10.0))
        for _ in range(1000):
            await asyncio.sleep(0)
        before = loop.time()
        await timer
        return before

    assert loop.run_until_complete(main()) == 0.0


def test_another_threads_call_is_seen(loop: VirtualLoop) -> None:
    """A wake-up through the loop's own socket comes before any timer."""
    woken: list[float] = []

    async def main() -> None:
        loop.call_soon_threadsafe(lambda: woken.append(loop.time()))
        await asyncio.sleep(1.0)

    loop.run_until_complete(main())
    assert woken == [0.0]


def test_standstill_is_an_error(loop: VirtualLoop) -> None:
    """Waiting for what can never come raises instead of blocking the test run."""

    async def main() -> None:
        await asyncio.Event().wait()

    task = loop.create_task(main())
    with pytest.raises(StalledError, match="nothing is left to run"):
        loop.run_until_complete(task)
    task.cancel()
    loop.run_until_complete(asyncio.wait({task}))
