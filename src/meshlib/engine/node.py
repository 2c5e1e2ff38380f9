"""Node: this client's memory of one endpoint. Outlives snapshots while its key is published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshlib.core.deadline import NEVER
from meshlib.core.endpoint import Endpoint, Key

if TYPE_CHECKING:
    from meshlib.engine.attempt import Attempt
    from meshlib.resilience.outlier import NodeHealth

__all__ = ["Node"]


class Node:
    """Created and dropped by its Cluster only; every field is written under the cluster's lock.

    An idle node is this object and nothing else: health windows come with the first result, `waiting` with the first
    attempt, connection pools with the first connection.
    """

    __slots__ = (
        "barrier",
        "calls",
        "departed",
        "endpoint",
        "ewma",
        "failures",
        "health",
        "in_flight",
        "key",
        "oldest",
        "stamp",
        "waiting",
    )

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint: Endpoint = endpoint
        self.key: Key = (endpoint.host, endpoint.port)
        self.in_flight: int = 0
        self.calls: int = 0
        self.failures: int = 0
        self.barrier: float = 0.0
        """No new attempt before this instant: 0 is open, `inf` until told otherwise."""
        self.health: NodeHealth | None = None
        self.ewma: float = 0.0
        self.stamp: float = 0.0
        self.oldest: float = NEVER
        self.waiting: dict[Attempt, None] | None = None
        self.departed: float = NEVER
        """When it left the published set; NEVER while it is in."""

    def usable(self, now: float) -> bool:
        """Whether a new attempt may go here. The one place that knows ejected, probing, draining, connect-failed."""
        return self.barrier <= now

    @property
    def host(self) -> str:
        """The endpoint's host."""
        return self.endpoint.host

    @property
    def port(self) -> int:
        """The endpoint's port (0: the protocol's default)."""
        return self.endpoint.port

    @property
    def labels(self) -> Any:
        """The endpoint's labels."""
        return self.endpoint.labels

    @property
    def address(self) -> str:
        """`host:port`, for people."""
        return self.endpoint.address

    def state(self, now: float) -> str:
        """One word for `state()`: ready, unreachable, ejected, probing, draining or panic."""
        if self.departed != NEVER:
            return "draining"
        health = self.health
        if health is not None and health.ejected:
            if self.barrier == 0.0:
                return "panic"
            return "ejected" if self.barrier > now else "probing"
        return "ready" if self.barrier <= now else "unreachable"

    def __repr__(self) -> str:
        return f"<Node {self.address} in_flight={self.in_flight}>"
