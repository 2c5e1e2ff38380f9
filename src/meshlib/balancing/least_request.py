"""Least request: of two random nodes, the one with fewer attempts in flight. Envoy's LEAST_REQUEST."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from meshlib.balancing.base import Picked, Picker, Random
from meshlib.balancing.choices import two_choices
from meshlib.core.options import Options

__all__ = ["LeastRequest", "LeastRequestOptions"]


class LeastRequestOptions(Options, frozen=True, kw_only=True):
    """Least request has no options yet."""

    group: ClassVar[str] = "balancer.least_request"


class LeastRequest:
    """`balancer = "least_request"`."""

    options: ClassVar[type[Options]] = LeastRequestOptions

    def __init__(self, options: Options) -> None:
        pass

    def build(self, nodes: Sequence[Picked], random: Random) -> Picker:
        """Power of two choices by attempts in flight."""
        return two_choices(nodes, random, _load)


def _load(node: Picked, now: float) -> float:
    # Plus one, so that weights still divide something while every node is idle.
    return node.in_flight + 1
