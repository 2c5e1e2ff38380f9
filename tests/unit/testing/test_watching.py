"""Watching."""

import asyncio
from collections.abc import Callable

import pytest

from meshlib.testing import FakeClock, Watching

Publish = Callable[[int], None]


async def counter(publish: Publish) -> None:
    """Publishes 1, 2, 3, ... every ten seconds."""
    number = 0
    while True:
        number += 1
        publish(number)
        await asyncio.sleep(10.0)


def test_stands_still_between_steps() -> None:
    """`until` runs to a publication, `advance` for a time, and nothing runs in between."""
    clock = FakeClock(0.0)
    with Watching(counter, clock) as watching:
        assert watching.published == []
        assert watching.until(1) == [1]
        assert watching.until(1) == [1]
        assert watching.advance(25.0) == [1, 2, 3]
        assert clock() == pytest.approx(25.0)
        assert watching.until(4) == [1, 2, 3, 4]
        assert not watching.done
    assert watching.times == pytest.approx([0.0, 10.0, 20.0, 30.0])
    assert watching.done


def test_too_few_in_time() -> None:
    """A resolver that hangs fails the test with what it had done."""
    with (
        Watching(counter, FakeClock()) as watching,
        pytest.raises(AssertionError, match="published 3 of 9 in 25 s"),
    ):
        watching.until(9, within=25.0)


def test_ended_too_early() -> None:
    """A resolver that returns has not watched."""

    async def once(publish: Publish) -> None:
        publish(1)

    with (
        Watching(once, FakeClock()) as watching,
        pytest.raises(AssertionError, match="ended after 1 of 2"),
    ):
        watching.until(2)


def test_errors_come_out() -> None:
    """From `until` and from `advance`; what was published before stays."""

    async def broken(publish: Publish) -> None:
        publish(1)
        await asyncio.sleep(1.0)
        raise OSError("registry gone")

    with Watching(broken, FakeClock()) as watching:
        assert watching.until(1) == [1]
        with pytest.raises(OSError, match="registry gone"):
            watching.until(2)
        with pytest.raises(OSError, match="registry gone"):
            watching.advance(1.0)
    assert watching.published == [1]


def test_clean_up_runs() -> None:
    """Leaving the block cancels the coroutine and lets its `finally` finish, also when that takes time."""
    done = []

    async def tidy(publish: Publish) -> None:
        try:
            await counter(publish)
        finally:
            await asyncio.sleep(5.0)
            done.append(True)

    with Watching(tidy, FakeClock()) as watching:
        watching.until(2)
    watching.close()
    assert done == [True]


def test_not_started() -> None:
    """Outside its block it says how to use it."""
    watching = Watching(counter, FakeClock())
    with pytest.raises(RuntimeError, match=r"with io\.watching"):
        watching.until(1)
