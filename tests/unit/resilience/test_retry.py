"""RetryPolicy: safe, listed, within attempts, pushback and deadline; in that order."""

import pytest

from meshlib.core.deadline import NEVER
from meshlib.core.outcome import CANCELLED, OK, Kind, Outcome
from meshlib.errors import ConfigError
from meshlib.resilience.backoff import BackoffOptions, Constant, FullJitter
from meshlib.resilience.retry import CAUSES, RetryOptions, RetryPolicy, Stop, backoff_of


def outcome(cause: str = "503", kind: Kind = Kind.FAILURE, **facts: object) -> Outcome:
    return Outcome(kind, cause, "failed", **facts)  # type: ignore[arg-type]


def verdict(
    made: int = 1,
    idempotent: bool = True,
    replayable: bool = True,
    result: Outcome | None = None,
    deadline: float = NEVER,
    **options: object,
) -> float | Stop:
    policy = RetryPolicy(RetryOptions(**options), Constant(1.0))  # type: ignore[arg-type]
    return policy.verdict(made, idempotent, replayable, result or outcome(), lambda: 0.5, 100.0, deadline)


def test_retries_what_failed() -> None:
    """A listed failure of an idempotent call is retried after the back-off."""
    assert verdict() == 1.0


@pytest.mark.parametrize("result", [OK, CANCELLED])
def test_nothing_to_retry(result: Outcome) -> None:
    """Success and what is nobody's failure end the call."""
    assert verdict(result=result) is Stop.DONE


@pytest.mark.parametrize(
    ("safe", "idempotent", "expected"),
    [(True, True, 1.0), (True, False, 1.0), (None, True, 1.0), (None, False, Stop.NOT_SAFE), (False, True, Stop.NOT_SAFE)],
)  # fmt: skip
def test_safety(safe: bool | None, idempotent: bool, expected: object) -> None:
    """Provably unprocessed: any method; unknown: idempotent ones; unsafe: never."""
    assert verdict(idempotent=idempotent, result=outcome(retry_safe=safe)) == expected


def test_body_cannot_be_sent_again() -> None:
    """Without its body no request is repeated, however safe."""
    assert verdict(replayable=False, result=outcome("unsent", retry_safe=True)) is Stop.NOT_REPLAYABLE


def test_unsent_goes_at_once() -> None:
    """What never left is tried elsewhere without a pause."""
    assert verdict(result=outcome("unsent", retry_safe=True, delivered="no")) == 0.0


@pytest.mark.parametrize(
    ("cause", "kind", "on", "expected"),
    [
        ("500", Kind.FAILURE, CAUSES, Stop.NOT_LISTED),
        ("500", Kind.FAILURE, ("500",), 1.0),
        ("429", Kind.THROTTLED, CAUSES, 1.0),
        ("429", Kind.THROTTLED, ("429",), 1.0),
        ("429", Kind.THROTTLED, ("503",), Stop.NOT_LISTED),
        ("UNAVAILABLE", Kind.FAILURE, ("UNAVAILABLE",), 1.0),
    ],
)
def test_listed_causes(cause: str, kind: Kind, on: tuple[str, ...], expected: object) -> None:
    """Only causes in `on` are retried; `throttled` covers every throttled answer."""
    assert verdict(result=outcome(cause, kind), on=on) == expected


def test_attempts_are_counted_in_all() -> None:
    """Three attempts are the first and two retries."""
    assert verdict(made=2) == 1.0
    assert verdict(made=3) is Stop.ATTEMPTS
    assert verdict(made=1, attempts=1) is Stop.ATTEMPTS


@pytest.mark.parametrize(
    ("pushback", "deadline", "expected"),
    [
        (0.5, NEVER, 1.0),
        (3.0, NEVER, 3.0),
        (0.0, NEVER, 1.0),
        (1e9, NEVER, 300.0),
        (-1.0, NEVER, Stop.PUSHBACK),
        (float("nan"), NEVER, Stop.PUSHBACK),
        (3.0, 102.0, Stop.PUSHBACK),
        (3.0, 103.0, Stop.PUSHBACK),
        (0.5, 100.9, Stop.DEADLINE),
        (None, 101.0, Stop.DEADLINE),
        (None, 101.1, 1.0),
    ],
)
def test_pushback_and_deadline(pushback: float | None, deadline: float, expected: object) -> None:
    """The server's wish replaces a shorter wait, and neither may reach the deadline."""
    assert verdict(result=outcome(pushback=pushback), deadline=deadline) == expected


def test_unsent_obeys_pushback() -> None:
    """A pause that was asked for is kept also when nothing was sent."""
    assert verdict(result=outcome("unsent", retry_safe=True, pushback=2.0)) == 2.0


def test_backoff_comes_from_the_options() -> None:
    """A table, one of our back-offs and a tenacity-like wait are all taken."""
    assert backoff_of(RetryOptions(wait={"base": "10ms"})) == FullJitter(0.01, 2.0, 0.25)
    assert backoff_of(RetryOptions(wait=Constant(2.0))) == Constant(2.0)
    assert backoff_of(RetryOptions(wait=lambda state: state.attempt_number * 2)).delay(3, float) == 6.0
    policy = RetryPolicy(RetryOptions(wait=BackoffOptions(jitter="none")))
    assert policy.verdict(2, True, True, outcome(), float, 0.0, NEVER) == pytest.approx(0.05)


def test_refuses_what_is_no_wait() -> None:
    """A wait must be one, and a cause must be one that somebody produces."""
    with pytest.raises(ConfigError, match=r"retry.wait: expected a table with base"):
        RetryOptions(wait=5)
    with pytest.raises(ConfigError, match=r"retry.on: unknown cause 'time-out': known are unsent, reset"):
        RetryOptions(on=("time-out", "503"))


def test_stops_have_phrases() -> None:
    """Each reason completes an error's text, except the one that nobody misses."""
    assert Stop.BUDGET.phrase == "no budget left for another retry"
    assert [stop for stop in Stop if not stop.phrase] == [Stop.DONE]
    assert len({stop.word for stop in Stop}) == len(Stop)
