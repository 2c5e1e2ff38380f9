"""Sliced work: control work beyond a millisecond, done in pieces, so that application loops keep their latency.

A thread that computes holds the interpreter lock for its whole switch interval (5 ms by default): an echo served by
a loop beside it went from 0.05 to 10.7 ms in a measurement. Pieces of at most 1 ms with a real pause between gave a
p99 of 1.2 ms.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TypeVar, overload

from meshlib.core.io import IO

__all__ = ["PAUSE", "SLICE", "sliced"]

T = TypeVar("T")

SLICE = 0.0008
"""Seconds of work per slice: what is left of the millisecond pays for the step that crosses the line."""

PAUSE = 0.0005
"""Seconds asked for between slices. An epoll timeout rounds up to 1 ms, and that is a sleep without the lock; a
`sleep(0)` would come back at once and starve the others."""


@overload
async def sliced(  # type: ignore[overload-overlap]  # a Generator is an Iterator, and the first that fits wins
    work: Generator[object, None, T], io: IO
) -> T:
    """See below; the generator's value comes back."""


@overload
async def sliced(work: Iterator[object], io: IO) -> None:
    """See below; there is no value."""


async def sliced(work: Iterator[object], io: IO) -> object:
    """Run a generator to its end and return its value; it yields at places where it may be interrupted.

    Steps between two yields should stay under 0.2 ms. Time is `io.now()`, pauses are `io.sleep()` (too short to be
    cut short by a refresh), so scripted worlds run it unchanged. The generator is closed when the caller is cancelled.
    """
    try:
        while True:
            until = io.now() + SLICE
            while io.now() < until:
                try:
                    next(work)
                except StopIteration as end:
                    return end.value
            await io.sleep(PAUSE)
    finally:
        if isinstance(work, Generator):
            work.close()
