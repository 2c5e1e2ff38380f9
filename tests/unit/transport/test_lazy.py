"""Attributes that are worked out once."""

from __future__ import annotations

import copy
import pickle
from typing import Any

from meshlib.transport.lazy import Lazy, reduced


class Plain:
    """Of which the other is a kind."""


class Kept(Plain):
    """With one lazy attribute, and a count of how often it was worked out."""

    filled = 0

    @Lazy
    def parts(self) -> Any:
        self.filled += 1
        return [self.filled]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return reduced(Plain, {"parts": self.parts})


def test_worked_out_once() -> None:
    """And then an attribute of the instance, the same object at every look."""
    kept = Kept()
    assert "parts" not in vars(kept)
    assert kept.parts is kept.parts
    assert (kept.parts, vars(kept)["parts"]) == ([1], [1])
    assert isinstance(Kept.parts, Lazy)


def test_assigned() -> None:
    """Before the first look: then nothing is worked out."""
    kept = Kept()
    kept.parts = "mine"
    assert (kept.parts, kept.filled) == ("mine", 0)
    del kept.parts
    assert kept.parts == [1]


def test_copies_are_of_the_plain_class() -> None:
    """In every protocol of pickle, and by copy."""
    kept = Kept()
    made = [pickle.loads(pickle.dumps(kept, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for one in (*made, copy.copy(kept), copy.deepcopy(kept)):
        assert type(one) is Plain
        assert vars(one) == {"parts": [1]}
