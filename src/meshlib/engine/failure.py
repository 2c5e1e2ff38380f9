"""How a call ends badly: the errors of `meshlib.errors`, filled with the facts of the call and its attempts.

*GET http://orders/v1/42 failed after 3 attempts in 0.92 s (deadline 1.0 s): 10.0.0.1:8080 answered 503 in 12 ms;
10.0.0.7:8080 connect timed out after 250 ms; ...; no budget left for another retry*
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshlib.core.deadline import NEVER
from meshlib.errors import AttemptFacts, duration_text
from meshlib.resilience.retry import Stop

if TYPE_CHECKING:
    from meshlib.engine.call import Call
    from meshlib.engine.plan import CallPlan

__all__ = ["expired", "failed", "limited", "no_endpoint", "open_circuit", "rejected"]

_SLACK = 0.005
"""A timeout that fires this close before the deadline is the deadline's: timers and sockets round."""


def open_circuit(plan: CallPlan, request: Any, now: float) -> BaseException:
    """The breaker refused the call."""
    breaker = plan.breaker
    assert breaker is not None
    wait = max(0.0, breaker.retry_after(now))
    plan.refused("breaker", now)
    message = (
        f"{plan.family.describe(request)} was refused: the circuit breaker of {plan.service} is "
        f"{breaker.state.value}, next try in {wait:.1f} s"
    )
    error = plan.family.errors.CircuitOpenError(message, target=plan.service, retry_after=wait)
    return plan.family.attach(error, request)


def limited(call: Call, now: float, *, waited: bool) -> BaseException:
    """The concurrency limit has no slot; a retry ends with the failure that the call already had."""
    plan = call.plan
    limiter = plan.limiter
    assert limiter is not None
    plan.refused("limit", now)
    if call.made:
        call.stop = Stop.LIMIT
        return _exhausted(call, now)
    why = "no turn in the queue came in time" if waited else "its queue is full"
    message = (
        f"{plan.family.describe(call.request)} was refused: {limiter.used} attempts in flight to {plan.service} "
        f"reach the limit and {why}"
    )
    return plan.family.attach(
        plan.family.errors.LimitExceededError(message, target=plan.service), call.request
    )


def no_endpoint(call: Call, now: float) -> BaseException:
    """Nothing to send to; a retry ends with the failure that the call already had."""
    plan = call.plan
    plan.refused("endpoint", now)
    if call.made:
        call.stop = Stop.ENDPOINT
        return _exhausted(call, now)
    message = (
        f"{plan.family.describe(call.request)} has no endpoint {duration_text(now - call.started, after=True)}: "
        f"{plan.cluster.emptiness()}"
    )
    return plan.family.attach(plan.family.errors.NoEndpointError(message, target=plan.service), call.request)


def expired(call: Call, now: float) -> BaseException:
    """The deadline passed, between attempts or before the first."""
    plan = call.plan
    if not call.made:
        if not plan.cluster.ready:
            return no_endpoint(
                call, now
            )  # it waited for its first endpoints: that is the reason worth telling
        plan.refused("deadline", now)
    message = f"{_headline(call, now, 'exceeded its deadline')}{_listing(call)}"
    error = plan.family.errors.DeadlineExceededError(
        message,
        target=plan.service,
        attempts=_trail(call),
        delivered=_delivered(call),
        retry_safe=not call.made,
    )
    return plan.family.attach(error, call.request)


def failed(call: Call, cause: BaseException) -> BaseException:
    """The last attempt brought an error: the deadline's, the mapped one of a single attempt, or all attempts' together."""
    now = call.ended
    timed_out = call.outcome is not None and call.outcome.cause == "timeout"
    if timed_out and now >= call.deadline - _SLACK:
        error = expired(call, now)
    elif call.made == 1 and not call.plan.raise_on_exhausted:
        return call.plan.family.mapped(cause, call.request)
    else:
        error = _exhausted(call, now, cause)
    error.__cause__ = cause
    return error


def rejected(call: Call) -> BaseException:
    """A response in hand that policy wants raised (`raise_on_exhausted`)."""
    return _exhausted(call, call.ended)


def _exhausted(call: Call, now: float, cause: BaseException | None = None) -> BaseException:
    plan = call.plan
    ending = f"; {call.stop.phrase}" if call.stop is not None and call.stop.phrase else ""
    message = f"{_headline(call, now, 'failed')}{_listing(call)}{ending}"
    facts: dict[str, Any] = {
        "target": plan.service,
        "attempts": _trail(call),
        "delivered": _delivered(call),
        # Spent: whoever catches this must not multiply the attempts that were already made.
        "retry_safe": False,
    }
    outcome = None if call.last is None else call.last.outcome
    if outcome is not None and outcome.pushback is not None and outcome.pushback >= 0:
        facts["retry_after"] = outcome.pushback
    if cause is None:
        error = plan.family.errors.AttemptsExhaustedError(message, **facts)
    else:
        error = plan.family.exhausted(cause, message, **facts)
    return plan.family.attach(error, call.request)


def _headline(call: Call, now: float, verb: str) -> str:
    made = call.made
    tries = f" after {made} attempt{'s' if made != 1 else ''}" if made else " before any attempt"
    bound = max(0.0, call.deadline - call.started)
    limit = "" if call.deadline == NEVER else f" (deadline {round(bound, 2)} s)"
    seconds = now - call.started
    spent = f"in {seconds:.2f} s" if seconds >= 0.1 else duration_text(seconds)
    return f"{call.plan.family.describe(call.request)} {verb}{tries} {spent}{limit}"


def _listing(call: Call) -> str:
    trail = _trail(call)
    return f": {'; '.join(str(facts) for facts in trail)}" if trail else ""


def _trail(call: Call) -> tuple[AttemptFacts, ...]:
    return () if call.last is None else call.last.trail()


def _delivered(call: Call) -> str:
    """`no` only while every attempt provably left nothing behind; `yes` once any was answered."""
    found = "no"
    attempt = call.last
    while attempt is not None:
        outcome = attempt.outcome
        said = "maybe" if outcome is None else outcome.delivered
        if said == "yes":
            return "yes"
        if said == "maybe":
            found = "maybe"
        attempt = attempt.previous
    return found
