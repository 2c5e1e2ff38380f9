"""The command: options, signals, and one run from an empty machine back to an empty machine."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from random import Random
from typing import Any

from meshlib.cli.demo.board import Board, News
from meshlib.cli.demo.load import Load
from meshlib.cli.demo.report import lost, report
from meshlib.cli.demo.scene import Scene
from meshlib.cli.demo.script import Phase, play
from meshlib.cli.demo.view_plain import PlainView
from meshlib.mesh import Mesh

__all__ = ["add", "run"]

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it: 128 and the signal's number."""


def add(commands: Any) -> None:
    """Register `meshlib demo`."""
    parser = commands.add_parser(
        "demo",
        help="three servers, faults, and meshlib beside plain httpx",
        description="Starts three servers of one service, a file registry and the same load through meshlib and through "
        "plain httpx in round robin; makes one slow, kills one, adds one, brings all back. Exit status 0 only if "
        "meshlib lost no idempotent request.",
    )
    parser.add_argument("--seconds", type=_positive, default=20.0, help="length of the run (default: 20)")
    parser.add_argument(
        "--rate", type=_positive, default=150.0, help="requests a second and side (default: 150)"
    )
    parser.add_argument("--seed", type=int, help="makes ports and spacing the same in every run")
    parser.add_argument("--no-tui", action="store_true", help="plain text, as in a pipe")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """One demo. 0: nothing lost; 1: meshlib lost a request; 130: interrupted."""
    chance = Random(options.seed).random
    load: Load | None = None
    status = INTERRUPTED
    with _terminating():
        scene = Scene(chance=chance)
        try:
            print("starting three servers and a registry ...", flush=True)
            scene.open()
            clock = time.monotonic
            news = News(lambda address: _name(scene, address), clock)
            with Mesh(discovery=scene.uri, listeners=[news], telemetry=False) as mesh:
                load = Load(mesh, scene.registry, options.rate, chance)
                board = Board(scene, mesh, load, news, options.seconds, clock)
                finished = asyncio.run(_perform(board, not options.no_tui))
                status = INTERRUPTED if not finished else int(lost(load) > 0)
        except KeyboardInterrupt:
            pass
        finally:
            _deaf()
            scene.close()
    if load is not None and load.meshlib.samples:
        print("\n".join(report(load, finished=status != INTERRUPTED)), flush=True)
    return status


async def _perform(board: Board, fancy: bool) -> bool:
    """The run itself: False when it was interrupted."""
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt ends asyncio.run
            loop.add_signal_handler(number, interrupted.set)
    load, view = board.load, _view(board, fancy)
    tasks = [asyncio.create_task(load.run()), asyncio.create_task(view.show())]

    def enter(phase: Phase) -> None:
        board.phase, load.phase = phase, phase.name
        board.news.say(f"--- {phase.name}: {phase.says}")

    script = asyncio.create_task(play(board.scene, board.seconds, enter))
    stop = asyncio.create_task(interrupted.wait())
    try:
        await asyncio.wait([script, stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in (script, *tasks):
            if task.done():
                task.result()  # a bug of the demo's own is not to pass for a good run
        tasks[0].cancel()
        if not stop.done():
            await asyncio.wait([asyncio.create_task(load.drain()), stop], return_when=asyncio.FIRST_COMPLETED)
        return not stop.done()
    finally:
        for task in (script, stop, *tasks):
            task.cancel()
        await asyncio.gather(script, stop, *tasks, return_exceptions=True)
        view.close()
        await load.close()


def _view(board: Board, fancy: bool) -> Any:
    """rich when it is there and somebody looks at a terminal."""
    if fancy and sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            from meshlib.cli.demo.view_rich import RichView

            return RichView(board)
    return PlainView(board)


def _name(scene: Scene, address: str) -> str:
    return next((one.name for one in list(scene.replicas) if one.address == address), address)


@contextlib.contextmanager
def _terminating() -> Iterator[None]:
    """SIGTERM and SIGHUP end the run as Ctrl-C does, so that they leave nothing behind either."""
    former = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None:
            former[number] = signal.signal(number, signal.default_int_handler)
    former[signal.SIGINT] = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _deaf() -> None:
    """From here on an impatient second Ctrl-C must not interrupt the tidying up."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_IGN)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value
