"""The harness of the end-to-end benchmark and of the soak: that they measure, count, and find what they look for."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos.leaks import Baseline, growth, left_behind
from benchmarks.e2e.bars import bars
from benchmarks.e2e.cells import Cell, matrix
from benchmarks.e2e.judge import Bar, judged
from benchmarks.e2e.pairs import VARIANTS
from benchmarks.e2e.runner import Results, run_cell
from benchmarks.e2e.server import Nginx, cores, missing
from benchmarks.e2e.worker import ASYNC, SYNC

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pins cores and reads /proc"),
]


@pytest.fixture
def server() -> Iterator[Nginx]:
    """nginx with three endpoints; without it a skip that says how to install it, with CI=true a failure."""
    why = missing()
    if why:
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    with Nginx(cores()[0], endpoints=3) as running:
        yield running


def ran(cell: Cell, server: Nginx) -> dict[str, Any]:
    """A tiny run of a cell in this environment."""
    told = {"warm": 0.05, "seconds": 0.1, "wire": "auto", "core": cores()[1], "sidecar": ""}
    return run_cell(cell, server, sys.executable, dict(os.environ), **told)


@pytest.mark.parametrize(("loop", "in_flight"), [("asyncio", 4), ("threads", 2)])
def test_a_cell_measures_what_the_server_counted(server: Nginx, loop: str, in_flight: int) -> None:
    """A cell of meshlib gives figures that make sense; that its count is the server's is checked inside."""
    found = ran(Cell(client="meshlib", loop=loop, in_flight=in_flight), server)
    assert "error" not in found
    assert found["calls"] > in_flight
    assert 0 < found["p50"] <= found["p99"]
    assert found["cpu"] > 0
    assert "Wire" in found["about"]


def test_a_count_that_differs_is_an_error(server: Nginx, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does less work than it says cannot win."""
    counts = iter((0, 10**9))
    monkeypatch.setattr(server, "requests", lambda: next(counts))
    assert "the server counted" in ran(Cell(client="httpx"), server)["error"]


def test_a_client_that_is_not_there_says_so(server: Nginx) -> None:
    """The reason is the last line of what the process said."""
    assert "KeyError" in ran(Cell(client="nobody"), server)["error"]


def test_every_cell_and_bar_is_known() -> None:
    """Bars speak of cells in the matrix, cells of clients that exist, and no two cells are the same."""
    cells = matrix()
    keys = [cell.key for cell in cells]
    assert len(set(keys)) == len(keys)
    for cell in cells:
        clients = {"load": SYNC if cell.loop == "threads" else ASYNC, "pairs": VARIANTS}.get(cell.kind)
        assert clients is None or cell.client in clients
    for bar in bars():
        assert set(bar.cells) <= set(keys), bar.text


@pytest.mark.parametrize(
    ("value", "word"), [(0.5, "stretch"), (0.9, "yes"), (1.1, "within 15 %"), (1.2, "no")]
)
def test_a_median_is_judged(value: float, word: str) -> None:
    """Stretch, bar, headroom, beyond; the median decides, the spread is shown."""
    cell = Cell(client="one")
    bar = Bar(text="", cells=(cell.key,), measure=lambda own: own["cpu"], bar=1.0, stretch=0.5)
    results = Results()
    for figure in (value, value - 0.4, value + 5):
        results.add(cell, {"cpu": figure})
    verdict = judged(bar, results)
    assert verdict.word == word
    assert verdict.measured == (value, value - 0.4, value + 5)
    results.add(cell, {"error": "gone"})
    assert judged(bar, results).failed


@pytest.mark.asyncio
async def test_leaks_are_found() -> None:
    """A descriptor, a thread and a task that were not there before are each named."""
    before, end = Baseline(), threading.Event()
    assert list(before.leaked()) == []
    thread = threading.Thread(target=end.wait, name="forgotten")
    task = asyncio.create_task(asyncio.sleep(60))
    with socket.socket():
        thread.start()
        found = "\n".join([*before.leaked(), *left_behind()])
    end.set()
    thread.join()
    task.cancel()
    assert "1 x socket" in found
    assert "forgotten" in found
    assert "task still there" in found


@pytest.mark.parametrize(("end", "grew"), [(100.0, False), (104.0, False), (120.0, True)])
def test_memory_that_grows_is_found(end: float, grew: bool) -> None:
    """Five per cent after warm-up are allowed; what warm-up took does not count."""
    samples = [(float(at), 50.0 if at < 20 else 100.0 + (end - 100.0) * (at - 20) / 40) for at in range(61)]
    assert bool(growth(samples, 60.0)[2]) is grew


def soaked(seconds: int) -> None:
    """A soak in a process of its own ends with nothing left."""
    command = [sys.executable, "-m", "benchmarks.soak", "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing leaked" in done.stdout


@pytest.mark.timeout(90)
def test_a_short_soak_leaves_nothing() -> None:
    """Some seconds of it, so that the soak itself does not rot."""
    soaked(3)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_minute_of_soak_leaves_nothing() -> None:
    """CI's form of it: long enough for memory to be judged."""
    soaked(60)
