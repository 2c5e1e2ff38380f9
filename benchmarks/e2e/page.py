"""The page: bars first, then every cell, then what was not measured and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.e2e.cells import Cell
from benchmarks.e2e.judge import Verdict
from benchmarks.e2e.runner import Results
from benchmarks.report import median_spread

__all__ = ["page"]


def page(
    title: str, facts: Iterable[str], verdicts: Sequence[Verdict], cells: Sequence[Cell], results: Results
) -> str:
    """Markdown."""
    parts = [
        f"### {title}",
        "\n".join(facts),
        _bars(verdicts),
        _loads(cells, results),
        _pairs(cells, results),
    ]
    if results.failed:
        lines = [f"* `{key}`: {why}" for key, why in sorted(results.failed.items())]
        parts.append("**Not measured**\n\n" + "\n".join(lines))
    return "\n\n".join(part for part in parts if part)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    found = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *found]) if found else ""


def _number(value: float, unit: str = "") -> str:
    text = f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return text + ("" if unit in ("", "x") else " " + unit)


def _bars(verdicts: Sequence[Verdict]) -> str:
    rows = []
    for verdict in verdicts:
        bar, measured = verdict.bar, verdict.measured
        sign = ">= " if bar.at_least else ""
        limit = "" if bar.bar is None else sign + _number(bar.bar, bar.unit)
        stretch = "" if bar.stretch is None else sign + _number(bar.stretch, bar.unit)
        shown = spread = ""
        if measured is not None:
            shown = _number(measured[0], bar.unit)
            spread = f"{_number(measured[1])} to {_number(measured[2])}"
        word = f"**{verdict.word}**" if verdict.failed else verdict.word
        rows.append((bar.text, limit, stretch, shown, spread, word))
    return _table(("figure", "bar", "stretch", "measured", "spread", "verdict"), rows)


def _loads(cells: Sequence[Cell], results: Results) -> str:
    rows = []
    for cell in sorted((cell for cell in cells if cell.kind == "load"), key=lambda cell: cell.group):
        rounds = results.of(cell.key)
        if rounds:
            cpu = median_spread([found["cpu"] for found in rounds])
            others = [
                median_spread([found[name] for found in rounds])[0] for name in ("rate", "p50", "p99", "rss")
            ]
            numbers = [f"{value:,.0f}" for value in others]
            rows.append(
                (cell.group, cell.key, _number(cpu[0]), f"{_number(cpu[1])} to {_number(cpu[2])}", *numbers)
            )
    head = ("", "client/loop/in flight", "CPU us", "spread", "req/s", "p50 us", "p99 us", "MiB")
    return _table(head, rows)


def _downloads(cells: Sequence[Cell], results: Results) -> str:
    rows = []
    for cell in cells:
        rounds = results.of(cell.key)
        if cell.kind == "download" and rounds:
            numbers = [
                median_spread([found[what] for found in rounds])[0] for what in ("held", "rate", "cpu")
            ]
            rows.append((cell.key, *map(_number, (*numbers[:2], numbers[2] / 1e6))))
    return _table(("streamed", "MiB held", "MiB/s", "CPU s"), rows)


def _pairs(cells: Sequence[Cell], results: Results) -> str:
    rows = []
    for cell in cells:
        rounds = results.of(cell.key)
        if cell.kind != "pairs" or not rounds:
            continue
        for name in rounds[0]["variants"]:
            of = [found["variants"][name] for found in rounds]
            numbers = [
                _number(median_spread([figures[what] for figures in of])[0]) for what in ("cpu", "p50", "p99")
            ]
            rows.append((cell.key, name, *numbers))
    return _table(("variants taking turns", "variant", "CPU us", "p50 us", "p99 us"), rows)
