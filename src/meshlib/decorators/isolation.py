"""Isolation: a bounded pool of daemon threads for calls that somebody stops waiting for."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import Any
from weakref import WeakValueDictionary

from meshlib.world import fork

__all__ = ["IDLE", "THREADS", "Isolation", "Job", "pool"]

THREADS = 32
"""Calls of one name at once, those included that nobody waits for any more. Hystrix gives a command 10 threads; the usual
Python server runs up to 40 requests at once, few of which make the same call at the same time."""

IDLE = 10.0
"""Seconds that a thread waits for its next call before it ends."""


class Job:
    """One call in the pool. `wait` until it is done, then take its `result`."""

    __slots__ = ("_call", "_done", "_error", "_value")

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call: Callable[[], Any] | None = call
        self._done = Event()
        self._error: BaseException | None = None
        self._value: Any = None

    def run(self) -> None:
        """On the pool's thread."""
        call, self._call = self._call, None
        assert call is not None
        try:
            self._value = call()
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._error = error

    def finish(self) -> None:
        """Wake whoever waits."""
        self._done.set()

    def wait(self, seconds: float | None) -> bool:
        """Whether it is done within that time."""
        return self._done.wait(seconds)

    def result(self) -> Any:
        """What the call returned; raises what it raised, also what is no Exception."""
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # the traceback holds this frame: no cycle
        return self._value


class Isolation:
    """At most `size` threads, made when needed and ended when idle. Nothing is queued. Thread-safe; a fork starts over.

    The threads are daemons: a call that hangs does not keep the process from ending.
    """

    def __init__(self, name: str, size: int = THREADS) -> None:
        self.name = name
        self.size = size
        self._start()
        fork.watch(self)

    def _start(self) -> None:
        self._lock = Lock()
        self._idle: list[SimpleQueue[Job]] = []
        self._threads = 0

    def after_in_child(self) -> None:
        """The threads do not exist here."""
        self._start()

    @property
    def busy(self) -> int:
        """Calls that run now."""
        with self._lock:
            return self._threads - len(self._idle)

    def submit(self, call: Callable[[], Any]) -> Job | None:
        """Run the call on a thread; None when all of them are busy. RuntimeError when the system gives no thread."""
        job = Job(call)
        with self._lock:
            if self._idle:
                self._idle.pop().put(job)
                return job
            if self._threads >= self.size:
                return None
            self._threads += 1
        inbox: SimpleQueue[Job] = SimpleQueue()
        inbox.put(job)
        try:
            Thread(target=self._work, args=(inbox,), name=f"meshlib-{self.name}", daemon=True).start()
        except BaseException:
            with self._lock:
                self._threads -= 1
            raise
        return job

    def _work(self, inbox: SimpleQueue[Job]) -> None:
        while True:
            try:
                job = inbox.get(timeout=IDLE)
            except Empty:
                with self._lock:
                    if inbox in self._idle:
                        self._idle.remove(inbox)
                        self._threads -= 1
                        return
                continue  # a call was handed over in the last moment
            job.run()
            with self._lock:
                over = self._threads > self.size
                if over:
                    self._threads -= 1
                else:
                    # Free before the caller knows: its next call must find this thread, not a full pool.
                    self._idle.append(inbox)
            job.finish()
            del job
            if over:
                return


_pools: WeakValueDictionary[str, Isolation] = WeakValueDictionary()
_lock = Lock()


class _Guard:
    """Gives the child of a fork a new lock."""

    def after_in_child(self) -> None:
        global _lock
        _lock = Lock()


_guard = _Guard()
fork.watch(_guard)


def pool(name: str, size: int) -> Isolation:
    """The pool of a name, with that size from now on. Its users hold it."""
    with _lock:
        found = _pools.get(name)
        if found is None:
            found = _pools[name] = Isolation(name, size)
        found.size = size
        return found
