"""RetryPolicy: may this failed attempt be followed by another, and when?

The rule every client gets wrong somewhere is *safety*, so it stands in one place: what provably was not
processed may be repeated whatever the method, what may have been processed only if it is idempotent (RFC 9110
9.2.2), and nothing whose body cannot be sent again. Attempts, back-off and pushback follow gRPC A6 and Envoy.
The budget is not asked here: it is withdrawn last, by the engine, when nothing else can stop the retry any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from re import compile
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from meshlib.core.options import Options, Problem
from meshlib.core.outcome import Kind, Outcome
from meshlib.resilience.backoff import Backoff, BackoffOptions, adapted, build
from meshlib.resilience.budget import BudgetOptions

__all__ = ["CAUSES", "LONGEST_PUSHBACK", "RetryOptions", "RetryPolicy", "Stop", "backoff_of"]

Random = Callable[[], float]

CAUSES = ("unsent", "reset", "timeout", "502", "503", "504", "throttled")
"""What is retried by default. A 500 is left out: it is an answer, and most often the same one again."""

LONGEST_PUSHBACK = 300.0
"""Seconds; a server that asks for more is obeyed for this long, so that one bad header does not stop a caller
for a day."""

_KNOWN_TEXT = (
    "known are unsent, reset, timeout, throttled, error, statuses like 503, gRPC codes like UNAVAILABLE"
)
_KNOWN_CAUSE = compile(r"unsent|reset|timeout|throttled|error|[1-5][0-9][0-9]|[A-Z][A-Za-z0-9_]*")


class RetryOptions(Options, frozen=True, kw_only=True):
    """`retry`: how often, after what, how long apart, and at what cost to the service."""

    group: ClassVar[str] = "retry"

    attempts: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="Attempts in all, the first included: the third still helps while one of a few instances is down, a "
            "fourth hardly ever does and multiplies load.",
        ),
    ] = 3
    on: Annotated[
        tuple[str, ...],
        Meta(
            description="Causes after which a retry may succeed: unsent, reset, timeout, throttled, a status, a gRPC "
            "code's name. The server's state or another instance decides them, not the request."
        ),
    ] = CAUSES
    wait: Annotated[
        BackoffOptions | Any,
        Meta(
            description="The pause before a retry: exponential with full jitter (AWS, 2015), none when nothing was "
            "sent. In code also a tenacity wait object."
        ),
    ] = BackoffOptions()
    budget: Annotated[
        BudgetOptions | Literal[False],
        Meta(
            description="What all retries of a service may add to its load; without one, retries of many clients turn "
            "a brown-out into an outage (Finagle, Linkerd)."
        ),
    ] = BudgetOptions()

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> list[Problem]:
        """Causes that nobody produces, and waits that are no waits."""
        problems: list[Problem] = [
            (
                ("on",),
                f"unknown cause {cause[:80]!r}: {_KNOWN_TEXT}",
            )
            for cause in values.get("on", ())
            if not _KNOWN_CAUSE.fullmatch(cause)
        ]
        wait = values.get("wait")
        if "wait" in values and not (
            isinstance(wait, BackoffOptions) or hasattr(wait, "delay") or callable(wait)
        ):
            problems.append(
                (("wait",), "expected a table with base, factor, cap, jitter, or in code a wait object")
            )
        return problems


class Stop(Enum):
    """Why there is no further attempt. `phrase` completes an error's list of attempts; it is empty where none
    is missed."""

    DONE = ("done", "")
    OFF = ("off", "retries are turned off")
    NOT_SAFE = ("not_safe", "not safe to repeat")
    NOT_REPLAYABLE = ("not_replayable", "its body cannot be sent a second time")
    NOT_LISTED = ("not_listed", "policy does not retry this")
    ATTEMPTS = ("attempts", "attempts used up")
    PUSHBACK = ("pushback", "the server asked not to be tried again")
    DEADLINE = ("deadline", "the deadline leaves no time for another")
    BUDGET = ("budget", "no budget left for another retry")
    LIMIT = ("limit", "the concurrency limit has no room for another")
    ENDPOINT = ("endpoint", "no endpoint left for another")

    def __init__(self, word: str, phrase: str) -> None:
        self.word = word
        self.phrase = phrase


def backoff_of(options: RetryOptions) -> Backoff:
    """The Backoff that `retry.wait` describes, whichever way it was given. ConfigError if a wait object cannot
    work."""
    wait = options.wait
    if isinstance(wait, BackoffOptions):
        return build(wait)
    found: Backoff = wait if hasattr(wait, "delay") else adapted(wait)
    return found


class RetryPolicy:
    """Immutable and without state of any call; safe to share among threads."""

    __slots__ = ("_attempts", "_backoff", "_on", "_throttled")

    def __init__(self, options: RetryOptions, backoff: Backoff | None = None) -> None:
        self._attempts = options.attempts
        self._on = frozenset(options.on)
        self._throttled = "throttled" in self._on
        self._backoff = backoff_of(options) if backoff is None else backoff

    def verdict(
        self,
        attempts_made: int,
        idempotent: bool,
        replayable: bool,
        outcome: Outcome,
        random: Random,
        now: float,
        deadline: float,
    ) -> float | Stop:
        """Seconds to wait before the next attempt, or why there is none.

        `replayable` is the transport's word that the body can be sent (again): also True for a generator of
        which nothing was taken yet. `deadline` is absolute, on the clock of `now`. What the server asks for
        (`outcome.pushback`) replaces a shorter wait and is capped at LONGEST_PUSHBACK; if the deadline comes
        first, there is no retry.
        """
        if not outcome.charged:
            return Stop.DONE
        safe = outcome.retry_safe
        if safe is False or (safe is None and not idempotent):
            return Stop.NOT_SAFE
        if not replayable:
            return Stop.NOT_REPLAYABLE
        if not (outcome.cause in self._on or (self._throttled and outcome.kind is Kind.THROTTLED)):
            return Stop.NOT_LISTED
        if attempts_made >= self._attempts:
            return Stop.ATTEMPTS
        delay = 0.0 if outcome.cause == "unsent" else self._backoff.delay(attempts_made, random)
        asked = outcome.pushback
        if asked is None:
            return delay if now + delay < deadline else Stop.DEADLINE
        # Negative, or not a number at all, means "do not" (gRPC A6: unparseable counts as negative).
        if not asked >= 0.0:
            return Stop.PUSHBACK
        asked = min(asked, LONGEST_PUSHBACK)
        if now + asked >= deadline:
            return Stop.PUSHBACK
        delay = max(delay, asked)
        return delay if now + delay < deadline else Stop.DEADLINE
