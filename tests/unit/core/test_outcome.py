"""Outcome: derived once, read everywhere."""

from __future__ import annotations

import pytest

from meshlib.core.outcome import CANCELLED, OK, Kind, Outcome


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        (Kind.SUCCESS, (True, False, False)),
        (Kind.FAILURE, (False, True, True)),
        (Kind.THROTTLED, (False, False, True)),
        (Kind.IGNORED, (False, False, False)),
    ],
)
def test_derived(kind: Kind, facts: tuple[bool, bool, bool]) -> None:
    """ok, failed, charged."""
    outcome = Outcome(kind, "x", "did x")
    assert (outcome.ok, outcome.failed, outcome.charged) == facts
    assert (outcome.retry_safe, outcome.pushback, outcome.delivered) == (None, None, "maybe")


def test_shared_ones() -> None:
    """The two that need no making."""
    assert OK.ok
    assert not CANCELLED.charged
    assert repr(OK) == "Outcome(success, 'ok', 'answered')"
