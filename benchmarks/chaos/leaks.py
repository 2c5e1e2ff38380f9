"""Looking for leaks: descriptors, threads, tasks, engine objects, memory. Each finding is a sentence."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import threading
from collections import Counter
from collections.abc import Iterator, Sequence

__all__ = ["Baseline", "growth", "left_behind"]

FLAT = 0.05
"""Memory may grow by this share after warm-up."""
_TRACKED = ("meshlib.engine.call", "meshlib.engine.attempt")


class Baseline:
    """Descriptors and threads of the process at a moment of peace."""

    def __init__(self) -> None:
        self.descriptors = _descriptors()
        self.threads = {thread.ident for thread in threading.enumerate()}

    def leaked(self) -> Iterator[str]:
        """What is there now and was not then."""
        more = _descriptors() - self.descriptors
        if more:
            kinds = ", ".join(f"{count} x {kind}" for kind, count in sorted(more.items()))
            yield f"descriptors left open: {kinds}"
        for thread in threading.enumerate():
            # The loop's executor is our own, and makes its threads when it first needs them.
            if thread.ident not in self.threads and not thread.name.startswith("asyncio_"):
                yield f"thread still running: {thread.name}"


def _descriptors() -> Counter[str]:
    """How many of each kind: sockets, pipes, files."""
    found: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        try:
            where = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the one that lists
        found[where.partition(":[")[0]] += 1
    return found


def left_behind() -> Iterator[str]:
    """Tasks of this loop, and calls and attempts that nobody should hold any more."""
    here = asyncio.current_task()
    for task in asyncio.all_tasks():
        if task is not here:
            yield f"task still there: {task!r:.160}"
    gc.collect()
    held = Counter(type(one).__qualname__ for one in gc.get_objects() if type(one).__module__ in _TRACKED)
    for name, count in held.items():
        yield f"{count} objects of class {name} still held"


def growth(samples: Sequence[tuple[float, float]], seconds: float) -> tuple[float, float, str]:
    """(MiB after warm-up, MiB at the end, a complaint or nothing). Samples are (seconds since the start, MiB).

    Warm-up is the first third, at most ten minutes.
    """
    warm = min(seconds / 3, 600.0)
    stretch = (seconds - warm) / 4
    early = [size for at, size in samples if warm <= at <= warm + stretch]
    late = [size for at, size in samples if at >= seconds - stretch]
    if not early or not late:
        return 0.0, 0.0, "too few samples of memory"
    first, last = statistics.median(early), statistics.median(late)
    complaint = f"memory grew from {first:.1f} to {last:.1f} MiB" if last > first * (1 + FLAT) else ""
    return first, last, complaint
