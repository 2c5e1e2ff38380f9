"""Timeouts that know their attempt."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from meshlib.engine.attempt import Attempt
from meshlib.transport.bound import Bound


def test_it_is_the_sooner_of_both(begun: Callable[..., Attempt]) -> None:
    """For whoever only knows plain numbers."""
    attempt = begun(timeout=2.0)
    assert Bound.of(0.5, attempt, 100.0) == 0.5
    assert Bound.of(5.0, attempt, 100.0) == 2.0
    assert Bound.of(None, attempt, 101.5) == 0.5
    assert Bound.of(None, attempt, 103.0) == 0.0


def test_what_is_left_shrinks(begun: Callable[..., Attempt]) -> None:
    """Each operation gets its own timeout, but never more than the attempt still has."""
    bound = Bound.of(0.5, begun(timeout=2.0), 100.0)
    assert bound.left(100.0) == 0.5
    assert bound.left(101.7) == pytest.approx(0.3)
    assert bound.left(105.0) == 0.001


def test_without_any_bound_there_is_none(begun: Callable[..., Attempt]) -> None:
    """No timeout, no deadline."""
    assert Bound.of(None, begun(), 100.0).left(100.0) is None
