"""The live view: what each replica gets from either side, what became of it, and what happened. Draws with rich."""

from __future__ import annotations

import asyncio
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from meshlib.cli.demo.board import Board, Row
from meshlib.cli.demo.report import milliseconds, percent
from meshlib.cli.demo.script import PHASES
from meshlib.cli.demo.tally import Tally

__all__ = ["RichView"]

_NEWS = 9  # lines
_BARS = 16  # characters of the widest bar
_REFRESH = 4  # frames a second


class RichView:
    """Draws on a thread of its own (rich's), so that the load's loop is not held up by a frame."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._live = Live(console=Console(), get_renderable=self._frame, refresh_per_second=_REFRESH)

    async def show(self) -> None:
        """Draw until cancelled."""
        self._live.start()
        await asyncio.Event().wait()

    def close(self) -> None:
        """Leave the last frame on the terminal."""
        self._live.stop()

    def _frame(self) -> Group:
        service = self._board.service()
        rows = self._board.rows(service)
        return Group(
            self._timeline(),
            Text(),
            _replicas(rows),
            Text(),
            self._sides(),
            self._protections(service),
            Text(),
            self._told(),
        )

    def _timeline(self) -> Text:
        """The phases as a line, the present one lit, and what it means."""
        board = self._board
        text = Text.assemble(("meshlib demo  ", "bold"))
        for phase in PHASES:
            past = PHASES.index(phase) < PHASES.index(board.phase)
            style = "bold reverse" if phase is board.phase else "dim" if past else ""
            text.append(f" {phase.name} ", style)
            text.append(" ")
        text.append(f" {min(board.elapsed, board.seconds):.0f}/{board.seconds:.0f} s", "dim")
        text.append(f"\n{board.phase.says}", "italic")
        return text

    def _sides(self) -> Table:
        """Both sides beside each other: in all, and in the last second."""
        table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left")
        table.add_column("")
        for head in ("requests", "lost", "success", "now: success", "p50", "p99"):
            table.add_column(head, justify="right", style="bold" if head == "lost" else None)
        for tally in (self._board.load.meshlib, self._board.load.plain):
            table.add_row(*self._side(tally))
        return table

    def _side(self, tally: Tally) -> list[Text | str]:
        samples = tally.samples
        lost, total = len(tally.errors), len(samples)
        now = self._board.now(tally)
        return [
            Text(tally.name, "bold cyan" if tally.name == "meshlib" else "bold"),
            f"{total:,}",
            Text(f"{lost:,}", "red bold" if lost else "green"),
            percent(1 - lost / total if total else 1.0),
            Text(percent(now.success), "green" if now.success == 1.0 else "red"),
            milliseconds(now.p50),
            Text(milliseconds(now.p99), "red" if now.p99 > 0.2 else ""),
        ]

    def _protections(self, service: dict[str, Any]) -> Text:
        breaker, budget, discovery = service.get("breaker"), service.get("budget"), service.get("discovery")
        retries = sum(sample.tries - 1 for sample in list(self._board.load.meshlib.samples))
        text = Text("\n")
        if breaker is not None:
            text.append("breaker ", "dim").append(
                breaker["state"], "green" if breaker["state"] == "closed" else "red"
            )
        if budget is not None:
            text.append("   retries ", "dim").append(f"{retries:,}").append(", budget left ", "dim")
            text.append(f"{budget['balance']:.0f}")
        if discovery is not None and discovery["age"] is not None:
            text.append("   registry ", "dim").append(f"file, read {discovery['age']:.1f} s ago")
        return text

    def _told(self) -> Text:
        text = Text()
        lines = list(self._board.news.lines)[-_NEWS:]
        for at, line in lines:
            style = "bold" if line.startswith("---") else "yellow" if "ejected" in line else ""
            text.append(f"{at - self._board.began:6.1f} s  ", "dim").append(f"{line}\n", style)
        text.append("\n" * (_NEWS - len(lines)))  # a frame of one height does not jump
        return text


def _replicas(rows: list[Row]) -> Table:
    """Replicas down, sides across."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("replica", "is", "meshlib sees"):
        table.add_column(head, no_wrap=True)
    for head, justify in (("meshlib/s", "right"), ("", "left"), ("latency", "right"), ("failed", "right")):
        table.add_column(head, justify=justify, style="cyan", no_wrap=True)  # type: ignore[arg-type]
    for head, justify in (("httpx/s", "right"), ("latency", "right"), ("failed", "right")):
        table.add_column(head, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    most = max((row.meshlib.requests for row in rows), default=0) or 1
    for row in rows:
        bar = "▇" * round(_BARS * row.meshlib.requests / most)
        node = row.node or {}
        table.add_row(
            row.name,
            Text(row.condition, "green" if row.condition == "healthy" else "red"),
            _seen(row.node),
            f"{row.meshlib.requests}",
            f"{bar:<{_BARS}}",
            milliseconds(row.meshlib.p50),
            f"{node.get('failures', 0)}",
            f"{row.plain.requests}",
            Text(milliseconds(row.plain.p50), "red" if row.plain.p50 > 0.2 else ""),
            Text(f"{row.plain_failed}", "red" if row.plain_failed else ""),
        )
    return table


def _seen(node: dict[str, Any] | None) -> Text:
    if node is None:
        return Text("not listed yet", "dim")
    state = node["state"]
    until = f" for {node['until']:.1f} s" if node["until"] is not None else ""
    return Text(f"{state}{until}", "green" if state == "ready" else "yellow bold")
