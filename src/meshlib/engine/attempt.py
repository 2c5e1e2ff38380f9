"""Attempt: one try of one call on one node, and the lease on that node that goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshlib.errors import AttemptFacts

if TYPE_CHECKING:
    from meshlib.core.listener import Headers
    from meshlib.core.outcome import Outcome
    from meshlib.engine.call import Call
    from meshlib.engine.node import Node

__all__ = ["Attempt"]


class Attempt:
    """Made by `Call.begin`. A transport reads `node`, `until` and `headers`, and sets `head` and `sent`.

    The lease (in-flight count, limit slot) is given back exactly once, by whoever holds it last: the call for a buffered
    attempt, the response body for a streamed one (`release`, or `abandon` from a finaliser).
    """

    __slots__ = (
        "call",
        "context",
        "finished",
        "head",
        "headers",
        "held",
        "node",
        "number",
        "opened",
        "outcome",
        "previous",
        "probe",
        "sent",
        "slot",
        "started",
        "until",
    )

    def __init__(self, call: Call, node: Node, now: float, until: float) -> None:
        """Take the lease on `node`: under its cluster's lock."""
        self.call: Call = call
        self.node: Node = node
        self.started: float = now
        self.until: float = until
        """Absolute end of this attempt (monotonic); `inf` without one."""
        self.number: int = call.made
        self.previous: Attempt | None = call.last
        self.head: float = 0.0
        """When the head arrived; 0 while unknown."""
        self.opened: float = 0.0
        """When the connection made for this attempt stood; 0 when one was at hand. A handshake is no measure of the node."""
        self.sent: bool = False
        """Whether the first byte of the request may have left."""
        self.finished: float = 0.0
        self.outcome: Outcome | None = None
        self.headers: Headers | None = None
        self.context: object = None
        """A listener's own: the telemetry span of this attempt."""
        self.probe: bool = False
        self.slot: bool = False
        self.held: bool = True
        node.in_flight += 1
        node.calls += 1
        waiting = node.waiting
        if waiting is None:
            waiting = node.waiting = {}
        waiting[self] = None
        if now < node.oldest:
            node.oldest = now

    @property
    def resend_count(self) -> int:
        """How many attempts of this call came before this one."""
        return self.number - 1

    def release(self, now: float, outcome: Outcome | None = None) -> None:
        """Give the lease back. `outcome`, when given, is what became of a streamed body (reported, never retried)."""
        if self.held:
            self.call.plan.cluster.release(self, now, outcome)

    def abandon(self) -> None:
        """Give the lease back from a finaliser: takes no lock, the next call on the cluster settles it."""
        if self.held:
            self.call.plan.cluster.abandoned.append(self)

    def facts(self) -> AttemptFacts:
        """This attempt in plain values, for errors and `response.extensions["meshlib"]`."""
        outcome = self.outcome
        cause, text = ("open", "was not finished") if outcome is None else (outcome.cause, outcome.text)
        end = self.finished or self.started
        return AttemptFacts(self.number, self.node.address, cause, text, end - self.started)

    def trail(self) -> tuple[AttemptFacts, ...]:
        """This attempt and all before it, oldest first."""
        found = []
        attempt: Attempt | None = self
        while attempt is not None:
            found.append(attempt.facts())
            attempt = attempt.previous
        return tuple(reversed(found))
