"""Reply."""

import asyncio

import pytest

from meshlib.testing import Reply


def test_unary() -> None:
    """One message, metadata, and a status code's name."""
    reply = Reply("OK", {"x": "1"}, ["hello"])
    assert (reply.status, reply.metadata["x"], reply.message) == ("OK", "1", "hello")
    assert not reply.streamed
    assert Reply("UNAVAILABLE").message is None


def test_stream_read_to_its_end_is_closed() -> None:
    """Messages come in order, and the end closes."""
    reply = Reply(messages=["a", "b"], streamed=True)
    assert not reply.closed
    assert list(reply) == ["a", "b"]
    assert reply.closed


def test_stream_breaks_in_the_middle() -> None:
    """An exception among the messages is raised at its place."""
    reply = Reply(messages=["a", ConnectionResetError("cut"), "b"], streamed=True)
    stream = iter(reply)
    assert next(stream) == "a"
    with pytest.raises(ConnectionResetError, match="cut"):
        next(stream)
    assert reply.closed


def test_closed_stream_ends() -> None:
    """After `close` nothing more comes."""
    reply = Reply(messages=["a", "b"], streamed=True)
    stream = iter(reply)
    next(stream)
    reply.close()
    assert list(stream) == []


def test_async_stream() -> None:
    """The same with `async for` and `aclose`."""

    async def main() -> list[str]:
        reply = Reply(messages=["a", "b", "c"], streamed=True)
        got = []
        async for message in reply:
            got.append(message)
            if message == "b":
                await reply.aclose()
        assert reply.closed
        return got

    assert asyncio.run(main()) == ["a", "b"]
