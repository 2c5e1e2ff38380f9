"""Long work in short pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from meshlib.world.slices import sliced


class Ticking:
    """A clock that moves 0.1 ms with every look."""

    def __init__(self) -> None:
        self.time = 0.0
        self.pauses: list[float] = []

    def now(self) -> float:
        self.time += 0.0001
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) == 50:
            raise asyncio.CancelledError


def test_result_and_pauses() -> None:
    """No slice is longer than a millisecond, and there is a real pause after each."""
    io = Ticking()

    def work() -> Iterator[None]:
        for _ in range(70):
            yield
        return 7  # what `sliced` hands on

    assert asyncio.run(sliced(work(), io)) == 7  # type: ignore[arg-type, func-returns-value]
    assert 8 <= len(io.pauses) <= 10
    assert all(0.0005 <= pause < 0.01 for pause in io.pauses)


def test_cancelled_work_is_closed() -> None:
    """Its finally blocks run at once."""
    closed = []

    def work() -> Iterator[None]:
        try:
            while True:
                yield
        finally:
            closed.append(True)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(sliced(work(), Ticking()))  # type: ignore[arg-type]
    assert closed == [True]


def test_plain_iterator() -> None:
    """Anything that yields."""
    assert asyncio.run(sliced(iter(range(20)), Ticking())) is None  # type: ignore[arg-type, func-returns-value]
