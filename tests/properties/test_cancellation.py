"""A call cancelled at any await gives back everything it held."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlib.drivers import aio
from meshlib.engine import BUFFERED, IDEMPOTENT, REPLAYABLE, CallPlan
from meshlib.resilience import (
    BreakerOptions,
    CircuitBreaker,
    EjectionOptions,
    Limiter,
    LimitOptions,
    OutlierDetector,
    State,
)
from meshlib.testing import FakeClock, VirtualLoop
from tests.rpc import Family, Reply, Request, Servers, UnreachableError, idle, plan_of, publish

SAFE = IDEMPOTENT | REPLAYABLE | BUFFERED


class Stepper:
    """Awaits a coroutine, counting its suspensions; at the chosen one it acts before going on."""

    def __init__(self, inner: Coroutine[Any, Any, Any], at: int, act: Any) -> None:
        self.inner, self.at, self.act, self.count = inner, at, act, 0

    def __await__(self) -> Generator[Any, Any, Any]:
        value, error = None, None
        while True:
            try:
                yielded = self.inner.throw(error) if error is not None else self.inner.send(value)
            except StopIteration as end:
                return end.value
            error = None
            if self.count == self.at:
                self.act()
            self.count += 1
            try:
                value = yield yielded
            except BaseException as raised:
                error = raised


class Slow(Family):
    """Discarding a reply takes a moment, too."""

    async def adiscard(self, reply: Any) -> None:
        await asyncio.sleep(0.001)


def world(kind: str) -> tuple[FakeClock, CallPlan, Servers]:
    """A call that passes through every kind of await: first set, queue, send, discard, back-off."""
    clock = FakeClock(1000.0)
    breaker = CircuitBreaker("orders", BreakerOptions(consecutive_failures=1, open_for=1.0), lambda: 0.5)
    plan = plan_of(
        breaker=breaker,
        limiter=Limiter(LimitOptions(concurrency=1, queue=5)),
        detector=OutlierDetector(EjectionOptions(), lambda: 0.5),
        balancer="p2c",
    )
    plan.family = Slow()
    breaker.record(breaker.admit(clock()), False, 0.1, clock())
    clock.advance(5.0)  # half-open: the permit is the only probe
    script = {
        "bad": [(0.1, Reply("UNAVAILABLE")), (0.1, UnreachableError()), (0.1, Reply("UNAVAILABLE"))],
        "good": [(0.1, UnreachableError()), (0.1, Reply("UNAVAILABLE")), (0.1, Reply())],
        "hang": [(60.0, Reply()), (60.0, Reply()), (0.1, Reply())],
    }[kind]
    servers = Servers(clock)
    for host in ("a", "b"):
        servers.answers[f"{host}:1"] = lambda attempt, request: script.pop(0)
    return clock, plan, servers


def played(kind: str, flags: int, at: int) -> int:
    """Run one call; at its suspension number `at` cancel it. The number of suspensions."""
    clock, plan, servers = world(kind)
    loop = VirtualLoop(clock)
    try:
        return loop.run_until_complete(_played(clock, plan, servers, flags, at))
    finally:
        loop.close()


async def _played(clock: FakeClock, plan: CallPlan, servers: Servers, flags: int, at: int) -> int:
    loop = asyncio.get_running_loop()
    assert plan.limiter is not None
    assert plan.limiter.acquire(0.0) is True
    loop.call_later(0.5, publish, plan.cluster, "a", "b")
    loop.call_later(1.0, plan.limiter.release)

    def interfere() -> None:
        # While the call is suspended, and in the same turn of the loop.
        loop.call_soon(task.cancel)

    steps = Stepper(aio.drive(plan, Request(), servers.asend, clock, flags, 0.0, clock.asleep), at, interfere)

    async def main() -> Any:
        return await steps

    task: asyncio.Task[Any] = asyncio.ensure_future(main())
    await asyncio.wait([task])
    await asyncio.sleep(2.0)
    if not flags & BUFFERED:
        _close_streams(plan, clock)
    assert idle(plan)
    assert not plan.cluster._expecting
    assert plan.breaker is not None
    if plan.breaker.state is State.HALF_OPEN:
        assert plan.breaker.admit(clock()), "the probe is free again"
    if task.cancelled():
        assert steps.count > at
    return steps.count


def _close_streams(plan: CallPlan, clock: FakeClock) -> None:
    """What a streamed reply took along belongs to its body."""
    for node in plan.cluster.nodes.values():
        assert node.in_flight <= 1
        node.in_flight = 0
    assert plan.limiter is not None
    assert plan.limiter.used <= 1
    plan.limiter.used = 0


@pytest.mark.parametrize("kind", ["good", "bad", "hang"])
@pytest.mark.parametrize("flags", [SAFE, SAFE & ~BUFFERED])
def test_cancelled_at_every_await(kind: str, flags: int) -> None:
    """Cancel at the first suspension, the second, and so on to the last."""
    total = played(kind, flags, -1)
    assert total > 5
    for at in range(total):
        played(kind, flags, at)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["good", "bad", "hang"]), st.lists(st.integers(0, 8), min_size=2, max_size=5))
def test_cancelled_among_others(kind: str, moments: list[int]) -> None:
    """Several calls over one limit, each cancelled somewhere: the turns pass on and nothing stays."""
    clock, plan, servers = world("good")
    servers.answers = {f"{host}:1": lambda attempt, request: (0.1, Reply()) for host in "ab"}
    plan.breaker = None
    publish(plan.cluster, "a", "b")
    loop = VirtualLoop(clock)

    async def main() -> None:
        def cancelling(number: int) -> Any:
            return lambda: loop.call_soon(tasks[number].cancel)

        async def one(number: int, at: int) -> Any:
            call = aio.drive(plan, Request(), servers.asend, clock, SAFE, 0.0, clock.asleep)
            return await Stepper(call, at, cancelling(number))

        tasks = [asyncio.ensure_future(one(number, at)) for number, at in enumerate(moments)]
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                assert task.exception() is None or isinstance(task.exception(), Exception)

    loop.run_until_complete(main())
    loop.close()
    assert idle(plan)
