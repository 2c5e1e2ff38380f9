"""`with deadline(0.8):` bounds everything inside, whichever service it calls."""

from __future__ import annotations

from contextvars import Token
from types import TracebackType

from meshlib.core.deadline import AMBIENT, NEVER, remaining
from meshlib.world.clock import monotonic

__all__ = ["deadline"]


class deadline:
    """A context manager, sync and async: calls, waits and nested deadlines inside obey the sooner of theirs and this one.

    `seconds` from now, starting when the block is entered; None shields the block from any outer deadline (work that must
    outlive its request). `deadline.remaining()` is what is left right here, in seconds, None without a deadline. Carried by
    contextvars: tasks and `copy_context` inherit it, plain threads do not. Raises nothing by itself.
    """

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float | None) -> None:
        if seconds is not None and not seconds >= 0:
            raise ValueError(f"deadline takes seconds from 0 up, or None, got {seconds!r}")
        self._seconds = seconds
        self._token: Token[float] | None = None

    def __enter__(self) -> deadline:
        if self._seconds is None:
            until = NEVER
        else:
            until = min(AMBIENT.get(), monotonic() + self._seconds)
        self._token = AMBIENT.set(until)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        token, self._token = self._token, None
        if token is not None:
            AMBIENT.reset(token)

    async def __aenter__(self) -> deadline:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    @staticmethod
    def remaining() -> float | None:
        """Seconds left in this context (0 when the deadline has passed), None without one."""
        return remaining(monotonic())
