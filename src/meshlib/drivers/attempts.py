"""The third driver: the user's own loop drives the call (`mesh.attempts`).

    async for attempt in mesh.attempts("orders"):
        async with attempt as node:
            ...

An object with `__anext__` and a context manager an attempt, never a generator: nothing is held between the two, the node is
claimed when the block is entered and the lease is settled when it is left, whichever way. What the block raises is
classified: an exception in `on` is the attempt's failure (retried on another node, the last one re-raised), any other one is
the user's own and passes through with the attempt IGNORED.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import Token
from types import TracebackType
from typing import Any

from meshlib.core.deadline import AMBIENT
from meshlib.core.outcome import OK
from meshlib.drivers import aio, sync
from meshlib.drivers.wheel import Alarm, wheel
from meshlib.engine.attempt import Attempt
from meshlib.engine.call import BUFFERED, IDEMPOTENT, REPLAYABLE, Call
from meshlib.engine.node import Node
from meshlib.engine.plan import CallPlan

__all__ = ["AsyncAttempts", "AsyncBlock", "Attempts", "Block"]

_FLAGS = IDEMPOTENT | REPLAYABLE | BUFFERED


class _Course:
    """What both kinds share: one call and the state of its blocks."""

    def __init__(
        self, plan: CallPlan, request: Any, clock: Callable[[], float], deadline: float = 0.0
    ) -> None:
        self.plan = plan
        self.request = request
        self.clock = clock
        self.deadline = deadline
        self.call: Call | None = None
        self.pause: float | None = 0.0
        """Seconds before the next attempt; None when there is none."""

    def opened(self) -> Call:
        if self.call is None:
            self.call = sync.opened(self.plan, self.request, self.clock, _FLAGS, self.deadline)
        return self.call

    def entering(self, attempt: Attempt) -> Token[float]:
        call = attempt.call
        if self.plan.listener is not None:
            attempt.headers = self.plan.listener.attempt_started(call, attempt)
        # Meshlib clients, waits and `deadline()` inside the block obey this attempt's bound.
        return AMBIENT.set(attempt.until)

    def left(self, attempt: Attempt, error: BaseException | None) -> bool:
        """Settle the attempt. True when the block's exception is swallowed because a retry follows."""
        call, plan = attempt.call, self.plan
        if error is None:
            outcome = OK
        elif isinstance(error, plan.transport_errors):
            outcome = plan.classify_error(error, attempt)
        else:
            self.ended(call)
            return False
        self.pause = call.finish(attempt, outcome, self.clock())
        if plan.listener is not None:
            plan.listener.attempt_finished(call, attempt, outcome)
        if self.pause is None:
            self.ended(call)
            return False
        return True

    def ended(self, call: Call) -> None:
        self.pause = None
        call.close(self.clock())
        sync.settled(call)


class Attempts(_Course):
    """The sync form; see the module. `sleep` is injected by tests."""

    def __init__(
        self,
        plan: CallPlan,
        request: Any = None,
        clock: Callable[[], float] = time.monotonic,
        deadline: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(plan, request, clock, deadline)
        self.sleep = sleep

    def __iter__(self) -> Attempts:
        return self

    def __next__(self) -> Block:
        if self.pause is None:
            raise StopIteration
        if self.pause > 0.0:
            self.sleep(self.pause)
        return Block(self)


class Block:
    """One attempt as a context manager; entering claims a node, leaving settles it."""

    __slots__ = ("_attempt", "_course", "_token")

    def __init__(self, course: Attempts) -> None:
        self._course = course

    def __enter__(self) -> Node:
        course = self._course
        call = course.opened()
        try:
            while True:
                step = call.begin(course.clock())
                if isinstance(step, Attempt):
                    break
                sync.wait(step, course.clock)
        except BaseException:
            course.ended(call)
            raise
        self._attempt = step
        self._token = course.entering(step)
        return step.node

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        AMBIENT.reset(self._token)
        return self._course.left(self._attempt, error)


class AsyncAttempts(_Course):
    """The async form; see the module. An attempt that outlives its time is cancelled and counts as timed out."""

    def __init__(
        self,
        plan: CallPlan,
        request: Any = None,
        clock: Callable[[], float] = time.monotonic,
        deadline: float = 0.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(plan, request, clock, deadline)
        self.sleep = sleep

    def __aiter__(self) -> AsyncAttempts:
        return self

    async def __anext__(self) -> AsyncBlock:
        if self.pause is None:
            raise StopAsyncIteration
        if self.pause > 0.0:
            await self.sleep(self.pause)
        return AsyncBlock(self)


class AsyncBlock:
    """One attempt as an async context manager; entering claims a node, leaving settles it."""

    __slots__ = ("_alarm", "_attempt", "_course", "_token")

    def __init__(self, course: AsyncAttempts) -> None:
        self._course = course

    async def __aenter__(self) -> Node:
        course = self._course
        call = course.opened()
        try:
            while True:
                step = call.begin(course.clock())
                if isinstance(step, Attempt):
                    break
                await aio.wait(step, course.clock)
        except BaseException:
            course.ended(call)
            raise
        self._attempt = step
        self._token = course.entering(step)
        self._alarm: Alarm = wheel(course.clock).arm(step.until)
        return step.node

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        AMBIENT.reset(self._token)
        cancelled = isinstance(error, asyncio.CancelledError)
        if self._alarm.disarm(cancelled=cancelled):
            late = TimeoutError("the attempt's time was up")
            if self._course.left(self._attempt, late):
                return True
            raise late from error
        return self._course.left(self._attempt, error)
