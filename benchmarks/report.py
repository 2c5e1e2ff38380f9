"""What every benchmark shares: medians with spread, the machine, a table."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Row", "machine", "median_spread", "percentile", "table"]


class Row:
    """One figure: its median, the spread (lowest and highest of the rounds), the unit, and the bar it is held against."""

    __slots__ = ("bar", "high", "low", "median", "name", "unit")

    def __init__(
        self, name: str, median: float, low: float, high: float, unit: str, bar: float | None = None
    ) -> None:
        self.name = name
        self.median = median
        self.low = low
        self.high = high
        self.unit = unit
        self.bar = bar

    @property
    def met(self) -> bool:
        """Whether the median keeps the bar."""
        return self.bar is None or self.median <= self.bar

    def cells(self) -> tuple[str, ...]:
        """The row for a table."""
        bar = "" if self.bar is None else f"{self.bar:g} {self.unit}"
        verdict = "" if self.bar is None else ("yes" if self.met else "**no**")
        return (
            self.name,
            f"{self.median:.3g} {self.unit}",
            f"{self.low:.3g} to {self.high:.3g}",
            bar,
            verdict,
        )


def median_spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, lowest, highest."""
    return statistics.median(values), min(values), max(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(title: str, rows: Sequence[Row]) -> str:
    """A Markdown table with its title."""
    head = ("figure", "median", "spread", "bar", "met")
    lines = [f"### {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """One sentence about where the figures were measured."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        )
        if Path("/proc/cpuinfo").exists()
        else iter(()),
        platform.processor() or "unknown CPU",
    )
    return f"{os.cpu_count()} x {model}, {platform.system()} {platform.release()}, Python {platform.python_version()}"
