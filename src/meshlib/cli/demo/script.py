"""Script: what happens to the service, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from meshlib.cli.demo.scene import Scene

__all__ = ["PHASES", "Phase", "play"]


class Phase(NamedTuple):
    """A share of the run, and what is done to the scene at its beginning (on a thread: it starts processes)."""

    name: str
    share: float
    says: str
    act: Callable[[Scene], object]


def _nothing(scene: Scene) -> None:
    """Three healthy replicas."""


def _slow(scene: Scene) -> None:
    scene.replicas[1].slow()


def _kill(scene: Scene) -> None:
    scene.replicas[2].kill()


def _add(scene: Scene) -> None:
    scene.grow()


def _restore(scene: Scene) -> None:
    scene.replicas[1].heal()
    scene.replicas[2].start()


PHASES = (
    Phase("healthy", 0.15, "three replicas, all well", _nothing),
    Phase("one slow", 0.25, "orders-2 takes 400 ms for every answer", _slow),
    Phase("one killed", 0.15, "orders-3 is killed; the registry still lists it", _kill),
    Phase("one added", 0.10, "orders-4 is started and listed", _add),
    Phase("all back", 0.35, "orders-2 is quick again, orders-3 is back", _restore),
)


async def play(scene: Scene, seconds: float, enter: Callable[[Phase], None]) -> None:
    """Go through the phases in `seconds`; `enter` is told at the beginning of each, just before its act."""
    loop = asyncio.get_running_loop()
    until = loop.time()
    for phase in PHASES:
        until += phase.share * seconds
        enter(phase)
        await asyncio.to_thread(phase.act, scene)
        await asyncio.sleep(max(0.0, until - loop.time()))
