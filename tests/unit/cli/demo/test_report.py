"""The demo's last words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from meshlib.cli.demo.report import lost, milliseconds, percent, report
from meshlib.cli.demo.tally import Sample, Tally


def load_of(mine: list[Sample], errors: list[str] | None = None) -> Any:
    meshlib, plain = Tally("meshlib"), Tally("plain httpx")
    for one in mine:
        meshlib.add(one)
        plain.add(one._replace(ok=False))
    meshlib.errors += errors or []
    return SimpleNamespace(meshlib=meshlib, plain=plain)


def test_nothing_lost() -> None:
    """Both sides beside each other, by phase, and the verdict."""
    load = load_of([Sample(0.0, 0.005, True, "a", 2, "healthy")] * 4)
    text = "\n".join(report(load, finished=True))
    assert lost(load) == 0
    assert "lost idempotent requests" in text
    assert "100 %" in text
    assert "0.00 %" in text
    assert "healthy" in text
    assert "one slow" not in text
    assert text.endswith("meshlib lost no idempotent request.")


def test_lost_requests_are_told() -> None:
    """Each of the first few with its error and history."""
    load = load_of([Sample(0.0, 0.005, False, "a", 3, "healthy")] * 7, [f"error {n}" for n in range(7)])
    text = "\n".join(report(load, finished=True))
    assert lost(load) == 7
    assert "meshlib LOST 7 idempotent requests" in text
    assert "error 4" in text
    assert "and 2 more" in text


def test_broken_off() -> None:
    """An interrupted run says that it was."""
    assert next(report(load_of([]), finished=False)) == "broken off; so far:"


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100 %"), (0.99996, "99.99 %"), (0.5, "50.00 %"), (0.0, "0.00 %")]
)
def test_percent(share: float, text: str) -> None:
    """One lost request in a million is not a hundred per cent."""
    assert percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "-"), (0.0061, "6.1 ms"), (0.4123, "412 ms"), (1.2, "1.20 s")]
)
def test_milliseconds(seconds: float, text: str) -> None:
    """Three figures are enough."""
    assert milliseconds(seconds) == text
