"""Which family is asked first."""

from __future__ import annotations

import pytest

from meshlib.core.io import Family
from meshlib.world.route import families, of_family


@pytest.mark.parametrize(
    ("family", "routes", "order"),
    [
        ("auto", "46", ("4", "6")),
        ("auto", "4", ("4", "6")),
        ("auto", "6", ("6", "4")),
        ("auto", "", ("4", "6")),
        ("4", "6", ("4",)),
        ("6", "4", ("6",)),
        ("all", "", ("4", "6")),
    ],
)
def test_order(family: Family, routes: str, order: tuple[str, ...]) -> None:
    """The family with a route, 4 before 6; a stated one alone."""
    assert families(family, lambda one: one in routes) == order


def test_of_family() -> None:
    """By the colon."""
    known = ("10.0.0.1", "::1")
    assert (of_family(known, "4"), of_family(known, "6")) == (("10.0.0.1",), ("::1",))
