"""Streamed response bodies that carry their attempt's lease: in-flight counts last until the body is closed.

A failure in the body is reported to node and detector, never retried. A body that is dropped without being closed gives its
lease back through a queue, because a finaliser must not take a lock (house rule 11).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, cast

import httpx

from meshlib.engine.attempt import Attempt

__all__ = ["AsyncLeasedBody", "LeasedBody"]

Translate = Callable[[BaseException, httpx.Request], BaseException]


class _Leased:
    def __init__(
        self,
        stream: Any,
        attempt: Attempt,
        request: httpx.Request,
        clock: Callable[[], float],
        translate: Translate,
    ) -> None:
        self._stream = stream
        self._attempt = attempt
        self._request = request
        self._clock = clock
        self._translate = translate

    def _broken(self, error: Exception) -> BaseException:
        translated = self._translate(error, self._request)
        outcome = self._attempt.call.plan.classify_error(translated, self._attempt)
        self._attempt.release(self._clock(), outcome)
        return translated

    def __del__(self) -> None:
        self._attempt.abandon()


class LeasedBody(_Leased, httpx.SyncByteStream):
    """The sync body."""

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from cast("Iterable[bytes]", self._stream)
        except Exception as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Close the connection's stream and give the lease back."""
        try:
            if hasattr(self._stream, "close"):
                self._stream.close()
        finally:
            self._attempt.release(self._clock())


class AsyncLeasedBody(_Leased, httpx.AsyncByteStream):
    """The async body."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in cast("AsyncIterable[bytes]", self._stream):
                yield chunk
        except Exception as error:
            raise self._broken(error) from error

    async def aclose(self) -> None:
        """Close the connection's stream and give the lease back."""
        try:
            if hasattr(self._stream, "aclose"):
                await self._stream.aclose()
        finally:
            self._attempt.release(self._clock())
