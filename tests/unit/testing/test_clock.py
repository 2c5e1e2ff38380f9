"""FakeClock."""

import asyncio
from math import inf, nan
from threading import Thread

import pytest

from meshlib.testing import FakeClock


def test_time_stands_still() -> None:
    """Reading the clock does not move it."""
    clock = FakeClock(5.0)
    assert clock() == clock() == 5.0


def test_advance_moves_both_times() -> None:
    """The date moves with monotonic time."""
    clock = FakeClock(wall=100.0)
    assert clock.advance(2.5) == clock() == 1002.5
    assert clock.wall() == 102.5


def test_wall_may_jump() -> None:
    """A step of the date leaves monotonic time alone."""
    clock = FakeClock(wall=100.0)
    clock.jump_wall(-40.0)
    assert (clock(), clock.wall()) == (1000.0, 60.0)


@pytest.mark.parametrize(
    ("seconds", "reason"), [(-0.1, "does not go back"), (nan, "finite"), (inf, "finite")]
)
def test_impossible_moves_are_refused(seconds: float, reason: str) -> None:
    """Backwards, NaN and infinity raise and change nothing, not even the record of sleeps."""
    clock = FakeClock()
    with pytest.raises(ValueError, match=reason):
        clock.advance(seconds)
    with pytest.raises(ValueError, match=reason):
        clock.sleep(seconds)
    assert (clock(), clock.sleeps) == (1000.0, [])


def test_sleep_advances_and_is_recorded() -> None:
    """Sleeping takes fake time only."""
    clock = FakeClock()
    clock.sleep(1.0)
    clock.sleep(0.0)
    assert (clock(), clock.sleeps) == (1001.0, [1.0, 0.0])


def test_asleep_on_an_ordinary_loop() -> None:
    """Time passes at once, and other tasks get their turn."""
    clock = FakeClock()
    turns = []

    async def main() -> None:
        other = asyncio.create_task(asyncio.sleep(0))
        other.add_done_callback(lambda _: turns.append(clock()))
        await clock.asleep(3600.0)
        await other
        with pytest.raises(ValueError, match="does not go back"):
            await clock.asleep(-1.0)

    asyncio.run(main())
    assert (clock(), clock.sleeps) == (4600.0, [3600.0])


def test_endless_sleep_can_be_cancelled() -> None:
    """Infinity is a hang, not a jump of the clock."""
    clock = FakeClock()

    async def main() -> None:
        task = asyncio.create_task(clock.asleep(inf))
        await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert clock() == 1000.0


def test_threads_lose_no_time() -> None:
    """Concurrent moves all count."""
    clock = FakeClock(0.0)

    def work() -> None:
        for _ in range(2000):
            clock.sleep(0.5)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock() == 4000.0
    assert len(clock.sleeps) == 8000
