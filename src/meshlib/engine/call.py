"""Call: one logical request on its way through the plan.

Two methods tell the story. `begin` reads limit, pick, claim; `finish` reads settle, verdict, budget, breaker. Both are
called by a driver that then acts on what they return. A Call is used by one thread or task at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshlib.core.outcome import CANCELLED, Outcome
from meshlib.core.wait import Wait
from meshlib.engine import failure
from meshlib.engine.attempt import Attempt
from meshlib.resilience.retry import Stop

if TYPE_CHECKING:
    from meshlib.engine.node import Node
    from meshlib.engine.plan import CallPlan

__all__ = ["BUFFERED", "HOP", "IDEMPOTENT", "REPLAYABLE", "Call"]

IDEMPOTENT = 1
"""Repeating the request changes nothing (RFC 9110 9.2.2, or an Idempotency-Key)."""
REPLAYABLE = 2
"""The body can be sent again."""
BUFFERED = 4
"""The attempt ends with the body, not with the head."""
HOP = 8
"""A further hop of a call that already made its deposit: a redirect or an authentication round."""

FIRST_SNAPSHOT = 5.0
"""The longest a call waits for the first set of endpoints, in seconds."""


class Call:
    """See the module. `now` is the instant of the latest begin, `made` counts attempts, `last` is the newest one."""

    __slots__ = (
        "context",
        "deadline",
        "ended",
        "flags",
        "last",
        "made",
        "now",
        "outcome",
        "permit",
        "plan",
        "request",
        "slot",
        "started",
        "stop",
        "tried",
        "wait",
    )

    def __init__(
        self, plan: CallPlan, request: Any, now: float, flags: int, deadline: float, permit: int
    ) -> None:
        self.plan: CallPlan = plan
        self.request: Any = request
        self.flags: int = flags
        self.started: float = now
        self.now: float = now
        self.deadline: float = deadline
        self.permit: int = permit
        self.made: int = 0
        self.last: Attempt | None = None
        self.outcome: Outcome | None = None
        self.stop: Stop | None = None
        self.tried: tuple[Node, ...] = ()
        self.wait: Wait | None = None
        self.slot: bool = False
        self.ended: float = 0.0
        self.context: object = None

    # --- once an attempt -------------------------------------------------------------------------------------------

    def begin(self, now: float) -> Attempt | Wait:
        """The next attempt, its node claimed; or a Wait to sit out before asking again.

        Raises the family's DeadlineExceededError, LimitExceededError or NoEndpointError; a retry that finds no limit slot
        or no node ends the call with the failure it had.
        """
        self.now = now
        left = self.deadline - now
        if left <= 0.0:
            raise failure.expired(self, now)
        plan = self.plan
        if plan.limiter is not None and not self.slot:
            queued = self._slot(now)
            if queued is not None:
                return queued
        made = self.made = self.made + 1
        limit = plan.attempt_timeout
        if limit is None:
            # `auto`: half of what is left while another attempt is possible, all of it for the last one.
            limit = left * 0.5 if made < plan.max_attempts and self.flags & 3 == 3 else left
        attempt = plan.cluster.claim(self, now, now + limit if limit < left else self.deadline)
        if attempt is None:
            self.made = made - 1
            return self._starved(now)
        if self.slot:
            attempt.slot = True
            self.slot = False
        self.last = attempt
        return attempt

    def finish(self, attempt: Attempt, outcome: Outcome, now: float) -> float | None:
        """Settle the attempt. Seconds to pause before the next one, or None: the call is decided."""
        attempt.finished = now
        attempt.outcome = outcome
        plan = self.plan
        if outcome.ok:
            plan.cluster.settle(attempt, outcome, now, not self.flags & BUFFERED)
            self.outcome = outcome
            self.ended = now
            permit = self.permit
            if permit:
                self.permit = 0
                plan.breaker.record(permit, True, now - self.started, now)  # type: ignore[union-attr]
            return None
        delay = self._verdict(outcome, now)
        # A streamed reply that stands keeps its lease until its body is closed; what a retry replaces gives it back.
        streamed = (
            not self.flags & BUFFERED
            and delay is None
            and outcome.delivered == "yes"
            and not (plan.raise_on_exhausted and outcome.charged)
        )
        plan.cluster.settle(attempt, outcome, now, streamed)
        if delay is not None:
            self.tried += (attempt.node,)
            return delay
        self.outcome = outcome
        self.ended = now
        if self.permit:
            self._judge(outcome, now)
        return None

    def settle(self, reply: Any) -> Any:
        """The reply, or the mapped error raised. An error is the reply of a call whose last attempt brought none."""
        if isinstance(reply, BaseException):
            self.last.release(self.ended)  # type: ignore[union-attr]  # no body will come that could do it
            raise failure.failed(self, reply)
        if self.rejects():
            raise failure.rejected(self)
        return reply

    def rejects(self) -> bool:
        """Whether a reply in hand is to be raised instead (`raise_on_exhausted`); the driver closes it first."""
        return self.plan.raise_on_exhausted and self.outcome is not None and self.outcome.charged

    def close(self, now: float) -> Attempt | None:
        """Give back whatever is still held, exactly once; the attempt that had to be settled as cancelled, if any.

        What a response body took along is no longer the call's.
        """
        attempt = self.last
        if attempt is not None and attempt.outcome is not None:
            attempt = None
        if attempt is not None:
            # Left in flight by cancellation, a signal or a bug: nobody's failure, but the wait is evidence.
            attempt.finished = now
            attempt.outcome = CANCELLED
            self.plan.cluster.settle(attempt, CANCELLED, now, False)
        wait = self.wait
        if wait is not None:
            self.wait = None
            wait.abandon()
        self._free()
        if self.permit:
            # Ended between two attempts: what it had met counts.
            self._judge(None if self.last is None else self.last.outcome, now)
        return attempt

    def abandon(self) -> None:
        """`close` from a finaliser: takes no lock, the next call on the cluster does it (house rule 11)."""
        self.plan.cluster.abandoned.append(self)

    # --- the parts -------------------------------------------------------------------------------------------------

    def _slot(self, now: float) -> Wait | None:
        """A slot of the concurrency limit, or the Wait for it, or the refusal raised."""
        plan = self.plan
        if plan.cluster.abandoned:
            # Before the limit is asked: what finalisers left may be the very slots that it lacks.
            plan.cluster.collect(now)
        queued = self.wait
        if queued is not None:
            self.wait = None
            if queued.reason == "queue" and queued.granted:
                self.slot = True
                return None
            queued.abandon()
            if queued.reason == "queue":
                raise failure.limited(self, now, waited=True)
        limiter = plan.limiter
        assert limiter is not None
        turn = limiter.acquire(self.deadline)
        if turn is True:
            self.slot = True
            return None
        if turn is None:
            raise failure.limited(self, now, waited=False)
        self.wait = turn
        return turn

    def _starved(self, now: float) -> Wait:
        """No node: a Wait while the first snapshot may still come, NoEndpointError otherwise.

        The limit counts attempts in flight, and this is none: its slot goes back meanwhile.
        """
        self._free()
        if self.wait is not None:
            self.wait.abandon()
            self.wait = None
        cluster = self.plan.cluster
        bound = min(self.deadline, self.started + FIRST_SNAPSHOT)
        # A picker is there when the first set came just after the claim: `expect` then answers with a granted turn.
        if now >= bound or (cluster.ready and cluster.picker is None):
            raise failure.no_endpoint(self, now)
        self.wait = cluster.expect(bound)
        return self.wait

    def _verdict(self, outcome: Outcome, now: float) -> float | None:
        plan = self.plan
        retry = plan.retry
        if retry is None:
            self.stop = Stop.OFF
            return None
        flags = self.flags
        answer = retry.verdict(
            self.made,
            flags & IDEMPOTENT != 0,
            flags & REPLAYABLE != 0,
            outcome,
            plan.random,
            now,
            self.deadline,
        )
        if isinstance(answer, Stop):
            self.stop = answer
            return None
        # Withdrawn last, when nothing else can stop the retry any more, and never given back.
        if plan.budget is not None and not plan.budget.withdraw(now):
            self.stop = Stop.BUDGET
            return None
        return answer

    def _free(self) -> None:
        if self.slot:
            self.slot = False
            self.plan.limiter.release()  # type: ignore[union-attr]  # it gave the slot

    def _judge(self, outcome: Outcome | None, now: float) -> None:
        """The one record at the breaker; a call that says nothing (cancelled, or refused further on) hands its permit back."""
        permit, self.permit = self.permit, 0
        breaker = self.plan.breaker
        assert breaker is not None  # it gave the permit
        if outcome is not None and outcome.charged:
            breaker.record(permit, False, now - self.started, now)
        else:
            breaker.release(permit, now)
