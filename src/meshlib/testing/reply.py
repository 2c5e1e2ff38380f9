"""Reply: an answer that belongs to no protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from meshlib.testing.script import yielded

__all__ = ["Reply"]

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Reply:
    """What an RPC brings back: a status code's name, metadata, and messages (one when unary, any number streamed).

    With `streamed` the messages come one by one, from `for` or `async for`, and an exception among them breaks the
    stream at its place; `closed` tells whether somebody closed it or read it to its end. There is nothing of HTTP
    in it: what handles this reply knows no protocol.
    """

    __slots__ = ("_messages", "closed", "metadata", "status", "streamed")

    def __init__(
        self,
        status: str = "OK",
        metadata: Mapping[str, str] = _NOTHING,
        messages: Iterable[Any] = (),
        *,
        streamed: bool = False,
    ) -> None:
        self.status: str = status
        self.metadata: Mapping[str, str] = metadata
        self.streamed: bool = streamed
        self.closed: bool = False
        self._messages = tuple(messages)

    @property
    def messages(self) -> tuple[Any, ...]:
        """All messages as scripted, the exceptions in their places."""
        return self._messages

    @property
    def message(self) -> Any:
        """The message of a unary reply, or None when it has none."""
        return yielded(self._messages[0]) if self._messages else None

    def __iter__(self) -> Iterator[Any]:
        try:
            for message in self._messages:
                if self.closed:
                    return
                yield yielded(message)
        finally:
            self.closed = True

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            for message in self._messages:
                if self.closed:
                    return
                yield yielded(message)
        finally:
            self.closed = True

    def close(self) -> None:
        """Let go of the rest. Harmless when repeated."""
        self.closed = True

    async def aclose(self) -> None:
        """The same for async code."""
        self.closed = True

    def __repr__(self) -> str:
        return f"Reply({self.status!r}, {len(self._messages)} messages)"
