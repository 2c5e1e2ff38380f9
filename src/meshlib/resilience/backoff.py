"""Backoff: how long to wait before a retry. Stateless, seeded from outside, the same for every driver."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar, Literal, Protocol

import msgspec
from msgspec import Meta

from meshlib.core.options import Options, Seconds
from meshlib.errors import ConfigError

__all__ = [
    "Adapted",
    "Backoff",
    "BackoffOptions",
    "Constant",
    "Decorrelated",
    "EqualJitter",
    "Exponential",
    "FullJitter",
    "Sequence",
    "adapted",
    "build",
    "doubled",
    "spread",
]

Random = Callable[[], float]


class Backoff(Protocol):
    """The contract: a pure function of the retry's number and one stream of random numbers."""

    def delay(self, retry: int, random: Random) -> float:
        """Seconds to wait before retry number `retry` (1 is the first); never negative. `random` is in [0, 1)."""
        ...


class BackoffOptions(Options, frozen=True, kw_only=True):
    """`retry.wait`: exponential growth with jitter."""

    group: ClassVar[str] = "retry.wait"

    base: Annotated[
        Seconds,
        Meta(
            description="Longest wait before the first retry. 25 ms is Envoy's base interval: above a round trip "
            "inside a zone, far below a person's patience."
        ),
    ] = 0.025
    factor: Annotated[
        float,
        Meta(ge=1.0, le=100.0, description="Growth per retry; Envoy and AWS double."),
    ] = 2.0
    cap: Annotated[
        Seconds,
        Meta(description="Longest wait of all: ten times the base, as Envoy's default maximum interval is."),
    ] = 0.25
    jitter: Annotated[
        Literal["full", "equal", "none"],
        Meta(
            description="How much of the wait is random. Full jitter finished contended work with the fewest calls in "
            "AWS's comparison (Exponential Backoff and Jitter, 2015)."
        ),
    ] = "full"


def _grown(base: float, factor: float, cap: float, steps: int) -> float:
    try:
        return float(min(cap, base * factor**steps))
    except OverflowError:
        return cap


class _Exponential(msgspec.Struct, frozen=True):
    base: float = 0.025
    factor: float = 2.0
    cap: float = 0.25

    def __post_init__(self) -> None:
        if not (self.base >= 0.0 and self.cap >= 0.0 and self.factor >= 1.0):
            raise ConfigError(f"a back-off needs base >= 0, factor >= 1 and cap >= 0, got {self!r}")


class FullJitter(_Exponential, frozen=True):
    """Uniform between 0 and `base * factor**(retry - 1)`, at most `cap` (AWS, 2015)."""

    def delay(self, retry: int, random: Random) -> float:
        """Seconds before retry number `retry`."""
        return random() * _grown(self.base, self.factor, self.cap, retry - 1)


class EqualJitter(_Exponential, frozen=True):
    """Half of the exponential wait for certain, the other half random: never immediate, still spread (AWS, 2015)."""

    def delay(self, retry: int, random: Random) -> float:
        """Seconds before retry number `retry`."""
        return (0.5 + 0.5 * random()) * _grown(self.base, self.factor, self.cap, retry - 1)


class Exponential(_Exponential, frozen=True):
    """The exponential wait without jitter. Clients that failed together come back together: prefer jitter."""

    def delay(self, retry: int, random: Random) -> float:
        """Seconds before retry number `retry`."""
        return _grown(self.base, self.factor, self.cap, retry - 1)


class Decorrelated(msgspec.Struct, frozen=True):
    """Uniform between `base` and `base * 3**retry`, at most `cap`.

    AWS's decorrelated jitter draws between `base` and three times the *previous* wait. Nothing is remembered here, so
    the upper end is the longest that the previous wait can have been, times three: the same envelope, a wider draw.
    """

    base: float = 0.005
    cap: float = 0.2

    def __post_init__(self) -> None:
        if not 0.0 <= self.base <= self.cap:
            raise ConfigError(f"a decorrelated back-off needs 0 <= base <= cap, got {self!r}")

    def delay(self, retry: int, random: Random) -> float:
        """Seconds before retry number `retry`."""
        longest = _grown(self.base, 3.0, self.cap, retry)
        return self.base + random() * (longest - self.base)


class Constant(msgspec.Struct, frozen=True):
    """Always `seconds`, spread by plus or minus the share `jitter` of it (0 to 1)."""

    seconds: float
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not (self.seconds >= 0.0 and 0.0 <= self.jitter <= 1.0):
            raise ConfigError(
                f"a constant back-off needs seconds >= 0 and jitter within 0 and 1, got {self!r}"
            )

    def delay(self, retry: int, random: Random) -> float:
        """Seconds before any retry."""
        return spread(self.seconds, self.jitter, random) if self.jitter else self.seconds


class Sequence:
    """Written-out waits in seconds; the last one stays for all further retries. Immutable."""

    __slots__ = ("delays",)

    def __init__(self, delays: Iterable[float]) -> None:
        self.delays: tuple[float, ...] = tuple(float(delay) for delay in delays)
        if not self.delays or not all(delay >= 0.0 for delay in self.delays):
            raise ConfigError(f"a sequence of waits needs one or more, none negative, got {self.delays!r}")

    def delay(self, retry: int, random: Random) -> float:
        """Seconds before retry number `retry`."""
        return self.delays[min(retry, len(self.delays)) - 1]

    def __repr__(self) -> str:
        return f"Sequence({self.delays!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.delays == other.delays

    def __hash__(self) -> int:
        return hash(self.delays)


class _RetryState:
    """As much of tenacity's retry state as a stateless wait can be given; unknown facts hold its initial values."""

    __slots__ = (
        "args",
        "attempt_number",
        "fn",
        "idle_for",
        "kwargs",
        "next_action",
        "outcome",
        "outcome_timestamp",
        "retry_object",
        "seconds_since_start",
        "start_time",
        "upcoming_sleep",
    )

    def __init__(self, attempt: int) -> None:
        self.attempt_number = attempt
        self.start_time = self.idle_for = self.upcoming_sleep = 0.0
        self.outcome = self.outcome_timestamp = self.seconds_since_start = None
        self.fn = self.retry_object = self.next_action = None
        self.args: tuple[Any, ...] = ()
        self.kwargs: dict[str, Any] = {}


class Adapted:
    """A tenacity-like wait as a Backoff. Its jitter comes from its own random numbers and is not seeded by ours."""

    __slots__ = ("wait",)

    def __init__(self, wait: Callable[[Any], Any]) -> None:
        self.wait: Callable[[Any], Any] = wait

    def delay(self, retry: int, random: Random) -> float:
        """Seconds before retry number `retry`; what the wait raises is raised, a negative answer is 0."""
        # tenacity counts the attempt that has just failed: the first retry follows attempt 1.
        return max(0.0, float(self.wait(_RetryState(retry))))

    def __repr__(self) -> str:
        return f"Adapted({self.wait!r})"


def adapted(wait_object: Callable[[Any], Any]) -> Adapted:
    """A Backoff that asks `wait_object`, a tenacity `wait_*` object or anything called with a retry state.

    It is asked once here, so that one that cannot work (`wait_exception` needs the outcome, which a wait is not given)
    is a ConfigError when the policy is built and not in the middle of a call.
    """
    candidate = Adapted(wait_object)
    try:
        candidate.delay(1, lambda: 0.0)
    except Exception as error:
        raise ConfigError(f"{wait_object!r} cannot be used as a wait between retries: {error}") from error
    return candidate


_BY_JITTER: dict[str, type[FullJitter] | type[EqualJitter] | type[Exponential]] = {
    "full": FullJitter,
    "equal": EqualJitter,
    "none": Exponential,
}


def build(options: BackoffOptions) -> Backoff:
    """The Backoff that the options describe."""
    return _BY_JITTER[options.jitter](options.base, options.factor, options.cap)


def doubled(base: float, maximum: float, times: int) -> float:
    """`base` doubled `times` times, at most `maximum` but never below `base`: the penalties of breaker and ejection."""
    return _grown(base, 2.0, max(base, maximum), times)


def spread(seconds: float, share: float, random: Random) -> float:
    """`seconds` plus or minus the share of it, uniformly: the mean stays, clients that failed together come apart."""
    return seconds * (1.0 + share * (2.0 * random() - 1.0))
