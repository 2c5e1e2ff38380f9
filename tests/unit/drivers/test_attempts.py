"""The driver that the user's own loop drives."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from meshlib.core.deadline import AMBIENT, NEVER
from meshlib.core.listener import Listener
from meshlib.core.outcome import Outcome
from meshlib.drivers.attempts import AsyncAttempts, Attempts
from meshlib.resilience import (
    BreakerOptions,
    BudgetOptions,
    CircuitBreaker,
    Limiter,
    LimitOptions,
    RetryBudget,
)
from meshlib.testing import FakeClock, VirtualLoop
from tests.rpc import RPC, BrokenError, BusyError, RpcError, UnreachableError, idle, plan_of, publish

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000.0)


@pytest.fixture
def run(clock: FakeClock) -> Iterator[Run]:
    loop = VirtualLoop(clock)
    yield loop.run_until_complete
    loop.close()


def attempts(plan: Any, clock: FakeClock, deadline: float = 0.0) -> Attempts:
    return Attempts(plan, _REQUEST, clock, deadline, clock.sleep)


def aattempts(plan: Any, clock: FakeClock) -> AsyncAttempts:
    return AsyncAttempts(plan, _REQUEST, clock, 0.0, clock.asleep)


class _Request:
    method = "redis GET"


_REQUEST = _Request()


class Notes(Listener):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def attempt_started(self, call: Any, attempt: Any) -> dict[str, str]:
        self.told.append(attempt.number)
        return {"x": "1"}

    def attempt_finished(self, call: Any, attempt: Any, outcome: Outcome) -> None:
        self.told.append(outcome.cause)

    def call_finished(self, call: Any, outcome: Outcome | None) -> None:
        self.told.append("over")


def test_first_success_ends_the_loop(clock: FakeClock) -> None:
    """One block, one node, nothing held; the loop ends by itself."""
    notes = Notes()
    plan = plan_of("a", "b", listener=notes)
    hosts = []
    for attempt in attempts(plan, clock):
        with attempt as node:
            assert node.in_flight == 1
            hosts.append((node.host, node.port, dict(node.labels)))
    assert len(hosts) == 1
    assert idle(plan)
    assert notes.told == [1, "ok", "over"]


def test_failure_is_swallowed_and_retried_elsewhere(clock: FakeClock) -> None:
    """A retried failure does not leave its block; the next one has another node, after the pause."""
    plan = plan_of("a", "b")
    hosts = []
    for attempt in attempts(plan, clock):
        with attempt as node:
            hosts.append(node.host)
            if len(hosts) == 1:
                raise BrokenError
    assert len(set(hosts)) == 2
    assert len(clock.sleeps) == 1
    assert idle(plan)


def test_last_failure_is_raised_again(clock: FakeClock) -> None:
    """When there is no other attempt, the exception of the block is the one that comes out."""
    plan, seen = plan_of("a", "b", "c"), []
    with pytest.raises(UnreachableError) as caught:  # noqa: PT012 - the loop is the statement
        for attempt in attempts(plan, clock):
            with attempt:
                seen.append(UnreachableError())
                raise seen[-1]
    assert caught.value is seen[-1]
    assert len(seen) == 3
    assert idle(plan)


def test_own_exception_passes_through(clock: FakeClock) -> None:
    """What is not in `on` is the user's: raised at once, held against nobody."""
    notes = Notes()
    plan = plan_of("a", listener=notes)
    with pytest.raises(LookupError):  # noqa: PT012 - the loop is the statement
        for attempt in attempts(plan, clock):
            with attempt as node:
                raise LookupError
    assert node.failures == 0
    assert idle(plan)
    assert notes.told == [1, "cancelled", "over"]


def test_ignored_transport_error_is_raised(clock: FakeClock) -> None:
    """In `on` but nobody's failure (no free connection): raised, not retried."""
    plan = plan_of("a", "b")
    with pytest.raises(BusyError):  # noqa: PT012 - the loop is the statement
        for attempt in attempts(plan, clock):
            with attempt:
                raise BusyError
    assert idle(plan)


def test_break_and_return(clock: FakeClock) -> None:
    """Leaving from inside the block is a success; the lease is settled on the way out."""
    plan = plan_of("a")
    for attempt in attempts(plan, clock):
        with attempt:
            break
    assert idle(plan)

    def returning() -> str:
        for attempt in attempts(plan, clock):
            with attempt as node:
                return node.host
        raise AssertionError

    assert returning() == "a"
    assert idle(plan)


def test_attempt_never_entered(clock: FakeClock) -> None:
    """Leaving before entering holds nothing; going on without entering is said, not repeated for ever."""
    plan = plan_of("a")
    for _attempt in attempts(plan, clock):
        break
    assert idle(plan)
    count = 0
    with pytest.raises(RuntimeError, match="was not entered"):  # noqa: PT012 - the loop is the statement
        for _attempt in attempts(plan, clock):
            count += 1
    assert count == 1


def test_attempt_entered_twice(clock: FakeClock) -> None:
    """A block is one attempt."""
    plan = plan_of("a")
    loop = attempts(plan, clock)
    block = next(loop)
    with block:
        pass
    with pytest.raises(RuntimeError, match="entered once"), block:
        pass
    assert list(loop) == []


def test_loop_left_between_two_attempts(clock: FakeClock) -> None:
    """A probe's permit comes back although the loop was left after a swallowed failure, without a lock in the finaliser."""
    breaker = CircuitBreaker("orders", BreakerOptions(consecutive_failures=1, open_for=1.0), lambda: 0.5)
    breaker.record(breaker.admit(clock()), False, 0.1, clock())
    clock.advance(5.0)
    plan = plan_of("a", "b", breaker=breaker)
    for attempt in attempts(plan, clock):
        with attempt:
            raise BrokenError
        break
    del attempt
    gc.collect()
    assert len(plan.cluster.abandoned) == 1
    plan.cluster.collect(clock())
    assert breaker.state.value == "open", "what the call had met counts"


def test_refusals_are_raised_at_the_block(clock: FakeClock) -> None:
    """An open breaker, a full limit, no endpoint: entering raises, and the loop is over."""
    breaker = CircuitBreaker("orders", BreakerOptions(consecutive_failures=1), lambda: 0.5)
    breaker.record(breaker.admit(clock()), False, 0.1, clock())
    for plan, error in (
        (plan_of("a", breaker=breaker), RPC.errors.CircuitOpenError),
        (plan_of("a", limiter=_full()), RPC.errors.LimitExceededError),
    ):
        loop = attempts(plan, clock)
        with pytest.raises(error), next(loop):
            raise AssertionError
        assert list(loop) == []


def _full() -> Limiter:
    limiter = Limiter(LimitOptions(concurrency=1))
    limiter.acquire(0.0)
    return limiter


def test_budget_and_deadline_are_shared(clock: FakeClock) -> None:
    """No budget, no second block; and inside a block the ambient deadline is the attempt's."""
    plan = plan_of("a", "b", budget=RetryBudget(BudgetOptions(ratio=0.0, floor=0.0)), timeout=4.0)
    count = 0
    with pytest.raises(BrokenError):  # noqa: PT012 - the loop is the statement
        for attempt in attempts(plan, clock, clock() + 8.0):
            with attempt:
                count += 1
                assert AMBIENT.get() == clock() + 4.0
                raise BrokenError
    assert count == 1
    assert AMBIENT.get() == NEVER


def test_interrupted_pause(clock: FakeClock) -> None:
    """A signal during back-off ends the call."""
    plan = plan_of("a", "b", listener=(notes := Notes()))

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    loop = Attempts(plan, _REQUEST, clock, 0.0, interrupted)
    with next(loop):
        raise BrokenError
    with pytest.raises(KeyboardInterrupt):
        next(loop)
    assert notes.told == [1, "reset", "over"]
    assert list(loop) == []


def test_first_set_is_waited_for(clock: FakeClock) -> None:
    """Entering waits as any call does."""
    plan = plan_of()

    class Publishing:
        def __init__(self) -> None:
            self.left = 3

        def __call__(self) -> float:
            self.left -= 1
            if not self.left:
                publish(plan.cluster, "a")
            return clock()

    loop = Attempts(plan, _REQUEST, Publishing(), 0.0, clock.sleep)
    with next(loop) as node:
        assert node.host == "a"


def test_generator_that_is_dropped(clock: FakeClock) -> None:
    """A generator suspended inside a block and dropped settles by a note, not by a lock."""
    plan = plan_of("a")

    def rows() -> Iterator[int]:
        for attempt in attempts(plan, clock):
            with attempt:
                yield 1
                yield 2

    generator = rows()
    next(generator)
    with plan.cluster.lock:
        generator.close()
    assert not idle(plan)
    plan.cluster.collect(clock())
    assert idle(plan)


# --- async


def test_async_success_and_retry(run: Run, clock: FakeClock) -> None:
    """The same story with `async for` and `async with`."""
    notes = Notes()
    plan = plan_of("a", "b", listener=notes)

    async def main() -> list[str]:
        hosts = []
        async for attempt in aattempts(plan, clock):
            async with attempt as node:
                hosts.append(node.host)
                if len(hosts) == 1:
                    raise BrokenError
        return hosts

    assert len(set(run(main()))) == 2
    assert idle(plan)
    assert notes.told == [1, "reset", 2, "ok", "over"]


@pytest.mark.parametrize("caught", [(RpcError, TimeoutError), (RpcError,)])
def test_block_that_takes_too_long(
    run: Run, clock: FakeClock, caught: tuple[type[BaseException], ...]
) -> None:
    """It is cancelled when its time is up, counts as timed out, and the next node gets its turn."""
    plan = plan_of("a", "b", timeout=2.0)
    plan.transport_errors = caught

    async def main() -> list[str]:
        hosts = []
        async for attempt in aattempts(plan, clock):
            async with attempt as node:
                hosts.append(node.host)
                await asyncio.sleep(60.0 if len(hosts) == 1 else 0.0)
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        return hosts

    assert len(set(run(main()))) == 2
    assert idle(plan)


def test_last_timeout_is_raised(run: Run, clock: FakeClock) -> None:
    """The last block's timeout comes out as the call's error, with its history."""
    plan = plan_of("a", timeout=1.0, retry=None)

    async def main() -> None:
        async for attempt in aattempts(plan, clock):
            async with attempt:
                await asyncio.sleep(60.0)

    with pytest.raises(
        plan.family.errors.DeadlineExceededError, match="exceeded its deadline after 1 attempt"
    ):
        run(main())
    assert idle(plan)


@pytest.mark.parametrize("moment", ["block", "pause", "queue"])
def test_async_cancellation(run: Run, clock: FakeClock, moment: str) -> None:
    """Cancelled in the block, during back-off or in the queue: passed on, everything given back."""
    plan = plan_of("a", limiter=Limiter(LimitOptions(concurrency=1, queue=1)))

    async def work() -> None:
        async for attempt in aattempts(plan, clock):
            async with attempt:
                if moment == "pause":
                    raise BrokenError
                await asyncio.sleep(1.0)

    async def main() -> None:
        if moment == "queue":
            assert plan.limiter is not None
            plan.limiter.acquire(0.0)
        task = asyncio.ensure_future(work())
        await asyncio.sleep(0.001 if moment != "pause" else 0.0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        if moment == "queue":
            assert plan.limiter is not None
            plan.limiter.release()

    run(main())
    assert idle(plan)


def test_async_misuse(run: Run, clock: FakeClock) -> None:
    """Never entered, and break before entering."""
    plan = plan_of("a")

    async def main() -> None:
        async for _attempt in aattempts(plan, clock):
            break
        async for _attempt in aattempts(plan, clock):
            pass

    with pytest.raises(RuntimeError, match="was not entered"):
        run(main())
    assert idle(plan)


def test_async_own_exception(run: Run, clock: FakeClock) -> None:
    """The user's own exception passes through."""
    plan = plan_of("a")

    async def main() -> None:
        async for attempt in aattempts(plan, clock):
            async with attempt:
                raise LookupError

    with pytest.raises(LookupError):
        run(main())
    assert idle(plan)


def test_nested(run: Run, clock: FakeClock) -> None:
    """A loop inside a block obeys the outer attempt's time."""
    outer, inner = plan_of("a", timeout=2.0, retry=None), plan_of("b", timeout=60.0)

    async def main() -> float:
        begun = clock()
        with pytest.raises(outer.family.errors.DeadlineExceededError):  # noqa: PT012 - the loop is the statement
            async for attempt in aattempts(outer, clock):
                async with attempt:
                    async for nested in aattempts(inner, clock):
                        async with nested:
                            await asyncio.sleep(60.0)
        return clock() - begun

    assert run(main()) <= 2.011
    assert idle(outer)
    assert idle(inner)


def test_two_loops(clock: FakeClock) -> None:
    """One plan, two event loops, one after the other and one inside a thread of its own."""
    plan = plan_of("a")

    async def main() -> str:
        async for attempt in aattempts(plan, clock):
            async with attempt as node:
                await asyncio.sleep(0)
                return node.host
        raise AssertionError

    for _ in range(2):
        loop = VirtualLoop(clock)
        assert loop.run_until_complete(main()) == "a"
        loop.close()
    assert idle(plan)


def test_destroyed_async_block(run: Run, clock: FakeClock) -> None:
    """A coroutine destroyed inside its block, in its pause or in its queue takes no lock."""
    plan = plan_of("a", limiter=Limiter(LimitOptions(concurrency=1, queue=1)))

    async def work(pause: bool) -> None:
        async for attempt in aattempts(plan, clock):
            async with attempt:
                if pause:
                    raise BrokenError
                await asyncio.sleep(1.0)

    async def main() -> None:
        for pause in (False, True):
            coroutine = work(pause)
            coroutine.send(None)
            queued = work(False)
            if not pause:
                queued.send(None)
            assert plan.limiter is not None
            with plan.cluster.lock, plan.limiter._lock:
                queued.close()
                coroutine.close()
                del queued, coroutine
                gc.collect()
            plan.cluster.collect(clock())
            assert idle(plan)

    run(main())
