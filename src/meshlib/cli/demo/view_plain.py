"""The view without rich: one line a second, and a line for everything that happens. For pipes, logs and CI."""

from __future__ import annotations

import asyncio

from meshlib.cli.demo.board import Board
from meshlib.cli.demo.report import milliseconds, percent
from meshlib.cli.demo.tally import Summary

__all__ = ["PlainView"]


class PlainView:
    """Prints; `show` runs until cancelled, on the load's loop."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._told = 0

    async def show(self) -> None:
        """Print until cancelled."""
        board = self._board
        second = 1
        while True:
            await asyncio.sleep(0.05)
            self._tell()
            if board.elapsed >= second:
                print(self._line(), flush=True)
                second = int(board.elapsed) + 1

    def close(self) -> None:
        """Print what happened since the last look."""
        self._tell()

    def _tell(self) -> None:
        lines = self._board.news.lines
        while self._told < len(lines):
            at, text = lines[self._told]
            self._told += 1
            print(f"{at - self._board.began:6.1f} s  {text}", flush=True)

    def _line(self) -> str:
        board = self._board
        service = board.service()
        out = [
            row.name for row in board.rows(service) if row.node is not None and row.node["state"] != "ready"
        ]
        breaker, budget = service.get("breaker"), service.get("budget")
        parts = [
            f"meshlib {_short(board.now(board.load.meshlib))}",
            f"httpx {_short(board.now(board.load.plain))}",
            f"out: {', '.join(out) or 'none'}",
            f"breaker {breaker['state'] if breaker else '-'}",
            f"budget {budget['balance']:.0f}" if budget else "budget -",
        ]
        return f"{board.elapsed:6.1f} s    {' | '.join(parts)}"


def _short(summary: Summary) -> str:
    return f"{percent(summary.success):>7} ok, p99 {milliseconds(summary.p99):>7}"
