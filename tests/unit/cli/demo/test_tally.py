"""The demo's numbers."""

from __future__ import annotations

import pytest

from meshlib.cli.demo.tally import Sample, Tally, percentile


def sample(
    due: float, seconds: float = 0.1, *, ok: bool = True, address: str = "a", tries: int = 1, phase: str = "p"
) -> Sample:
    return Sample(due, seconds, ok, address, tries, phase)


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [
        ([], 0.5, 0.0),
        ([7.0], 0.999, 7.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([1.0, 2.0, 3.0, 4.0], 0.99, 4.0),
        ([float(n) for n in range(1, 1001)], 0.99, 990.0),
        ([float(n) for n in range(1, 1001)], 0.999, 999.0),
    ],
)
def test_percentile(values: list[float], share: float, found: float) -> None:
    """Nearest rank, as a table of counted requests wants it."""
    assert percentile(values, share) == found


def test_summary() -> None:
    """Lost ones count, and so does their time; retries are attempts beyond the first."""
    tally = Tally("x")
    tally.add(sample(0.0, 0.1))
    tally.add(sample(1.0, 0.3, ok=False, tries=3), "broken")
    tally.add(sample(2.0, 0.2, tries=2, phase="q"))
    whole = tally.summary()
    assert (whole.requests, whole.lost, whole.retries, whole.p50, whole.p99) == (3, 1, 3, 0.2, 0.3)
    assert whole.success == pytest.approx(2 / 3)
    assert tally.summary("q").requests == 1
    assert tally.summary("none").success == 1.0
    assert tally.errors == ["broken"]


def test_since() -> None:
    """A look back finds what was due since then, also when it ended out of order."""
    tally = Tally("x")
    for one in (sample(0.0), sample(2.0), sample(1.0, 1.5), sample(2.4)):
        tally.add(one)
    assert sorted(one.due for one in tally.since(1.0)) == [1.0, 2.0, 2.4]
    assert tally.since(9.0) == []


def test_counts() -> None:
    """Answered and failed by address."""
    tally = Tally("x")
    tally.add(sample(0.0, address="a"))
    tally.add(sample(0.0, address="a", ok=False))
    tally.add(sample(0.0, address="b"))
    assert tally.counts() == {"a": (1, 1), "b": (1, 0)}
