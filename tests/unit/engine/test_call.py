"""Call: what one logical request decides and gives back."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib.core.deadline import AMBIENT
from meshlib.core.outcome import CANCELLED, OK, Kind, Outcome
from meshlib.engine import BUFFERED, HOP, IDEMPOTENT, REPLAYABLE, Attempt, Call, CallPlan
from meshlib.resilience import (
    BreakerOptions,
    BudgetOptions,
    CircuitBreaker,
    Limiter,
    LimitOptions,
    RetryBudget,
    State,
)
from meshlib.resilience.retry import Stop
from tests.rpc import RPC, Request, RpcError, idle, plan_of, publish

NOW = 1000.0
SAFE = IDEMPOTENT | REPLAYABLE
REFUSED = Outcome(Kind.FAILURE, "unsent", "refused", retry_safe=True, delivered="no")
ANSWERED = Outcome(Kind.FAILURE, "UNAVAILABLE", "answered UNAVAILABLE", delivered="yes")
LOCAL = Outcome(Kind.IGNORED, "busy", "was not sent", retry_safe=False, delivered="yes")


def begun(call: Call, now: float = NOW) -> Attempt:
    step = call.begin(now)
    assert isinstance(step, Attempt)
    return step


def opened(plan: CallPlan, flags: int = SAFE | BUFFERED, deadline: float = 0.0) -> Call:
    return plan.open(Request(), NOW, flags, deadline)


def breaker(**options: Any) -> CircuitBreaker:
    return CircuitBreaker("orders", BreakerOptions(**options), lambda: 0.5)


def test_success_gives_everything_back() -> None:
    """One good attempt: nothing in flight, one record at the breaker."""
    plan = plan_of("a", breaker=breaker(), limiter=Limiter(LimitOptions(concurrency=1)))
    call = opened(plan)
    attempt = begun(call)
    assert attempt.node.in_flight == 1
    assert plan.limiter is not None
    assert plan.limiter.used == 1
    assert call.finish(attempt, OK, NOW + 1) is None
    assert call.settle("reply") == "reply"
    assert call.close(NOW + 1) is None
    assert idle(plan)
    assert plan.breaker is not None
    assert plan.breaker.describe(NOW + 1)["calls"] == 1


def test_cancelled_attempt_is_given_back_once() -> None:
    """Closing settles what is in flight, records nothing, and does nothing the second time."""
    plan = plan_of("a", breaker=breaker(), limiter=Limiter(LimitOptions(concurrency=1)), balancer="p2c")
    call = opened(plan)
    attempt = begun(call)
    assert call.close(NOW + 3) is attempt
    assert call.close(NOW + 3) is None
    assert attempt.outcome is CANCELLED
    assert idle(plan)
    assert plan.breaker is not None
    assert plan.breaker.describe(NOW)["calls"] == 0
    assert attempt.node.ewma > 0, "the time waited is a lower bound of the node's cost"


def test_call_dropped_between_attempts_counts_what_it_met() -> None:
    """A call that ends during back-off has met a failure: the breaker hears of it."""
    plan = plan_of("a", breaker=breaker())
    call = opened(plan)
    assert call.finish(begun(call), ANSWERED, NOW) is not None
    call.close(NOW)
    assert plan.breaker is not None
    assert plan.breaker.describe(NOW)["failures"] == 1


def test_abandoned_call_is_closed_by_the_next() -> None:
    """A finaliser only leaves a note; the next call on the cluster reads it, also when the limit is full."""
    plan = plan_of("a", limiter=Limiter(LimitOptions(concurrency=1)))
    call = opened(plan)
    begun(call)
    call.abandon()
    assert not idle(plan)
    other = opened(plan)
    other.finish(begun(other), OK, NOW)
    assert idle(plan)


def test_breaker_refuses_before_anything_is_held() -> None:
    """An open breaker raises the family's error with the time to wait; no deposit is made."""
    budget = RetryBudget(BudgetOptions(floor=0.0))
    plan = plan_of("a", breaker=breaker(consecutive_failures=1, open_for=2.0), budget=budget, retry=None)
    call = opened(plan)
    call.finish(begun(call), ANSWERED, NOW)
    assert plan.breaker is not None
    assert plan.breaker.state is State.OPEN
    before = budget.balance(NOW)
    with pytest.raises(RPC.errors.CircuitOpenError) as caught:
        opened(plan)
    assert caught.value.retry_after == pytest.approx(2.0)
    assert caught.value.retry_safe is True
    assert str(caught.value) == (
        "orders.Get was refused: the circuit breaker of orders is open, next try in 2.0 s"
    )
    assert budget.balance(NOW) == before
    assert plan.events[-1].facts == {"reason": "breaker"}


def test_ignored_outcome_releases_the_probe() -> None:
    """What is nobody's failure leaves a half-open breaker as it was, its probe free again."""
    plan = plan_of("a", breaker=breaker(consecutive_failures=1, open_for=2.0), retry=None)
    call = opened(plan)
    call.finish(begun(call), ANSWERED, NOW)
    later = NOW + 10
    for _ in range(3):
        probe = plan.open(Request(), later, SAFE | BUFFERED)
        assert probe.finish(begun(probe, later), LOCAL, later) is None
        assert plan.breaker is not None
        assert plan.breaker.state is State.HALF_OPEN


def test_refused_further_on_gives_the_permit_back() -> None:
    """Admitted, then without an endpoint: the breaker's probe is not lost."""
    plan = plan_of("a", breaker=breaker(consecutive_failures=1, open_for=2.0), retry=None)
    call = opened(plan)
    call.finish(begun(call), ANSWERED, NOW)
    publish(plan.cluster)
    for _ in range(3):
        probe = plan.open(Request(), NOW + 10, SAFE)
        with pytest.raises(RPC.errors.NoEndpointError):
            probe.begin(NOW + 10)
        probe.close(NOW + 10)


def test_hop_makes_no_deposit() -> None:
    """A redirect's hop is part of the call that has already paid."""
    budget = RetryBudget(BudgetOptions(ratio=1.0, floor=0.0))
    plan = plan_of("a", budget=budget)
    opened(plan)
    opened(plan, SAFE | HOP)
    assert budget.balance(NOW) == 1.0


def test_deadline_is_the_nearest() -> None:
    """The policy's unless the call brings one; the ambient one holds always; inf is none."""
    plan = plan_of("a", timeout=10.0)
    assert opened(plan).deadline == NOW + 10
    assert opened(plan, deadline=NOW + 60).deadline == NOW + 60
    assert opened(plan, deadline=float("inf")).deadline == float("inf")
    assert plan_of("a", timeout=None).open(Request(), NOW).deadline == float("inf")
    token = AMBIENT.set(NOW + 1)
    try:
        assert opened(plan, deadline=float("inf")).deadline == NOW + 1
    finally:
        AMBIENT.reset(token)


def test_no_attempt_begins_after_the_deadline() -> None:
    """Before any attempt nothing was delivered; after one it must not be repeated by a caller."""
    plan = plan_of("a", timeout=1.0)
    call = opened(plan)
    with pytest.raises(RPC.errors.DeadlineExceededError) as early:
        call.begin(NOW + 1)
    assert (early.value.delivered, early.value.retry_safe, early.value.attempts) == ("no", True, ())
    assert (
        str(early.value) == "orders.Get exceeded its deadline before any attempt in 1.00 s (deadline 1.0 s)"
    )
    assert plan.events[-1].facts == {"reason": "deadline"}

    call = opened(plan)
    call.finish(begun(call), REFUSED, NOW)
    with pytest.raises(RPC.errors.DeadlineExceededError) as late:
        call.begin(NOW + 1)
    assert (late.value.delivered, late.value.retry_safe) == ("no", False)
    assert len(late.value.attempts) == 1


def test_auto_halves_what_is_left() -> None:
    """Half while another attempt is possible, all for the last, for what may not be repeated, and for plans without retry."""
    plan = plan_of("a", "b", timeout=8.0)
    call = opened(plan)
    assert begun(call).until == NOW + 4
    assert call.last is not None
    call.finish(call.last, REFUSED, NOW)
    assert begun(call).until == NOW + 4
    call.finish(call.last, REFUSED, NOW)
    assert begun(call).until == NOW + 8
    assert begun(opened(plan, IDEMPOTENT)).until == NOW + 8
    assert begun(opened(plan, REPLAYABLE)).until == NOW + 8
    assert begun(opened(plan_of("a", timeout=8.0, max_attempts=1))).until == NOW + 8
    assert begun(opened(plan_of("a", timeout=None))).until == float("inf")


def test_written_attempt_timeout() -> None:
    """A number holds for each attempt, never beyond the deadline."""
    plan = plan_of("a", timeout=8.0, attempt_timeout=3.0)
    call = opened(plan)
    assert begun(call).until == NOW + 3
    assert begun(call, NOW + 6).until == NOW + 8


def test_retry_goes_elsewhere_and_says_why_it_ends() -> None:
    """Each attempt takes another node; the last one's stop reason is kept."""
    plan = plan_of("a", "b", "c")
    call = opened(plan)
    hosts = []
    for _ in range(2):
        attempt = begun(call)
        hosts.append(attempt.node.host)
        assert call.finish(attempt, REFUSED, NOW) == 0.0
    attempt = begun(call)
    assert call.finish(attempt, REFUSED, NOW) is None
    assert sorted([*hosts, attempt.node.host]) == ["a", "b", "c"]
    assert call.stop is Stop.ATTEMPTS
    assert attempt.resend_count == 2
    assert idle(plan)


@pytest.mark.parametrize(
    ("flags", "parts", "stop"),
    [
        (SAFE, {"retry": None}, Stop.OFF),
        (REPLAYABLE, {}, Stop.NOT_SAFE),
        (IDEMPOTENT, {}, Stop.NOT_REPLAYABLE),
        (SAFE, {"budget": RetryBudget(BudgetOptions(floor=0.0))}, Stop.BUDGET),
    ],
)
def test_reasons_to_stop(flags: int, parts: dict[str, Any], stop: Stop) -> None:
    """No retry without a policy, without safety, without a body, without budget."""
    call = opened(plan_of("a", **parts), flags | BUFFERED)
    assert call.finish(begun(call), ANSWERED, NOW) is None
    assert call.stop is stop


def test_streamed_reply_takes_its_lease_along() -> None:
    """In-flight count and slot last until the body is closed, and come back exactly once."""
    plan = plan_of("a", limiter=Limiter(LimitOptions(concurrency=1)))
    call = opened(plan, SAFE)
    attempt = begun(call)
    call.finish(attempt, OK, NOW)
    call.close(NOW)
    assert attempt.held
    assert attempt.node.in_flight == 1
    assert attempt.node.oldest == float("inf"), "it waits for no head any more"
    attempt.release(NOW)
    attempt.release(NOW)
    assert idle(plan)


@pytest.mark.parametrize("outcome", [ANSWERED, LOCAL])
def test_standing_failure_is_streamed_too(outcome: Outcome) -> None:
    """A bad reply that is handed out keeps its lease; one that policy raises does not, unless it is nobody's failure."""
    plan = plan_of("a", retry=None)
    call = opened(plan, SAFE)
    attempt = begun(call)
    call.finish(attempt, outcome, NOW)
    assert attempt.held
    assert call.settle("reply") == "reply"

    plan = plan_of("a", retry=None, raise_on_exhausted=True)
    call = opened(plan, SAFE)
    attempt = begun(call)
    call.finish(attempt, outcome, NOW)
    assert attempt.held is not outcome.charged
    assert call.rejects() is outcome.charged


def test_error_never_keeps_a_lease() -> None:
    """A transport that says "delivered" and raises all the same leaves no body that could give the lease back."""
    plan = plan_of("a", retry=None)
    call = opened(plan, SAFE)
    attempt = begun(call)
    call.finish(attempt, ANSWERED, NOW)
    with pytest.raises(RpcError):
        call.settle(LookupError())
    assert not attempt.held
    assert idle(plan)


def test_rejected_reply_is_raised() -> None:
    """`raise_on_exhausted`: the reply in hand becomes an error with its history."""
    plan = plan_of("a", retry=None, raise_on_exhausted=True)
    call = opened(plan)
    call.finish(begun(call), ANSWERED, NOW)
    assert call.rejects()
    with pytest.raises(
        RPC.errors.AttemptsExhaustedError, match=r"failed after 1 attempt in 0 ms .*retries are turned off"
    ):
        call.settle("reply")


def test_first_snapshot_is_waited_for() -> None:
    """Without any set a call waits up to 5 s, then fails with discovery's own words; its slot is free meanwhile."""
    plan = plan_of(limiter=Limiter(LimitOptions(concurrency=1)))
    plan.cluster.problem = "the name server does not answer"
    call = opened(plan)
    wait = call.begin(NOW)
    assert not isinstance(wait, Attempt)
    assert (wait.reason, wait.until) == ("snapshot", NOW + 5)
    assert idle(plan)
    again = call.begin(NOW + 1)
    assert again is not wait
    with pytest.raises(RPC.errors.NoEndpointError) as caught:
        call.begin(NOW + 5)
    assert str(caught.value) == "orders.Get has no endpoint after 5.00 s: the name server does not answer"
    assert caught.value.retry_safe is True
    call.close(NOW + 5)
    assert not plan.cluster._expecting, "nobody is remembered by a source that never answers"


def test_first_snapshot_grants() -> None:
    """The set arrives: the turn is granted and the next begin finds a node, under a limit too."""
    plan = plan_of(limiter=Limiter(LimitOptions(concurrency=1)))
    call = opened(plan)
    wait = call.begin(NOW)
    assert not isinstance(wait, Attempt)
    publish(plan.cluster, "a")
    assert wait.granted
    call.finish(begun(call), OK, NOW)
    call.close(NOW)
    assert idle(plan)


def test_snapshot_in_the_last_moment_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that comes between the claim and the question why there is none leads to another turn, not to an error."""
    plan = plan_of()
    claim = plan.cluster.claim

    def late(call: Any, now: float, until: float) -> Any:
        found = claim(call, now, until)
        if not plan.cluster.ready:
            publish(plan.cluster, "a")
        return found

    monkeypatch.setattr(plan.cluster, "claim", late)
    call = opened(plan)
    wait = call.begin(NOW)
    assert not isinstance(wait, Attempt)
    assert wait.granted
    assert begun(call).node.host == "a"


def test_limit_refuses_without_a_queue() -> None:
    """A full limit is LimitExceededError for a first attempt."""
    plan = plan_of("a", limiter=Limiter(LimitOptions(concurrency=1)))
    first = opened(plan)
    begun(first)
    call = opened(plan)
    with pytest.raises(RPC.errors.LimitExceededError) as caught:
        call.begin(NOW)
    assert str(caught.value) == (
        "orders.Get was refused: 1 attempts in flight to orders reach the limit and its queue is full"
    )
    call.close(NOW)
    first.close(NOW)
    assert idle(plan)


def test_retry_without_a_slot_ends_with_what_it_had() -> None:
    """The limit is free during back-off; a retry that finds no slot ends with its history."""
    plan = plan_of("a", "b", limiter=Limiter(LimitOptions(concurrency=1)))
    call = opened(plan)
    assert call.finish(begun(call), REFUSED, NOW) == 0.0
    other = opened(plan)
    begun(other)
    with pytest.raises(
        RPC.errors.AttemptsExhaustedError, match="the concurrency limit has no room for another"
    ):
        call.begin(NOW)
    assert call.stop is Stop.LIMIT


def test_retry_without_a_node_ends_with_what_it_had() -> None:
    """The set became empty meanwhile."""
    plan = plan_of("a")
    call = opened(plan)
    call.finish(begun(call), REFUSED, NOW)
    publish(plan.cluster)
    with pytest.raises(RPC.errors.AttemptsExhaustedError, match="no endpoint left for another"):
        call.begin(NOW)


def queued() -> tuple[CallPlan, Call, Call]:
    plan = plan_of("a", limiter=Limiter(LimitOptions(concurrency=1, queue=1)), timeout=2.0)
    first, second = opened(plan), opened(plan)
    begun(first)
    assert not isinstance(second.begin(NOW), Attempt)
    return plan, first, second


def test_queue_gives_turns() -> None:
    """The freed slot goes to the waiter, who then has it."""
    plan, first, second = queued()
    first.close(NOW)
    assert plan.limiter is not None
    assert plan.limiter.used == 1
    second.finish(begun(second), OK, NOW)
    assert idle(plan)


def test_queue_turn_that_does_not_come() -> None:
    """Asked again without a grant: refused; past the deadline it is the deadline's error."""
    plan, first, second = queued()
    with pytest.raises(RPC.errors.LimitExceededError, match="no turn in the queue came in time"):
        second.begin(NOW + 1.999)
    second.close(NOW + 2)
    third = opened(plan)
    third.begin(NOW)
    with pytest.raises(RPC.errors.DeadlineExceededError):
        third.begin(NOW + 2)
    third.close(NOW + 2)
    first.close(NOW + 2)
    assert idle(plan)


def test_granted_turn_is_handed_on_by_a_closed_call() -> None:
    """A waiter that is cancelled after its grant passes the slot to the next."""
    plan, first, second = queued()
    first.close(NOW)
    second.close(NOW)
    assert idle(plan)


def test_slot_without_an_attempt_is_given_back() -> None:
    """A call that got its slot and then no node (the picker raised) returns the slot when it is closed."""
    plan = plan_of("a", limiter=Limiter(LimitOptions(concurrency=1)))

    class Broken:
        def pick(self, call: Any) -> Any:
            raise LookupError

    plan.cluster.picker = Broken()
    call = opened(plan)
    with pytest.raises(LookupError):
        call.begin(NOW)
    call.close(NOW)
    assert idle(plan)
