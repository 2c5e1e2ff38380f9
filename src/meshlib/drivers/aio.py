"""The driver for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from meshlib.core.deadline import NEVER
from meshlib.core.wait import Wait
from meshlib.drivers.notify import failed, settled
from meshlib.drivers.sync import Clock
from meshlib.drivers.wheel import Alarm, wheel
from meshlib.engine.attempt import Attempt
from meshlib.engine.call import Call
from meshlib.engine.plan import CallPlan

__all__ = ["TIME_IS_UP", "begun", "drive", "wait"]

Request = TypeVar("Request")

TIME_IS_UP = "the attempt's time was up"


async def drive(
    plan: CallPlan,
    request: Request,
    send: Callable[[Attempt, Request], Awaitable[Any]],
    clock: Clock = time.monotonic,
    flags: int = 0,
    deadline: float = 0.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    loop: asyncio.AbstractEventLoop | None = None,
) -> Any:
    """Run one call to its reply, or raise the error that it ends with; see `drivers.sync.drive`.

    `loop` is the running one, for a caller who has it in hand: asking for it is a system call before Python 3.12.

    An attempt that outlives `attempt.until` is cancelled by the loop's deadline wheel and counts as timed out; the
    caller's own cancellation passes through untouched.
    """
    listener, timers, now = plan.listener, wheel(clock, loop), clock()
    call, reply = None, None
    try:
        call = plan.open(request, now, flags, deadline)
        if listener is not None:
            listener.call_started(call)
        while True:
            step = call.begin(now)
            if not isinstance(step, Attempt):
                step = await begun(call, step, clock)
            if listener is not None:
                step.headers = listener.attempt_started(call, step)
            alarm = timers.arm(step.until, step.started)
            try:
                reply = await send(step, request)
                outcome = plan.classify(reply)
            except asyncio.CancelledError:
                reply = _late(alarm)
                outcome = plan.classify_error(reply, step)
            except plan.transport_errors as error:
                reply, outcome = error, plan.classify_error(error, step)
            finally:
                alarm.disarm()
            delay = call.finish(step, outcome, clock())
            if listener is not None:
                listener.attempt_finished(call, step, outcome)
            if delay is None:
                break
            await _pause(plan, reply, delay, sleep)
            now = clock()
        if not outcome.ok:
            reply = await _settle(call, reply)
    except BaseException as error:
        failed(plan, call, error, reply, clock())
        reply = None  # see drivers.sync
        raise
    if listener is not None or plan.events:
        settled(call)
    call.last = None  # see drivers.sync
    return reply


def _late(alarm: Alarm) -> TimeoutError:
    """What a cancelled attempt brought: a timeout if it was the wheel's doing, whatever the family takes for an error."""
    if alarm.disarm(cancelled=True):
        return TimeoutError(TIME_IS_UP)
    raise  # the CancelledError that the driver is handling


async def _pause(plan: CallPlan, reply: Any, delay: float, sleep: Callable[[float], Awaitable[None]]) -> None:
    """What a retry replaces is closed before the pause."""
    await plan.family.adiscard(reply)
    if delay > 0.0:
        await sleep(delay)


async def _settle(call: Call, reply: Any) -> Any:
    """See drivers.sync."""
    if call.rejects():
        await call.plan.family.adiscard(reply)
    return call.settle(reply)


async def begun(call: Call, step: Attempt | Wait, clock: Clock) -> Attempt:
    """The attempt, after every Wait that stands before it."""
    while not isinstance(step, Attempt):
        await wait(step, clock)
        step = call.begin(clock())
    return step


async def wait(turn: Wait, clock: Clock) -> None:
    """Sit out a Wait until it is granted or its time is up. The grant may come from any thread."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        # Raises RuntimeError when the loop is closed: Wait.wake then passes the turn on.
        if asyncio._get_running_loop() is loop:
            _set(future)
        else:
            loop.call_soon_threadsafe(_set, future)

    if turn.attach(wake):
        return
    timer = None
    if turn.until != NEVER:
        timer = loop.call_later(max(0.0, turn.until - clock()), _set, future)
    try:
        await future
    finally:
        if timer is not None:
            timer.cancel()


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
