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
from meshlib.drivers.notify import closed
from meshlib.drivers.wheel import Alarm, wheel
from meshlib.engine import failure
from meshlib.engine.attempt import Attempt
from meshlib.engine.call import BUFFERED, IDEMPOTENT, REPLAYABLE, Call
from meshlib.engine.node import Node
from meshlib.engine.plan import CallPlan

__all__ = ["ONCE", "REPEATABLE", "AsyncAttempts", "AsyncBlock", "Attempts", "Block"]

REPEATABLE = IDEMPOTENT | REPLAYABLE | BUFFERED
"""A block may be repeated whatever it has done: whoever writes the loop says so by writing it."""

ONCE = REPLAYABLE | BUFFERED
"""A block that is repeated only when it provably did nothing."""


class _Course:
    """What both kinds share: one call and the state of its blocks."""

    def __init__(
        self, plan: CallPlan, request: Any, clock: Callable[[], float], deadline: float, flags: int
    ) -> None:
        self.plan = plan
        self.request = request
        self.clock = clock
        self.deadline = deadline
        self.flags = flags
        self.call: Call | None = None
        self.pause: float | None = 0.0
        """Seconds before the next attempt; None when there is none."""
        self.failure: BaseException | None = None
        """What to raise for a block that was cancelled because its time was up, when that ended the call."""
        self.offered: bool = False
        """Whether a block was handed out that nobody has entered yet."""

    def offer(self) -> None:
        if self.offered:
            self.quit()
            raise RuntimeError(
                "an attempt was not entered: use `with attempt as node:` (or `async with`) in the loop"
            )
        self.offered = True

    def entered(self) -> Call:
        if not self.offered:
            raise RuntimeError("an attempt can be entered once: take the next one from the loop")
        self.offered = False
        if self.call is None:
            now = self.clock()
            try:
                self.call = sync.opened(self.plan, self.request, now, self.flags, self.deadline)
            except BaseException:
                self.pause = None
                raise
        return self.call

    def entering(self, attempt: Attempt) -> Token[float]:
        call = attempt.call
        if self.plan.listener is not None:
            attempt.headers = self.plan.listener.attempt_started(call, attempt)
        # Meshlib clients, waits and `deadline()` inside the block obey this attempt's bound.
        return AMBIENT.set(attempt.until)

    def left(self, attempt: Attempt, error: BaseException | None, *, late: bool = False) -> bool:
        """Settle the attempt. True when the block's exception is swallowed because a retry follows."""
        call, plan = attempt.call, self.plan
        if error is None:
            outcome = OK
        elif late or isinstance(error, plan.transport_errors):
            outcome = plan.classify_error(error, attempt)
        elif isinstance(error, GeneratorExit):
            self.call = self.pause = None
            call.abandon()  # perhaps from the collector: no lock may be taken (see drivers.aio)
            return False
        else:
            self.quit()
            return False
        self.pause = call.finish(attempt, outcome, self.clock())
        if plan.listener is not None:
            plan.listener.attempt_finished(call, attempt, outcome)
        if self.pause is None:
            if late and error is not None:
                # The block's own exception says only that it was cancelled; the call knows what it had tried.
                self.failure = failure.failed(call, error)
            self.quit()
            return False
        return True

    def quit(self) -> None:
        """The call is over."""
        call, self.call, self.pause = self.call, None, None
        if call is not None:
            closed(call, self.clock())

    def __del__(self) -> None:
        # The loop was left between two attempts.
        if self.call is not None:
            self.call.abandon()


class Attempts(_Course):
    """The sync form; see the module. `sleep` is injected by tests."""

    def __init__(
        self,
        plan: CallPlan,
        request: Any = None,
        clock: Callable[[], float] = time.monotonic,
        deadline: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
        flags: int = REPEATABLE,
    ) -> None:
        super().__init__(plan, request, clock, deadline, flags)
        self.sleep = sleep

    def __iter__(self) -> Attempts:
        return self

    def __next__(self) -> Block:
        if self.pause is None:
            raise StopIteration
        self.offer()
        if self.pause > 0.0:
            try:
                self.sleep(self.pause)
            except BaseException:
                self.quit()
                raise
        return Block(self)


class Block:
    """One attempt as a context manager; entering claims a node, leaving settles it."""

    __slots__ = ("_attempt", "_course", "_token")

    def __init__(self, course: Attempts) -> None:
        self._course = course

    def __enter__(self) -> Node:
        course = self._course
        call = course.entered()
        try:
            attempt = sync.begun(call, call.begin(course.clock()), course.clock)
        except BaseException:
            course.quit()
            raise
        self._attempt = attempt
        self._token = course.entering(attempt)
        return attempt.node

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
        flags: int = REPEATABLE,
    ) -> None:
        super().__init__(plan, request, clock, deadline, flags)
        self.sleep = sleep

    def __aiter__(self) -> AsyncAttempts:
        return self

    async def __anext__(self) -> AsyncBlock:
        if self.pause is None:
            raise StopAsyncIteration
        self.offer()
        if self.pause > 0.0:
            try:
                await self.sleep(self.pause)
            except BaseException as error:
                self._leave(error)
                raise
        return AsyncBlock(self)

    def _leave(self, error: BaseException) -> None:
        """The call ends while it waits. What the collector destroys is left to `__del__`, which takes no lock."""
        if not isinstance(error, GeneratorExit):
            self.quit()


class AsyncBlock:
    """One attempt as an async context manager; entering claims a node, leaving settles it."""

    __slots__ = ("_alarm", "_attempt", "_course", "_token")

    def __init__(self, course: AsyncAttempts) -> None:
        self._course = course

    async def __aenter__(self) -> Node:
        course = self._course
        call = course.entered()
        try:
            attempt = await aio.begun(call, call.begin(course.clock()), course.clock)
        except BaseException as error:
            course._leave(error)
            raise
        self._attempt = attempt
        self._token = course.entering(attempt)
        self._alarm: Alarm = wheel(course.clock).arm(attempt.until)
        return attempt.node

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        AMBIENT.reset(self._token)
        cancelled = isinstance(error, asyncio.CancelledError)
        if self._alarm.disarm(cancelled=cancelled):
            late = TimeoutError(aio.TIME_IS_UP)
            if self._course.left(self._attempt, late, late=True):
                return True
            raise self._course.failure or late from error
        return self._course.left(self._attempt, error)
