"""Handle: a coroutine on the background loop, held from any thread."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Factory", "Handle", "Report"]

logger: logging.Logger = logging.getLogger("meshlib.world")

Factory = Callable[[], Coroutine[Any, Any, object]]
Report = Callable[[BaseException], None]


class Handle:
    """A coroutine running in the background. Every method may be called from any thread."""

    __slots__ = ("_cancelled", "_finished", "_loop", "_report", "_task", "name")

    def __init__(self, loop: asyncio.AbstractEventLoop, report: Report | None, name: str) -> None:
        self.name: str = name
        self._loop: asyncio.AbstractEventLoop | None = loop
        self._report = report
        self._task: asyncio.Task[object] | None = None
        self._cancelled = False
        self._finished = threading.Event()

    @property
    def done(self) -> bool:
        """True once the coroutine has ended, however it did."""
        return self._finished.is_set()

    def cancel(self) -> None:
        """Ask the coroutine to stop; returns at once. Nothing happens when it has ended, or in a forked child."""
        self._cancelled = True
        loop = self._loop
        if loop is not None and not self._finished.is_set():
            try:
                loop.call_soon_threadsafe(self._cancel)
            except RuntimeError:
                pass  # the loop is closed, and everything on it has ended

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the coroutine has ended; False when `timeout` seconds passed first. Not for event loops."""
        return self._finished.wait(timeout)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def forget(self) -> None:
        """In a forked child: the loop this runs on is the parent's."""
        self._loop = None

    def start(self, factory: Factory, handles: set[Handle]) -> None:
        """On the loop: begin, and stay in `handles` until the end (the loop itself keeps tasks only weakly)."""
        if self._cancelled:
            self._finished.set()
            return
        try:
            task = asyncio.get_running_loop().create_task(factory(), name=self.name)
        except Exception as error:
            self._settle(error)
            return
        self._task = task
        handles.add(self)
        task.add_done_callback(lambda ended: self._ended(ended, handles))

    def _ended(self, task: asyncio.Task[object], handles: set[Handle]) -> None:
        handles.discard(self)
        self._task = None
        self._settle(None if task.cancelled() else task.exception())

    def _settle(self, error: BaseException | None) -> None:
        self._loop = None
        self._finished.set()
        if error is None:
            return
        try:
            if self._report is not None:
                self._report(error)
            else:
                logger.error("background work %s failed", self.name, exc_info=error)
        except Exception:
            logger.exception("reporting the failure of background work %s failed", self.name)
