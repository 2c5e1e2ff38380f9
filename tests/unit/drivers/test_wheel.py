"""The deadline wheel, on a loop whose time is virtual."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from meshlib.core.deadline import NEVER
from meshlib.drivers.wheel import TICK, Wheel, wheel
from meshlib.testing import FakeClock, VirtualLoop

Run = Callable[[Coroutine[Any, Any, Any]], Any]
SLACK = 1e-6


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000.0)


@pytest.fixture
def run(clock: FakeClock) -> Iterator[Run]:
    loop = VirtualLoop(clock)
    yield loop.run_until_complete
    loop.close()


async def rung(clock: FakeClock, seconds: float) -> float:
    """How late an alarm of that many seconds goes off."""
    deadline = clock() + seconds
    alarm = wheel(clock).arm(deadline)
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        assert alarm.disarm(cancelled=True)
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        return clock() - deadline
    raise AssertionError


@pytest.mark.parametrize("seconds", [0.02, 0.0234, 0.1, 0.99999, 1.0, 5.005, 300.0])
def test_alarm_is_never_early_and_little_late(run: Run, clock: FakeClock, seconds: float) -> None:
    """At most one tick late, whatever the phase of the wheel."""
    for phase in (0.0, 0.0013, 0.0099):
        clock.advance(phase)
        late = run(rung(clock, seconds))
        assert 0 <= late <= TICK + SLACK


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.001, 0.0199])
def test_short_alarms_have_their_own_timer(run: Run, clock: FakeClock, seconds: float) -> None:
    """Under two ticks the alarm is exact."""
    assert run(rung(clock, seconds)) == pytest.approx(max(0.0, -seconds), abs=1e-6)


def test_many_alarms_one_timer(run: Run, clock: FakeClock) -> None:
    """Each of many goes off in its own bucket, and an earlier one that comes later moves the timer."""

    async def main() -> list[float]:
        delays = [0.5, 3.0, 0.1, 0.1005, 2.0, 0.03]
        return await asyncio.gather(*(rung(clock, delay) for delay in delays))

    assert all(0 <= late <= TICK + SLACK for late in run(main()))


def test_disarmed_alarm_does_not_ring(run: Run, clock: FakeClock) -> None:
    """Taken back in time it never cancels; twice is once; both kinds of timer."""

    async def main() -> None:
        for seconds in (0.005, 0.5):
            alarm = wheel(clock).arm(clock() + seconds)
            await asyncio.sleep(seconds / 2)
            assert alarm.disarm() is False
            assert alarm.disarm(cancelled=True) is False
            await asyncio.sleep(seconds * 2)
            alarm.ring()

    run(main())


def test_no_deadline_costs_nothing(run: Run, clock: FakeClock) -> None:
    """`inf` arms nothing."""

    async def main() -> None:
        timers = wheel(clock)
        alarm = timers.arm(NEVER)
        assert alarm.disarm(cancelled=True) is False
        assert len(timers) == 0
        assert timers._timer is None

    run(main())


def test_sleeps_when_empty(run: Run, clock: FakeClock) -> None:
    """After the last alarm is gone one turn clears up, and then there is no timer."""

    async def main() -> None:
        timers = wheel(clock)
        alarms = [timers.arm(clock() + 0.05 * number) for number in range(1, 5)]
        assert len(timers) == 4
        for alarm in alarms:
            alarm.disarm()
        assert len(timers) == 0
        await asyncio.sleep(0.2)
        assert timers._timer is None
        assert not timers._buckets
        timers.arm(clock() + 1.0).disarm()
        await asyncio.sleep(2.0)
        assert timers._timer is None

    run(main())


def test_callers_cancellation_is_told_apart(run: Run, clock: FakeClock) -> None:
    """The caller's cancel alone, ours alone, and both in one tick, in either order."""

    async def work(order: list[str], told: list[Any]) -> None:
        alarm = wheel(clock).arm(clock() + 1.0)
        started.set_result(alarm)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            told.append(alarm.disarm(cancelled=True))
            told.append(asyncio.current_task().cancelling())  # type: ignore[union-attr]
            if not told[0]:
                raise

    async def main(order: list[str]) -> tuple[list[Any], bool]:
        nonlocal started
        started = asyncio.get_running_loop().create_future()
        told: list[Any] = []
        task = asyncio.ensure_future(work(order, told))
        alarm = await started
        for who in order:
            task.cancel() if who == "caller" else alarm.ring()
        await asyncio.wait([task])
        return told, task.cancelled()

    started: Any = None
    assert run(main(["caller"])) == ([False, 1], True)
    assert run(main(["wheel"])) == ([True, 0], False)
    assert run(main(["wheel", "caller"])) == ([False, 1], True)
    assert run(main(["caller", "wheel"])) == ([False, 1], True)
    assert run(main(["wheel", "wheel"])) == ([True, 0], False)


def test_swallowed_cancellation_is_taken_off_the_count(run: Run, clock: FakeClock) -> None:
    """Code that swallows the wheel's cancellation and goes on leaves a clean task behind."""

    async def main() -> int:
        alarm = wheel(clock).arm(clock() + 0.1)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
        assert alarm.disarm() is False
        return asyncio.current_task().cancelling()  # type: ignore[union-attr]

    assert run(main()) == 0


def test_nested_alarms_of_one_task(run: Run, clock: FakeClock) -> None:
    """Both in one tick: the inner one lets the cancellation pass, the outer one takes it for its own."""

    async def inner() -> None:
        alarm = wheel(clock).arm(clock() + 1.0)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if alarm.disarm(cancelled=True):
                raise TimeoutError("inner") from None
            raise
        finally:
            alarm.disarm()

    async def main() -> tuple[str, int]:
        alarm = wheel(clock).arm(clock() + 1.0)
        try:
            await inner()
        except asyncio.CancelledError:
            return (
                "outer" if alarm.disarm(cancelled=True) else "caller"
            ), asyncio.current_task().cancelling()  # type: ignore[union-attr]
        except TimeoutError as error:
            alarm.disarm()
            return str(error), asyncio.current_task().cancelling()  # type: ignore[union-attr]
        raise AssertionError

    assert run(main()) == ("outer", 0)


def test_cancelling_may_disarm_others(run: Run, clock: FakeClock) -> None:
    """A bucket whose alarms are disarmed while it rings is no problem."""

    async def main() -> None:
        timers = wheel(clock)
        alarms = [timers.arm(clock() + 0.1) for _ in range(5)]

        class Task:
            def cancel(self) -> None:
                for alarm in alarms:
                    alarm._task = None
                    alarm.disarm()
                    if alarm._bucket is not None:
                        alarm._bucket.discard(alarm)

        for alarm in alarms:
            alarm._task = Task()  # type: ignore[assignment]
        await asyncio.sleep(0.2)
        assert len(timers) == 0

    run(main())


def test_loop_that_runs_ahead(run: Run, clock: FakeClock) -> None:
    """A loop whose timers fire early by its clock's resolution does not make an alarm early."""

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        timers = wheel(clock)
        alarm = timers.arm(clock() + 0.005)
        timers._due(alarm, clock() + 0.005)
        timers.arm(clock() + 0.5)
        timers._turn()
        assert task.cancelling() == 0
        assert timers._timer is not None
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(3600)
        assert alarm.disarm(cancelled=True)

    run(main())


def test_timers_keep_no_callers_context(run: Run, clock: FakeClock) -> None:
    """What a call had in its context variables is not kept until the wheel's next turn."""

    class Heavy:
        pass

    variable: ContextVar[Any] = ContextVar("heavy")

    async def call() -> Any:
        heavy = Heavy()
        variable.set(heavy)
        wheel(clock).arm(clock() + 60.0).disarm()
        wheel(clock).arm(clock() + 0.01).disarm()
        return weakref.ref(heavy)

    async def main() -> None:
        gone = await asyncio.ensure_future(call())
        await asyncio.sleep(0)
        gc.collect()
        assert gone() is None

    run(main())


def test_one_wheel_a_loop_and_clock(run: Run, clock: FakeClock) -> None:
    """The same for every call on a loop, another one on another loop or for another clock."""

    async def main() -> Wheel:
        found = wheel(clock)
        assert wheel(clock) is found
        assert found._clock is clock
        return found

    found = run(main())
    other = VirtualLoop(clock)
    assert other.run_until_complete(main()) is not found
    other.close()
    assert run(main()) is found

    async def another() -> Wheel:
        return wheel(FakeClock())

    assert run(another()) is not found


def test_closed_loops_are_freed(clock: FakeClock) -> None:
    """Neither a pending timer nor an armed alarm of an unfinished task keeps a closed loop."""
    loop = VirtualLoop(clock)

    async def main() -> None:
        wheel(clock).arm(clock() + 5.0)
        asyncio.current_task()

    async def hang() -> None:
        alarm = wheel(clock).arm(clock() + 5.0)
        await asyncio.sleep(0)
        alarm.disarm()

    loop.run_until_complete(main())
    coroutine = hang()
    coroutine.close()
    gone = weakref.ref(loop)
    loop.close()
    del loop, coroutine
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("tick", [29, 58, 116, 205])
def test_time_that_rounds_down_is_not_waited_for_again(tick: int) -> None:
    """0.29 s are 28.999 ticks by division: the turn that was wound for tick 29 is its turn, or virtual time stands still."""
    clock = FakeClock(0.0)
    loop = VirtualLoop(clock)
    late = loop.run_until_complete(asyncio.wait_for(rung(clock, tick * TICK - TICK / 2), 60.0))
    loop.close()
    assert 0 <= late <= TICK + SLACK
