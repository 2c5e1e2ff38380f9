"""Streamed response bodies that carry their attempt's lease: in-flight counts last until the body is closed.

A failure in the body is reported to node and detector, never retried. A body that is dropped without being closed gives back
its lease and its connection through queues, because a finaliser must not take a lock (house rule 11); so does one that the
collector closes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from meshlib.engine.attempt import Attempt
from meshlib.transport.collector import collecting, watch

__all__ = ["AsyncLeased", "OpenBodies", "SyncLeased"]

Translate = Callable[[BaseException, Any], BaseException]


class OpenBodies:
    """What the open bodies of one wire read from.

    Held here and not by the body alone: a dropped stream would be closed by the collector, and closing takes the pool's lock,
    which the very thread that collects may hold. `over` is called after each body that was closed. Thread-safe.
    """

    __slots__ = ("_dropped", "_held", "clock", "forked", "over")

    def __init__(self, clock: Callable[[], float], over: Callable[[], None] | None = None) -> None:
        self.clock: Callable[[], float] = clock
        self.over: Callable[[], None] | None = over
        self.forked: bool = False
        """True in the child of a fork: leases and connections of these bodies are the parent's."""
        self._held: dict[Attempt, tuple[Any, ...]] = {}
        self._dropped: deque[Attempt] = deque()
        watch()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, attempt: Attempt, *sources: Any) -> None:
        """A body reads from these, and they stay until it is closed."""
        self._held[attempt] = sources

    def leave(self, attempt: Attempt) -> None:
        """The body is closed."""
        self._held.pop(attempt, None)
        if self.over is not None:
            self.over()

    def drop(self, attempt: Attempt) -> None:
        """From a finaliser: nobody will close this body."""
        if attempt in self._held:
            self._dropped.append(attempt)
        attempt.abandon()

    @property
    def orphaned(self) -> bool:
        """Whether bodies were dropped whose streams are still to be closed."""
        return bool(self._dropped)

    def orphans(self) -> list[Any]:
        """The streams that dropped bodies left behind, for the caller to close."""
        found = []
        while self._dropped:
            try:
                sources = self._held.pop(self._dropped.popleft(), None)
            except IndexError:
                break
            if sources is not None:
                found.append(sources[0])
        return found


class _Leased:
    def __init__(
        self, stream: Any, attempt: Attempt, request: Any, bodies: OpenBodies, translate: Translate
    ) -> None:
        self._stream = stream
        self._parts: Any = None
        self._attempt = attempt
        self._request = request
        self._bodies = bodies
        self._translate = translate
        bodies.hold(attempt, stream)

    def _started(self, parts: Any) -> None:
        self._parts = parts
        self._bodies.hold(self._attempt, self._stream, parts)

    def _broken(self, error: Exception) -> BaseException:
        """The error as the family's; a failure of the transport is the node's, anything else nobody's."""
        translated = self._translate(error, self._request)
        plan = self._attempt.call.plan
        if isinstance(translated, plan.transport_errors) and not self._bodies.forked:
            self._attempt.release(self._bodies.clock(), plan.classify_error(translated, self._attempt))
        return translated

    def _left(self) -> None:
        if not self._bodies.forked:
            self._bodies.leave(self._attempt)
            self._attempt.release(self._bodies.clock())

    def __del__(self) -> None:
        self._bodies.drop(self._attempt)


class SyncLeased(_Leased):
    """The sync body, for a family's class of streams.

    An iterator of its own and no generator, because a dropped generator runs its `finally`.
    """

    def __iter__(self) -> Iterator[bytes]:
        self._started(iter(self._stream))
        return self

    def __next__(self) -> bytes:
        try:
            part: bytes = next(self._parts)
        except StopIteration:
            raise
        except Exception as error:
            translated = self._broken(error)
            if translated is error:
                raise
            raise translated from error
        return part

    def close(self) -> None:
        """Close the connection's stream and give the lease back."""
        if collecting():  # a dropped generator's `finally`
            self._bodies.drop(self._attempt)
            return
        try:
            if not self._bodies.forked:
                self._stream.close()
        finally:
            self._left()


class AsyncLeased(_Leased):
    """The async body, for a family's class of streams."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._started(aiter(self._stream))
        return self

    async def __anext__(self) -> bytes:
        try:
            part: bytes = await anext(self._parts)
        except StopAsyncIteration:
            raise
        except Exception as error:
            translated = self._broken(error)
            if translated is error:
                raise
            raise translated from error
        return part

    async def aclose(self) -> None:
        """Close the connection's stream and give the lease back."""
        if (
            collecting() or asyncio._get_running_loop() is None
        ):  # a dropped generator that no loop looks after
            self._bodies.drop(self._attempt)
            return
        try:
            if not self._bodies.forked:
                await self._stream.aclose()
        finally:
            self._left()
