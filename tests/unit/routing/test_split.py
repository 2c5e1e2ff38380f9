"""Split and Subset: which part of the endpoints gets a call."""

from collections import Counter

import pytest

from meshlib.core.endpoint import Endpoint
from meshlib.errors import ConfigError
from meshlib.routing import Share, Split, Subset


def split(**weights: float) -> Split:
    return Split([Share(subset=name, weight=weight) for name, weight in weights.items()])


def test_follows_the_weights() -> None:
    """Evenly spread random numbers give each branch its share."""
    chosen = Counter(split(v1=90, v2=10).choose(number / 1000) for number in range(1000))
    assert chosen == {"v1": 900, "v2": 100}


def test_never_picks_a_branch_without_weight() -> None:
    """A weight of 0 gets nothing, first or last in the list."""
    for number in (0.0, 0.5, 1.0 - 2**-53):
        assert split(old=0, new=1, none=0).choose(number) == "new"
    assert split(a=0, b=1, c=2, d=0).choose(1.0 - 2**-53) == "c"


def test_needs_a_weight() -> None:
    """A split in which nobody gets anything is an error."""
    for weights in ({}, {"v1": 0.0}):
        with pytest.raises(ConfigError, match="a weight above 0"):
            split(**weights)


def test_is_readable() -> None:
    """Its repr names branches and weights."""
    assert repr(split(v1=90, v2=10)) == "Split(v1: 90, v2: 10)"


def test_subset_selects_by_labels() -> None:
    """All labels must be there with their values; no labels select all."""
    old = Endpoint(host="a", labels={"version": "v1", "zone": "x"})
    new = Endpoint(host="b", labels={"version": "v2"})
    bare = Endpoint(host="c")
    assert Subset(labels={"version": "v1"}).select([old, new, bare]) == (old,)
    assert Subset(labels={"version": "v2", "zone": "x"}).select([old, new, bare]) == ()
    assert Subset().select([old, new, bare]) == (old, new, bare)
