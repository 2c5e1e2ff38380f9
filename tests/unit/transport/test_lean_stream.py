"""What a streamed body reads from, and how its connection goes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meshlib.core.deadline import NEVER
from meshlib.testing import FakeClock
from meshlib.transport.http1 import Http1
from meshlib.transport.lean_errors import LeanError
from meshlib.transport.lean_stream import AsyncLeanStream, LeanStream
from tests.unit.transport.lean_kit import aio


class Parts:
    """A connection that has these parts, and notes the bounds that it was given."""

    def __init__(self, *parts: Any) -> None:
        self.parts: list[Any] = [*parts, b""]
        self.bounds: list[float] = []
        self.core = Http1()

    def part(self, bound: float) -> Any:
        self.bounds.append(bound)
        found = self.parts.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found


class AsyncParts(Parts):
    """The same on a loop."""

    async def part(self, bound: float) -> Any:
        return super().part(bound)


class Backs:
    """Takes connections back."""

    def __init__(self) -> None:
        self.taken: list[tuple[Any, float]] = []

    def __call__(self, connection: Any, now: float) -> None:
        self.taken.append((connection, now))


def test_parts_until_the_end() -> None:
    """Each within the read timeout; the connection goes back once, when the body is closed."""
    clock, connection, back = FakeClock(), Parts(b"a", b"bc"), Backs()
    stream = LeanStream(connection, clock, 5.0, NEVER, back)
    assert list(stream) == [b"a", b"bc"]
    assert connection.bounds == [5.0] * 3
    assert back.taken == []
    clock.advance(1.0)
    stream.close()
    stream.close()
    assert back.taken == [(connection, clock())]


def test_parts_until_the_end_on_a_loop() -> None:
    """The same; closing needs no waiting."""
    clock, connection, back = FakeClock(), AsyncParts(b"a", b"bc"), Backs()
    stream = AsyncLeanStream(connection, clock, 5.0, NEVER, back)

    async def run(_: Any) -> None:
        assert [part async for part in stream] == [b"a", b"bc"]
        await stream.aclose()
        await stream.aclose()

    aio(run)
    assert connection.bounds == [5.0] * 3
    assert back.taken == [(connection, clock())]


def test_all_of_it_is_bounded_on_a_loop() -> None:
    """By what is left of `until`; blocking connections clamp by themselves."""
    clock, connection, back = FakeClock(), AsyncParts(b"a", b"b", b"c", b"d"), Backs()
    stream = AsyncLeanStream(connection, clock, 5.0, clock() + 8.0, back)

    async def run(_: Any) -> None:
        assert await anext(stream) == b"a"
        clock.advance(6.0)
        assert await anext(stream) == b"b"
        clock.advance(2.0)
        with pytest.raises(LeanError) as raised:
            await anext(stream)
        assert raised.value.kind == "ReadTimeout"

    aio(run)
    assert connection.bounds == [5.0, 2.0]
    assert len(back.taken) == 1


def test_what_is_whole_may_be_read_later() -> None:
    """Nothing is waited for any more, and the end is no error."""
    clock, connection = FakeClock(), AsyncParts(b"a")
    connection.core.begin("GET")
    connection.core.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
    stream = AsyncLeanStream(connection, clock, 5.0, clock() + 8.0, Backs())
    clock.advance(9.0)

    async def run(_: Any) -> None:
        assert [part async for part in stream] == [b"a"]

    aio(run)
    assert connection.bounds == [0.0, 0.0]


@pytest.mark.parametrize("error", [LeanError("ReadError", "reset"), KeyboardInterrupt()])
def test_a_body_that_breaks_gives_its_connection_back(error: BaseException) -> None:
    """Nothing more will come of it; closing it later is no matter, and reading on is the end."""
    back = Backs()
    stream = LeanStream(Parts(b"a", error, b"of somebody else"), FakeClock(), 5.0, NEVER, back)
    assert next(stream) == b"a"  # type: ignore[call-overload]
    with pytest.raises(type(error)):
        next(stream)  # type: ignore[call-overload]
    stream.close()
    assert len(back.taken) == 1
    assert list(stream) == []


@pytest.mark.parametrize("error", [LeanError("ReadError", "reset"), asyncio.CancelledError()])
def test_a_body_that_breaks_on_a_loop_gives_its_connection_back(error: BaseException) -> None:
    """A caller that was cancelled while it read has given up on it."""
    back = Backs()
    stream = AsyncLeanStream(AsyncParts(b"a", error, b"of somebody else"), FakeClock(), 5.0, NEVER, back)

    async def run(_: Any) -> None:
        assert await anext(stream) == b"a"
        with pytest.raises(type(error)):
            await anext(stream)
        await stream.aclose()
        assert len(back.taken) == 1
        assert [part async for part in stream] == []

    aio(run)
