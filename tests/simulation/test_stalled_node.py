"""The published case: eleven servers, one stalls for half a minute (Linkerd, "Beyond round robin", 2016)."""

from __future__ import annotations

import pytest

from tests.simulation.stall import stalled


@pytest.mark.parametrize(("clients", "least"), [(1, 0.9995), (10, 0.999)])
def test_the_default_loses_less_than_one_in_a_thousand(clients: int, least: float) -> None:
    """With ejection, as it comes; Linkerd measured 99.9 % for Peak-EWMA."""
    assert stalled("p2c", 3, clients, ejection=True) >= least


def test_the_cost_alone_does_it_without_ejection() -> None:
    """The age of what is in flight gives the node away before the first timeout."""
    assert stalled("p2c", 3) >= 0.999


def test_the_case_is_the_published_one() -> None:
    """Round robin loses about 5 % of the calls, least request about 1 %."""
    assert stalled("rr", 3) == pytest.approx(0.955, abs=0.01)
    assert stalled("least", 3) == pytest.approx(0.99, abs=0.005)
