"""Bound: a timeout that knows its attempt.

httpcore hands the numbers of `extensions["timeout"]` unchanged to the network backend, for every single read and write; a plain
number lets a server that drips one byte a second stretch an attempt without end (measured: a 0.25 s timeout lasted
3.9 s). A Bound is such a number that also carries the instant by which everything must be over, so each operation is clamped
to what is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshlib.core.deadline import NEVER
from meshlib.engine.attempt import Attempt

if TYPE_CHECKING:
    from meshlib.transport.handshake import Tls

__all__ = ["Bound"]


class Bound(float):
    """The absolute `until` (monotonic) bounds everything, `own` seconds each operation; `float(bound)` is the sooner of both
    when it was made, for whoever only knows plain numbers (httpcore's wait for a free connection). The bound of connecting
    brings along how the connection is secured.
    """

    __slots__ = ("attempt", "own", "tls", "until")

    attempt: Attempt
    own: float
    tls: Tls | None
    until: float

    @classmethod
    def of(cls, seconds: float | None, attempt: Attempt, now: float, tls: Tls | None = None) -> Bound:
        """The bound of one kind of operation of `attempt`; None means no timeout of its own."""
        own = NEVER if seconds is None else seconds
        bound = cls(max(0.0, min(own, attempt.until - now)))
        bound.attempt = attempt
        bound.own = own
        bound.tls = tls
        bound.until = attempt.until
        return bound

    def left(self, now: float) -> float | None:
        """Seconds this operation may take from now; None without any bound. At least a millisecond, so that what already
        waits in the kernel can still be taken."""
        left = min(self.own, self.until - now)
        return None if left == NEVER else max(left, 0.001)
