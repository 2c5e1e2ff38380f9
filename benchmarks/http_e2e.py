"""HTTP end to end: what a request costs through meshlib with everything on, beside bare clients and what people compose.

    python -m benchmarks.http_e2e                    the published run: 5 rounds, about 12 minutes
    python -m benchmarks.http_e2e --quick            2 short rounds, about 2 minutes
    python -m benchmarks.http_e2e --only uvloop/1 --rounds 3
    python -m benchmarks.http_e2e --wire httpx       on another wire (also MESHLIB_BENCH_WIRE)
    python -m benchmarks.http_e2e --gate             exit 1 when a figure misses its bar by more than 15 %

benchmarks/README.md says how it measures, and what not to read into it. Needs Linux and nginx; the peers are installed into a
virtual environment of their own at the first run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.e2e.bars import bars
from benchmarks.e2e.cells import Cell, matrix
from benchmarks.e2e.judge import judged
from benchmarks.e2e.page import page
from benchmarks.e2e.runner import Results, Runner, Times, measure
from benchmarks.e2e.server import cores, missing
from benchmarks.report import machine, percentile

QUICK = Times(warm=0.2, seconds=0.3)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="2 rounds of short cells")
    parser.add_argument("--rounds", type=int, help="rounds (default 5)")
    parser.add_argument("--seconds", type=float, help="seconds that a cell is measured (default 0.8)")
    parser.add_argument("--only", nargs="+", default=[], help="parts of the keys of the cells to run")
    parser.add_argument("--wire", default=os.environ.get("MESHLIB_BENCH_WIRE", "auto"))
    parser.add_argument("--gate", action="store_true", help="exit 1 when a bar is missed by more than 15 %%")
    parser.add_argument("--json", type=Path, help="write every figure of every round there")
    return parser.parse_args(given)


def run(cells: Sequence[Cell], chosen: argparse.Namespace, title: str) -> int:
    """Measure, print the page; the exit code."""
    why = missing()
    if why:
        raise SystemExit(why)
    times = QUICK if chosen.quick else Times()
    if chosen.seconds:
        times = Times(warm=times.warm, seconds=chosen.seconds)
    rounds = chosen.rounds or (2 if chosen.quick else 5)
    began = time.monotonic()
    with Runner(times, chosen.wire) as runner:
        results = measure(cells, rounds, runner)
        versions = runner.environment.versions()
    known = {cell.key for cell in cells}
    verdicts = [judged(bar, results) for bar in bars() if known.issuperset(bar.cells)]
    facts = [
        _conditions(chosen, rounds, times.seconds, time.monotonic() - began),
        *_carried(results, versions),
    ]
    print(page(title, facts, verdicts, cells, results))
    if chosen.json is not None:
        chosen.json.write_text(_raw(results))
    return 1 if chosen.gate and any(verdict.failed for verdict in verdicts) else 0


def _conditions(chosen: argparse.Namespace, rounds: int, seconds: float, took: float) -> str:
    server, client = cores()
    return (
        f"{machine()}; nginx on core {server}, the client on core {client}. {rounds} rounds of {seconds:g} s a cell, "
        f"{took:.0f} s in all; wire `{chosen.wire}`."
    )


def _carried(results: Results, versions: str) -> list[str]:
    found = [figures for rounds in results.rounds.values() for figures in rounds]
    wires = sorted({figures["about"] for figures in found if figures.get("about")})
    # Of clients with one thread: where there are more, they wait for each other.
    alone = [
        rounds for key, rounds in results.rounds.items() if "threads" not in key and "pyreqwest" not in key
    ]
    waited = [figures["waited"] for rounds in alone for figures in rounds if "waited" in figures] or [0.0]
    return [
        f"meshlib's wires: {', '.join(wires) or 'none'}. {versions}.",
        "Medians over the rounds, spread is lowest and highest; ratios are of the CPU a request within a round.",
        "The server counted as many requests as the client in every cell.",
        f"Others held the client's core for {percentile(waited, 0.5):.0%} of a cell's time (median), {max(waited):.0%} at worst.",
    ]


def _raw(results: Results) -> str:
    return json.dumps({"rounds": results.rounds, "failed": results.failed}, indent=1)


def main() -> int:
    """All cells, or those chosen."""
    chosen = arguments()
    cells = [cell for cell in matrix() if not chosen.only or any(part in cell.key for part in chosen.only)]
    if not cells:
        raise SystemExit(f"no cell's key contains {' or '.join(chosen.only)}")
    return run(cells, chosen, "HTTP end to end")


if __name__ == "__main__":
    sys.exit(main())
