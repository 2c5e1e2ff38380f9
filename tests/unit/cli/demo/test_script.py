"""The demo's plot."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meshlib.cli.demo.script import PHASES, play
from meshlib.testing import FakeClock, VirtualLoop


class Stage:
    """Writes down what is done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.replicas = [Actor(f"orders-{n}", self.done) for n in (1, 2, 3)]

    def grow(self) -> None:
        self.done.append("grow")


class Actor:
    def __init__(self, name: str, done: list[str]) -> None:
        self._name, self._done = name, done

    def __getattr__(self, what: str) -> Any:
        return lambda: self._done.append(f"{what} {self._name}")


def test_shares_make_a_whole() -> None:
    """The phases fill the run."""
    assert sum(phase.share for phase in PHASES) == pytest.approx(1.0)


def test_order_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow, kill, add, all back; each phase is entered before its act, and the run takes the time it was given."""
    stage = Stage()

    async def at_once(act: Any, scene: Any) -> None:
        act(scene)

    monkeypatch.setattr(asyncio, "to_thread", at_once)
    loop = VirtualLoop(clock := FakeClock())
    began = clock()
    try:
        loop.run_until_complete(play(stage, 20.0, lambda phase: stage.done.append(phase.name)))  # type: ignore[arg-type]
        assert clock() - began == pytest.approx(20.0)
    finally:
        loop.close()
    assert stage.done == [
        "healthy",
        "one slow", "slow orders-2",
        "one killed", "kill orders-3",
        "one added", "grow",
        "all back", "heal orders-2", "start orders-3",
    ]  # fmt: skip
