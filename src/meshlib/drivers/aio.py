"""The driver for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from meshlib.core.deadline import NEVER
from meshlib.core.wait import Wait
from meshlib.drivers.notify import closed, deliver, settled
from meshlib.drivers.sync import Clock
from meshlib.drivers.wheel import wheel
from meshlib.engine.attempt import Attempt
from meshlib.engine.plan import CallPlan

__all__ = ["TIME_IS_UP", "drive", "wait"]

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
) -> Any:
    """Run one call to its reply, or raise the error that it ends with; see `drivers.sync.drive`.

    An attempt that outlives `attempt.until` is cancelled by the loop's deadline wheel and counts as timed out; the
    caller's own cancellation passes through untouched.
    """
    timers = wheel(clock)
    now = clock()
    listener = plan.listener
    try:
        call = plan.open(request, now, flags, deadline)
    except BaseException:
        deliver(plan)  # what refused it may have just been noted
        raise
    try:
        if listener is not None:
            listener.call_started(call)
        while True:
            step = call.begin(now)
            if step.__class__ is not Attempt:
                await wait(step, clock)  # type: ignore[arg-type]
                now = clock()
                continue
            attempt: Attempt = step
            if listener is not None:
                attempt.headers = listener.attempt_started(call, attempt)
            alarm = timers.arm(attempt.until, now)
            try:
                reply = await send(attempt, request)
                outcome = plan.classify(reply)
            except asyncio.CancelledError:
                if not alarm.disarm(cancelled=True):
                    raise
                # Ours whatever the family takes for a transport error.
                reply = TimeoutError(TIME_IS_UP)
                outcome = plan.classify_error(reply, attempt)
            except plan.transport_errors as error:
                reply = error
                outcome = plan.classify_error(error, attempt)
            finally:
                alarm.disarm()
            delay = call.finish(attempt, outcome, clock())
            if listener is not None:
                listener.attempt_finished(call, attempt, outcome)
            if delay is None:
                break
            await plan.family.adiscard(reply)
            if delay > 0.0:
                await sleep(delay)
            now = clock()
        if not outcome.ok:
            if call.rejects():
                await plan.family.adiscard(reply)
            reply = call.settle(reply)
    except GeneratorExit:
        # The collector found a task that nobody finished; it may have interrupted the holder of the very lock that
        # closing takes.
        call.abandon()
        raise
    except BaseException:
        reply = None  # see drivers.sync
        closed(call, clock())
        raise
    if listener is not None or plan.events:
        settled(call)
    call.last = None  # see drivers.sync
    return reply


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
