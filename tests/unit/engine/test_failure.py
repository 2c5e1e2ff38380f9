"""The sentences that calls end with, and the facts beside them."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from meshlib.core.outcome import Kind, Outcome
from meshlib.drivers import sync
from meshlib.engine import BUFFERED, IDEMPOTENT, REPLAYABLE, Attempt, failure
from meshlib.errors import AttemptFacts, AttemptsExhaustedError
from meshlib.resilience import BudgetOptions, RetryBudget
from meshlib.testing import FakeClock
from tests.rpc import (
    RPC,
    AttemptsExhausted,
    BrokenError,
    CircuitOpen,
    DeadlineExceeded,
    LimitExceeded,
    NoEndpoint,
    Reply,
    Request,
    Servers,
    UnreachableError,
    plan_of,
)

SAFE = IDEMPOTENT | REPLAYABLE | BUFFERED


def test_the_sentence() -> None:
    """An exhausted call reads as promised: attempts, total, deadline, each attempt, and why there is no other."""
    clock = FakeClock(1000.0)
    budget = RetryBudget(BudgetOptions(ratio=0.0, floor=0.2))
    plan = plan_of("10.0.0.1", "10.0.0.7", "10.0.0.9", budget=budget, timeout=1.0, max_attempts=5)
    call = plan.open(Request("GET http://orders/v1/42"), clock(), SAFE)
    script = [
        (0.012, Outcome(Kind.FAILURE, "503", "answered 503", retry_safe=True, delivered="yes")),
        (0.250, Outcome(Kind.FAILURE, "unsent", "connect timed out", retry_safe=True, delivered="no")),
        (0.658, Outcome(Kind.FAILURE, "reset", "reset the connection", retry_safe=True)),
    ]
    for seconds, outcome in script:
        step = call.begin(clock())
        assert isinstance(step, Attempt)
        clock.advance(seconds)
        call.finish(step, outcome, clock())
        if outcome.cause == "503":
            call.stop = None
    first, second, third = (f"{one.address}" for one in call.last.trail())  # type: ignore[union-attr]
    call.stop = type(call.stop).BUDGET  # type: ignore[union-attr]
    assert str(failure.rejected(call)) == (
        "GET http://orders/v1/42 failed after 3 attempts in 0.92 s (deadline 1.0 s): "
        f"{first} answered 503 in 12 ms; {second} connect timed out after 250 ms; "
        f"{third} reset the connection in 658 ms; no budget left for another retry"
    )


@pytest.mark.parametrize(("deadline", "shown"), [(0.25, "0.25 s"), (10.0, "10.0 s"), (1.0004, "1.0 s")])
def test_deadlines_are_shown_as_written(deadline: float, shown: str) -> None:
    """Without a tail of rounding errors."""
    call = plan_of("a", timeout=deadline).open(Request(), 1000.0)
    assert str(failure.expired(call, 1000.0 + deadline)).endswith(f"(deadline {shown})")


def test_no_deadline_is_not_shown() -> None:
    """Nothing to show."""
    call = plan_of("a", timeout=None, raise_on_exhausted=True).open(Request(), 1000.0)
    assert "deadline" not in str(failure.rejected(call))


def exhausted(*answers: Any, **parts: Any) -> Any:
    clock = FakeClock(1000.0)
    plan = plan_of("a", "b", "c", **parts)
    script = list(answers)
    servers = Servers(clock, {f"{host}:1": lambda attempt, request: script.pop(0) for host in "abc"})
    with pytest.raises(Exception) as caught:  # noqa: PT011
        sync.drive(plan, Request("orders.Get"), servers.send, clock, SAFE, 0.0, clock.sleep)
    return caught.value


def test_facts_of_exhaustion() -> None:
    """Attempts, delivery, cause, and that the retries are spent."""
    last = BrokenError("reset")
    error = exhausted(UnreachableError(), UnreachableError(), last)
    assert isinstance(error, AttemptsExhausted)
    assert isinstance(error, AttemptsExhaustedError)
    assert [facts.cause for facts in error.attempts] == ["unsent", "unsent", "reset"]
    assert (error.delivered, error.retry_safe, error.target, error.__cause__) == (
        "maybe",
        False,
        "orders",
        last,
    )
    assert error.request.method == "orders.Get"
    assert exhausted(*[UnreachableError() for _ in range(3)]).delivered == "no"
    reply = Reply("RESOURCE_EXHAUSTED", **{"retry-pushback": "-1"})
    rejected = exhausted(UnreachableError(), reply, raise_on_exhausted=True)
    assert (rejected.delivered, rejected.retry_after) == ("yes", None)
    assert str(rejected).endswith("; the server asked not to be tried again")
    assert reply.closed
    busy = Reply("RESOURCE_EXHAUSTED", **{"retry-pushback": "7"})
    assert exhausted(busy, raise_on_exhausted=True, timeout=5.0).retry_after == 7.0


def test_single_failure_is_the_familys_own() -> None:
    """One attempt: the error that a user of the bare client knows; with `raise_on_exhausted` ours in any case."""
    error = BrokenError("reset")
    assert exhausted(error, retry=None) is error
    assert isinstance(exhausted(BrokenError(), retry=None, raise_on_exhausted=True), AttemptsExhausted)


def test_timeout_at_the_deadline_is_the_deadlines() -> None:
    """The last attempt had all that was left: its timeout is the deadline, not just another failure."""
    error = exhausted((9.0, Reply()), retry=None, timeout=0.25)
    assert isinstance(error, DeadlineExceeded)
    assert isinstance(error.__cause__, TimeoutError)
    told = str(error).replace("b:1", "a:1").replace("c:1", "a:1")
    assert told == (
        "orders.Get exceeded its deadline after 1 attempt in 0.25 s (deadline 0.25 s): a:1 timed out after 250 ms"
    )


def test_unfinished_attempt_is_listed() -> None:
    """An attempt still open (a body being read) has a place in the history."""
    call = plan_of("a").open(Request(), 1000.0)
    attempt = call.begin(1000.0)
    assert isinstance(attempt, Attempt)
    assert str(attempt.facts()) == "a:1 was not finished in 0 ms"
    assert failure._delivered(call) == "maybe"


FACTS = {
    "target": "orders",
    "attempts": (AttemptFacts(1, "a:1", "503", "answered 503", 0.1),),
    "retry_safe": False,
    "retry_after": 1.5,
    "delivered": "yes",
}


@pytest.mark.parametrize(
    "kind", [AttemptsExhausted, CircuitOpen, DeadlineExceeded, LimitExceeded, NoEndpoint]
)
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_pickle_and_copy(kind: Any, again: Any) -> None:
    """Class, text and facts survive; also of a family's own classes."""
    error = kind("went wrong", **FACTS)
    twin = again(error)
    assert type(twin) is kind
    assert str(twin) == "went wrong"
    assert twin.facts() == error.facts() == FACTS
    assert twin.code == kind.code


def test_namespace_is_complete() -> None:
    """The family's namespace holds every class that the engine raises."""
    names = [
        "NoEndpointError",
        "CircuitOpenError",
        "LimitExceededError",
        "DeadlineExceededError",
        "AttemptsExhaustedError",
    ]
    assert [hasattr(RPC.errors, name) for name in names] == [True] * 5
