"""Background: the one event-loop thread of the process on which everything of the control path runs.

All meshes and clients share it. It starts at the first use, never at import, and a blocked application loop never
stops it. In a forked child it is gone; the next use there starts a new one (house rule 16).
"""

from __future__ import annotations

import asyncio
import atexit
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Any

from meshlib.world import fork
from meshlib.world.handle import Factory, Handle, Report
from meshlib.world.offload import Offload

__all__ = ["Background", "Handle", "background"]


class _Loop(asyncio.SelectorEventLoop):
    """asyncio's loop, except that a look-up by name runs on a thread nobody has to wait for at exit."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        super().__init__(selector)
        self._names = Offload(8, "meshlib-names")

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        return await self._names.run(lambda: socket.getaddrinfo(host, port, family, type, proto, flags))


class Background:
    """One daemon thread with one event loop, started by the first `spawn` or `call_soon`. Thread-safe, fork-safe."""

    def __init__(self, name: str = "meshlib-control") -> None:
        self.name = name
        self._reset()
        fork.watch(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._loop: _Loop | None = None
        self._selector: selectors.BaseSelector | None = None
        self._thread: threading.Thread | None = None
        self._handles: set[Handle] = set()

    @property
    def running(self) -> bool:
        """True while the thread lives."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    @property
    def inside(self) -> bool:
        """True on the background thread itself."""
        return threading.current_thread() is self._thread

    def spawn(self, factory: Factory, report: Report | None = None, name: str = "meshlib") -> Handle:
        """Run `factory()` on the loop. An exception that ends it goes to `report`, on the loop's thread; without one
        it is logged. Cancellation is not reported."""
        with self._lock:
            loop = self._started()
            handle = Handle(loop, report, name)
            loop.call_soon_threadsafe(handle.start, factory, self._handles)
        return handle

    def call_soon(self, call: Callable[..., object], *arguments: object) -> None:
        """Call on the loop's thread, soon. What it raises is logged by the loop."""
        with self._lock:
            self._started().call_soon_threadsafe(call, *arguments)

    def stop(self, timeout: float = 1.0) -> bool:
        """Cancel everything and end the thread; False when it did not come to its end within `timeout` seconds.

        The next use starts a new thread. From the background thread itself it returns at once.
        """
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = self._selector = None
            self._handles = set()
        if loop is None or thread is None:
            return True
        try:
            loop.call_soon_threadsafe(loop.stop)
        except RuntimeError:
            pass  # it has ended by itself
        if threading.current_thread() is thread:
            return False
        thread.join(timeout)
        return not thread.is_alive()

    def after_in_child(self) -> None:
        """The thread does not exist here and its loop's kernel objects are the parent's: replace, never close."""
        loop, selector = self._loop, self._selector
        if loop is not None and selector is not None:
            fork.abandon(loop, selector, self._thread, self._handles, *asyncio.all_tasks(loop))
            descriptors = [key.fd for key in selector.get_map().values()]
            epoll = getattr(selector, "fileno", None)
            fork.silence([*descriptors, epoll()] if epoll is not None else descriptors)
            for handle in self._handles:
                handle.forget()
        self._reset()

    def _started(self) -> _Loop:
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            return loop
        self._selector = selectors.DefaultSelector()
        loop = self._loop = _Loop(self._selector)
        self._handles = set()
        self._thread = threading.Thread(target=_run, args=(loop,), name=self.name, daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._loop = self._thread = self._selector = None
            loop.close()
            raise
        return loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        try:
            loop.run_until_complete(_drain(loop))
        finally:
            asyncio.set_event_loop(None)
            loop.close()


async def _drain(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        # Half a second of the one that `stop` promises: work that ignores its cancellation is left behind.
        await asyncio.wait(tasks, timeout=0.5)
    try:
        await asyncio.wait_for(loop.shutdown_asyncgens(), 0.2)
    except TimeoutError:
        pass


_process: Background | None = None
_process_lock = threading.Lock()


class _ProcessGuard:
    """Gives the child of a fork a new lock for the process-wide instance."""

    def after_in_child(self) -> None:
        global _process_lock
        _process_lock = threading.Lock()


_guard = _ProcessGuard()
fork.watch(_guard)


def background() -> Background:
    """The process-wide Background, made (not started) by the first call. Stopped within a second at exit."""
    global _process
    with _process_lock:
        if _process is None:
            _process = Background()
            atexit.register(_process.stop, 1.0)
        return _process
