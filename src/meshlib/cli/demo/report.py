"""Report: both sides beside each other, and the verdict that decides the exit status."""

from __future__ import annotations

from collections.abc import Iterator

from meshlib.cli.demo.load import Load
from meshlib.cli.demo.script import PHASES
from meshlib.cli.demo.tally import Summary

__all__ = ["lost", "milliseconds", "percent", "report"]

_SHOWN = 5  # lost requests of meshlib that are told in full


def lost(load: Load) -> int:
    """Idempotent requests that meshlib was given and that got no good answer."""
    return load.meshlib.summary().lost


def report(load: Load, *, finished: bool) -> Iterator[str]:
    """The lines of the final table. `finished` False: the run was broken off, and the table shows what there is."""
    mine, plain = load.meshlib.summary(), load.plain.summary()
    yield "" if finished else "broken off; so far:"
    yield f"{'':<26}{'meshlib':>14}{'plain httpx':>14}"
    for label, left, right in _lines(mine, plain):
        yield f"{label:<26}{left:>14}{right:>14}"
    yield ""
    yield f"{'by phase':<14}{'success':>12}{'p99':>12}{'success':>14}{'p99':>12}   (meshlib, then plain httpx)"
    for phase in PHASES:
        one, other = load.meshlib.summary(phase.name), load.plain.summary(phase.name)
        if one.requests:
            yield (
                f"{phase.name:<14}{percent(one.success):>12}{milliseconds(one.p99):>12}"
                f"{percent(other.success):>14}{milliseconds(other.p99):>12}"
            )
    yield ""
    yield from _verdict(load)


def _lines(mine: Summary, plain: Summary) -> Iterator[tuple[str, str, str]]:
    yield "requests (all GET)", f"{mine.requests:,}", f"{plain.requests:,}"
    yield "success rate", percent(mine.success), percent(plain.success)
    yield "lost idempotent requests", f"{mine.lost:,}", f"{plain.lost:,}"
    yield "p50", milliseconds(mine.p50), milliseconds(plain.p50)
    yield "p99", milliseconds(mine.p99), milliseconds(plain.p99)
    yield "p99.9", milliseconds(mine.p999), milliseconds(plain.p999)
    yield "retries", f"{mine.retries:,}", "-"


def _verdict(load: Load) -> Iterator[str]:
    count = lost(load)
    if not count:
        yield "meshlib lost no idempotent request."
        return
    yield f"meshlib LOST {count} idempotent request{'s' if count > 1 else ''}:"
    yield from (f"  {error}" for error in load.meshlib.errors[:_SHOWN])
    if count > _SHOWN:
        yield f"  and {count - _SHOWN} more"


def percent(share: float) -> str:
    """`100 %`, `99.97 %`: never rounded up to a hundred."""
    if share >= 1.0:
        return "100 %"
    return f"{int(share * 10_000) / 100:.2f} %"


def milliseconds(seconds: float) -> str:
    """`6.1 ms`, `412 ms`, `1.20 s`; `-` for none."""
    if not seconds:
        return "-"
    if seconds >= 1.0:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"
