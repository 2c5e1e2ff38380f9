"""Offload: blocking calls on daemon threads, awaited from the control loop.

asyncio's own executor is joined when the interpreter exits, so one `getaddrinfo` waiting for a dead name server would
hold up the exit for ten seconds and more. A daemon thread is simply left behind.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from meshlib.world import fork

__all__ = ["Offload"]

T = TypeVar("T")


class Offload:
    """Runs at most `limit` blocking calls at once; a further one waits its turn. For one loop at a time.

    A caller that is cancelled stops waiting; the thread ends when its call does and keeps its place until then.
    """

    def __init__(self, limit: int = 4, name: str = "meshlib-blocking") -> None:
        self._limit = limit
        self._name = name
        self._places: asyncio.Semaphore | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        fork.watch(self)

    def after_in_child(self) -> None:
        """The threads that held places do not exist here."""
        fork.abandon(self._places, self._loop)
        self._places = self._loop = None

    async def run(self, call: Callable[[], T]) -> T:
        """The result of `call()`, or what it raised (only Exception)."""
        loop = asyncio.get_running_loop()
        if self._places is None or self._loop is not loop:
            self._places, self._loop = asyncio.Semaphore(self._limit), loop
        places = self._places
        await places.acquire()
        future: asyncio.Future[T] = loop.create_future()
        try:
            threading.Thread(
                target=_work, args=(call, loop, future, places), name=self._name, daemon=True
            ).start()
        except BaseException:
            places.release()
            raise
        return await future


def _work(
    call: Callable[[], Any],
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[Any],
    places: asyncio.Semaphore,
) -> None:
    result: Any = None
    failure: Exception | None = None
    try:
        result = call()
    except Exception as error:
        failure = error
    try:
        loop.call_soon_threadsafe(_deliver, future, places, result, failure)
    except RuntimeError:
        pass  # the loop is closed: nobody waits any more


def _deliver(
    future: asyncio.Future[Any], places: asyncio.Semaphore, result: Any, failure: Exception | None
) -> None:
    places.release()
    if future.done():
        return
    if failure is None:
        future.set_result(result)
    elif isinstance(failure, StopIteration):
        future.set_exception(RuntimeError("the blocking call raised StopIteration"))
    else:
        future.set_exception(failure)
