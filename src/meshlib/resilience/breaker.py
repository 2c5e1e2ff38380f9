"""CircuitBreaker: stop calling what does not answer, and find out with few calls when it does again.

Three parts: accrue (closed: count results until a rule trips), wait (open: refuse), probe (half-open: a few calls
on leases decide). The bugs of this class are an unbounded half-open state (three of four Python breakers
tested let 20 of 20 concurrent calls through) and lost probes (resilience4j#935, #1568 and Sentinel#1638 got
stuck). Here every probe is a lease that runs out by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from threading import Lock
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from meshlib.core.listener import Event
from meshlib.core.options import Options, Seconds, Span
from meshlib.core.windows import Window
from meshlib.resilience.backoff import doubled, spread

__all__ = ["BreakerKind", "BreakerOptions", "CircuitBreaker", "State"]

BreakerKind = Literal["service", "route", "function"]

_JITTER = 0.5
# As long as a call takes by default (`timeout`, 10 s): a probe that is older has been lost, or belongs to a caller
# with more patience, whose late answer still counts. Never below `open_for`, so that lost probes cannot let calls
# through more often than failed ones do.
_LEASE = 10.0
# Lapsed leases whose late answers are still known. Each costs a lease's time, so this is minutes of lost probes.
_LATE = 16


class BreakerOptions(Options, frozen=True, kw_only=True):
    """`breaker`: when to stop calling, for how long, and how to come back."""

    group: ClassVar[str] = "breaker"

    failure_ratio: Annotated[
        float,
        Meta(
            gt=0.0,
            le=1.0,
            description="Share of failed calls that opens: Hystrix and resilience4j use one half.",
        ),
    ] = 0.5
    window: Annotated[
        Span, Meta(description="How far back calls are counted (Hystrix: 10 s), in ten exact buckets.")
    ] = 10.0
    minimum_calls: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Calls in the window below which the ratio says nothing (Hystrix: 20; the 100 of resilience4j "
            "and Polly never trips at low rates).",
        ),
    ] = 20
    consecutive_failures: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(
            description="Failures in a row that open whatever the ratio. Off for services, whose single bad instances "
            "are ejection's business; 5 for functions, which have no instances (Finagle: 5)."
        ),
    ] = None
    slow_call: Annotated[
        Seconds | None,
        Meta(
            description="A call that took this long counts as slow, failed or not; off unless set (resilience4j)."
        ),
    ] = None
    slow_ratio: Annotated[
        float, Meta(gt=0.0, le=1.0, description="Share of slow calls that opens (resilience4j: all of them).")
    ] = 1.0
    open_for: Annotated[
        Span,
        Meta(
            description="First time open, on average: plus or minus half, so that clients do not come back together "
            "(Hystrix and Polly: 5 s).",
        ),
    ] = 5.0
    max_open_for: Annotated[
        Span,
        Meta(
            description="What `open_for` doubles to while probes fail, before its jitter: one probe a minute costs "
            "nothing and still finds a recovery soon.",
        ),
    ] = 60.0
    half_open_probes: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000,
            description="Calls let through while half-open, all of which must succeed (Hystrix, Polly, Sentinel: 1).",
        ),
    ] = 1


class State(Enum):
    """Where a breaker is."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class CircuitBreaker:
    """Admits and records *calls* of one service, route or function.

    Every admission is a permit, and every permit ends in exactly one `record` (the call's final outcome) or `release`
    (the call was IGNORED, or refused by ourselves after its admission). Permits of an earlier state are ignored: a call
    admitted before the breaker opened says nothing about its recovery.

    Thread-safe. Closed admissions and most good results take no lock; the lock guards counters only, and `emit` is called
    under it with a "breaker" Event (facts from, to, kind, reason), so it must be as plain as `deque.append`.
    """

    __slots__ = (
        "_closed",
        "_emit",
        "_exponent",
        "_leases",
        "_lock",
        "_options",
        "_passed",
        "_random",
        "_run",
        "_serial",
        "_slow",
        "_window",
        "kind",
        "name",
        "since",
        "state",
        "until",
    )

    def __init__(
        self,
        name: str,
        options: BreakerOptions,
        random: Callable[[], float],
        emit: Callable[[Event], object] | None = None,
        kind: BreakerKind = "service",
    ) -> None:
        self.name: str = name
        self.kind: BreakerKind = kind
        self.state: State = State.CLOSED
        self.since: float | None = None
        """When the state last changed, monotonic; None while it never has."""
        self.until: float | None = None
        """When an open breaker starts to probe, monotonic; None in the other states."""
        self._options = options
        self._random = random
        self._emit = emit
        self._lock = Lock()
        self._window = Window(options.window)
        self._slow = Window(options.window)
        self._run = 0
        # Generations and leases are numbered from one series, so that no permit ever means two things.
        self._serial = 1
        self._closed = 1  # the generation's number while closed, else 0: all that an admission has to read
        self._exponent = -1
        self._passed = 0
        self._leases: dict[int, float] = {}

    @property
    def options(self) -> BreakerOptions:
        """What is in force."""
        return self._options

    def admit(self, now: float) -> int:
        """A permit for one call, or 0: refused."""
        return self._closed or self._probe(now)

    def record(self, permit: int, good: bool, elapsed: float, now: float) -> None:
        """A call ended: whether it was good, and how many seconds it took."""
        # All that a good call of a good service changes is the window, and a note there needs no lock.
        if (
            good
            and 0 != permit == self._closed
            and not self._run
            and self._options.slow_call is None
            and self._window.note(now)
        ):
            return
        with self._lock:
            if 0 != permit == self._closed:
                self._count(good, elapsed, now)
            elif permit in self._leases:
                del self._leases[permit]
                self._judge(good, now)

    def release(self, permit: int, now: float) -> None:
        """A call ended that says nothing: a probe's place is free again at once."""
        if permit != self._closed:
            with self._lock:
                self._leases.pop(permit, None)

    def retry_after(self, now: float) -> float:
        """Seconds until a refused call may be admitted: 0 when it may be now, at most a lease while others probe."""
        with self._lock:
            if self.state is State.OPEN and self.until is not None:
                return max(0.0, self.until - now)
            if self.state is State.CLOSED or self._room(now) > 0:
                return 0.0
            return min((end for end in self._leases.values() if end > now), default=now) - now

    def configure(self, options: BreakerOptions) -> None:
        """Apply changed options in place: a window of another length starts empty, an open breaker stays open."""
        with self._lock:
            if options.slow_call != self._options.slow_call:
                self._slow.reset()  # what was slow then need not be slow now
            self._options = options
            self._window.resize(options.window)
            self._slow.resize(options.window)

    def describe(self, now: float) -> dict[str, Any]:
        """Plain values for `state()`; `since` is seconds ago, `until` seconds ahead, None where there is neither."""
        with self._lock:
            self._window.roll(now)
            return {
                "state": self.state.value,
                "since": None if self.since is None else max(0.0, now - self.since),
                "until": None if self.until is None else max(0.0, self.until - now),
                "calls": self._window.total,
                "failures": self._window.bad,
            }

    # closed: accrue

    def _count(self, good: bool, elapsed: float, now: float) -> None:
        slow = self._options.slow_call
        self._window.add(now, good)
        if slow is not None:
            self._slow.add(now, elapsed < slow)
        if good:
            self._run = 0
            if slow is None or elapsed < slow:
                return  # a good call never opens: the newest evidence speaks against it
        else:
            self._run += 1
        reason = self._tripped()
        if reason:
            self._open(reason, now)

    def _tripped(self) -> str:
        options, calls, slow = self._options, self._window, self._slow
        if options.consecutive_failures is not None and self._run >= options.consecutive_failures:
            return f"{self._run} failures in a row"
        if calls.total >= options.minimum_calls and calls.bad >= options.failure_ratio * calls.total:
            return f"{calls.bad} of {calls.total} calls failed in {options.window:g} s"
        if slow.total >= options.minimum_calls and slow.bad >= options.slow_ratio * slow.total:
            return f"{slow.bad} of {slow.total} calls took {options.slow_call:g} s or longer in {options.window:g} s"
        return ""

    # open: wait

    def _open(self, reason: str, now: float) -> None:
        options = self._options
        if self.state is State.CLOSED and self.since is not None and now - self.since >= options.window:
            self._exponent = -1
        seconds = doubled(options.open_for, options.max_open_for, self._exponent + 1)
        if seconds < options.max_open_for or self._exponent < 0:
            self._exponent += 1
        self._move(State.OPEN, reason, now)
        self.until = now + spread(seconds, _JITTER, self._random)

    # half-open: probe

    def _probe(self, now: float) -> int:
        with self._lock:
            if self.state is State.OPEN and self.until is not None and now >= self.until:
                self._move(State.HALF_OPEN, "its time was over", now)
            if self.state is State.HALF_OPEN:
                if self._passed >= self._options.half_open_probes:  # fewer are asked for than before
                    self._close(now)
                elif self._room(now) > 0:
                    return self._lease(now)
            return self._closed

    def _room(self, now: float) -> int:
        out = sum(1 for end in self._leases.values() if end > now)
        return self._options.half_open_probes - self._passed - out

    def _lease(self, now: float) -> int:
        if len(self._leases) >= self._options.half_open_probes + _LATE:
            del self._leases[min(self._leases, key=self._leases.__getitem__)]
        self._serial += 1
        self._leases[self._serial] = now + max(_LEASE, self._options.open_for)
        return self._serial

    def _judge(self, good: bool, now: float) -> None:
        if not good:
            self._open("a probe failed", now)
            return
        self._passed += 1
        if self._passed >= self._options.half_open_probes:
            self._close(now)

    def _close(self, now: float) -> None:
        self._window.reset()
        self._slow.reset()
        self._run = 0
        self._move(State.CLOSED, f"{self._passed} of {self._passed} probes succeeded", now)

    def _move(self, to: State, reason: str, now: float) -> None:
        before = self.state
        self.state = to
        self.since = now
        self.until = None
        self._passed = 0
        self._leases.clear()
        self._serial += 1
        self._closed = self._serial if to is State.CLOSED else 0
        if self._emit is not None:
            facts = {"from": before.value, "to": to.value, "kind": self.kind, "reason": reason}
            self._emit(Event("breaker", self.name, now, facts))

    def __repr__(self) -> str:
        return f"CircuitBreaker({self.name!r}, {self.state.value})"
