"""Judging: what a figure is made of, and how it is held against its bar.

A figure is computed within each round, of cells that ran in that round, and its median over the rounds is held against the
bar: the machine may change its pace between rounds, hardly within one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.e2e.runner import Results
from benchmarks.report import median_spread

__all__ = ["HEADROOM", "Bar", "Figures", "Verdict", "judged"]

HEADROOM = 1.15
"""A gate fails only beyond the bar and this: the same cell moves that much on a shared machine."""

Figures = dict[str, Any]
Measure = Callable[..., float]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """`measure` is given the figures of `cells` in one round. `at_least` turns it around; without a `bar` it is for scale."""

    text: str
    cells: tuple[str, ...]
    measure: Measure
    bar: float | None = None
    stretch: float | None = None
    unit: str = "x"
    at_least: bool = False

    def keeps(self, value: float, limit: float | None, headroom: float = 1.0) -> bool:
        """Whether a value keeps a limit."""
        if limit is None:
            return False
        return value * headroom >= limit if self.at_least else value <= limit * headroom


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a bar."""

    bar: Bar
    measured: tuple[float, float, float] | None
    word: str

    @property
    def failed(self) -> bool:
        """Beyond the bar by more than the headroom, or not measured at all."""
        return self.bar.bar is not None and self.word not in ("yes", "stretch", "within 15 %")


def judged(bar: Bar, results: Results) -> Verdict:
    """The median over the rounds against the bar."""
    for key in bar.cells:
        if not results.of(key):
            return Verdict(
                bar=bar, measured=None, word=f"not measured: {results.failed.get(key, 'no round')}"
            )
    rounds = zip(*(results.of(key) for key in bar.cells), strict=True)
    measured = median_spread([bar.measure(*figures) for figures in rounds])
    value = measured[0]
    if bar.bar is None:
        word = ""
    elif bar.keeps(value, bar.stretch):
        word = "stretch"
    elif bar.keeps(value, bar.bar):
        word = "yes"
    elif bar.keeps(value, bar.bar, HEADROOM):
        word = "within 15 %"
    else:
        word = "no"
    return Verdict(bar=bar, measured=measured, word=word)
