"""Split: which subset of the endpoints a call goes to. Decided once per call; its retries and hedges stay there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Annotated, ClassVar

from msgspec import Meta

from meshlib.core.endpoint import Endpoint
from meshlib.core.options import Options
from meshlib.errors import ConfigError

__all__ = ["Share", "Split", "Subset"]


class Subset(Options, frozen=True, kw_only=True):
    """`subsets.<name>`: the endpoints of a service that carry all these labels."""

    group: ClassVar[str] = "subset"

    labels: Annotated[
        Mapping[str, str],
        Meta(description="Labels and their exact values, all of them; empty is every endpoint."),
    ] = {}

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether an endpoint with these labels belongs to it."""
        return all(labels.get(name) == value for name, value in self.labels.items())

    def select(self, endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
        """Those of the endpoints that belong to it, in their order."""
        return tuple(endpoint for endpoint in endpoints if self.selects(endpoint.labels))


class Share(Options, frozen=True, kw_only=True):
    """One branch of a split."""

    group: ClassVar[str] = "split"

    subset: Annotated[str, Meta(min_length=1, description="A name from the service's subsets.")]
    weight: Annotated[
        float,
        Meta(
            ge=0.0, le=1e6, description="Relative to the other branches; 0 gets nothing (Istio, Gateway API)."
        ),
    ] = 1.0


class Split:
    """A weighted choice among subsets, from one random number. Immutable."""

    __slots__ = ("_ends", "_only", "_total", "shares", "subsets")

    def __init__(self, shares: Sequence[Share]) -> None:
        # A branch of weight 0 is left out, so that no rounding can ever pick it.
        chosen = [share for share in shares if share.weight > 0.0]
        if not chosen:
            raise ConfigError("a split needs one branch at least with a weight above 0")
        self.shares: tuple[Share, ...] = tuple(shares)
        self.subsets: tuple[str, ...] = tuple(share.subset for share in chosen)
        self._ends = tuple(accumulate(share.weight for share in chosen))[:-1]
        self._total = sum(share.weight for share in chosen)
        self._only = chosen[0].subset if len(chosen) == 1 else None

    def choose(self, random: float) -> str:
        """The name of a subset; `random` is uniform in [0, 1)."""
        if self._only is not None:
            return self._only
        return self.subsets[bisect_right(self._ends, random * self._total)]

    def __repr__(self) -> str:
        return f"Split({', '.join(f'{share.subset}: {share.weight:g}' for share in self.shares)})"
