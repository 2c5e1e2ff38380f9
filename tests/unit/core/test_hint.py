"""Hint: best effort, bounded, and it wakes."""

from __future__ import annotations

from meshlib.core.hint import Hint, Hints


def test_put_and_drain() -> None:
    """Oldest first, woken once while the queue is not empty."""
    woken: list[int] = []
    hints = Hints(wake=lambda: woken.append(1))
    assert hints.put(Hint("refresh", "orders", "a:1"))
    assert hints.put(Hint("warm", "orders"))
    assert len(woken) == 1
    assert [repr(hint) for hint in hints.drain()] == [
        "Hint('refresh', 'orders', 'a:1')",
        "Hint('warm', 'orders', '')",
    ]
    assert hints.drain() == []
    hints.put(Hint("drain", "orders"))
    assert len(woken) == 2


def test_full_queue_drops() -> None:
    """What does not fit is dropped and counted."""
    hints = Hints(capacity=1)
    assert hints.put(Hint("refresh", "a"))
    assert not hints.put(Hint("refresh", "b"))
    assert hints.dropped == 1
    assert [hint.service for hint in hints.drain()] == ["a"]


def test_dead_control_path() -> None:
    """A loop that is closed already does not fail the call."""

    def closed() -> None:
        raise RuntimeError("Event loop is closed")

    assert Hints(wake=closed).put(Hint("refresh", "a"))
