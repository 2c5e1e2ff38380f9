"""Deadlines: the nearest holds."""

from __future__ import annotations

from contextvars import copy_context

from meshlib.core.deadline import AMBIENT, NEVER, nearest, remaining


def test_ambient() -> None:
    """Without one nothing changes; with one the sooner of both holds."""

    def inside() -> None:
        assert nearest(5.0) == 5.0
        assert nearest(NEVER) == NEVER
        assert remaining(1.0) is None
        AMBIENT.set(3.0)
        assert nearest(5.0) == 3.0
        assert nearest(2.0) == 2.0
        assert remaining(1.0) == 2.0
        assert remaining(4.0) == 0.0

    copy_context().run(inside)
