"""Watching: a resolver or provider coroutine, run step by step in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from meshlib.testing.clock import FakeClock
from meshlib.testing.virtual_loop import VirtualLoop

__all__ = ["Watching"]

T = TypeVar("T")


class Watching(Generic[T]):
    """One run of `watch(publish)` on a VirtualLoop of its own; a context manager that cancels it at the end.

    Between steps the coroutine stands still, so a test may look at `published` (and at `times`, the monotonic
    seconds of each), change its script and go on. Not for use inside a running event loop.
    """

    def __init__(
        self, watch: Callable[[Callable[[T], None]], Coroutine[Any, Any, None]], clock: FakeClock
    ) -> None:
        self.published: list[T] = []
        self.times: list[float] = []
        self._watch = watch
        self._clock = clock
        self._loop: VirtualLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def __enter__(self) -> Watching[T]:
        self._loop = VirtualLoop(self._clock)
        self._task = self._loop.create_task(self._watch(self._publish))
        self._task.add_done_callback(lambda _: self._changed.set())
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cancel the coroutine, let it clean up, and close the loop. Harmless when repeated."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        try:
            if self._task is not None and not self._task.done():
                self._task.cancel()
                loop.run_until_complete(asyncio.wait({self._task}))
            if self._task is not None and not self._task.cancelled():
                self._task.exception()  # seen by `until`, or nobody's concern any more
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    @property
    def done(self) -> bool:
        """Whether the coroutine has ended, by itself or with an error."""
        return self._task is not None and self._task.done()

    def until(self, count: int, *, within: float = 3600.0) -> list[T]:
        """Run until `count` publications in all, and return them.

        Raises what the coroutine raised, and AssertionError when it ended or `within` virtual seconds passed first.
        """
        loop, task = self._running()
        try:
            loop.run_until_complete(self._reach(count, within))
        except TimeoutError:
            raise AssertionError(
                f"published {len(self.published)} of {count} in {within:g} s of virtual time"
            ) from None
        if len(self.published) < count:
            task.result()
            raise AssertionError(f"ended after {len(self.published)} of {count} publications")
        return self.published

    def advance(self, seconds: float) -> list[T]:
        """Run for that many virtual seconds and return all that was published until then; errors come out."""
        loop, task = self._running()
        loop.run_until_complete(asyncio.sleep(seconds))
        if task.done():
            task.result()
        return self.published

    def _publish(self, item: T) -> None:
        self.published.append(item)
        self.times.append(self._clock())
        self._changed.set()

    async def _reach(self, count: int, within: float) -> None:
        async with asyncio.timeout(within):
            while len(self.published) < count and not self.done:
                self._changed.clear()
                await self._changed.wait()

    def _running(self) -> tuple[VirtualLoop, asyncio.Task[None]]:
        if self._loop is None or self._task is None:
            raise RuntimeError("not started, or closed: use `with io.watching(...) as watching:`")
        return self._loop, self._task
