"""The driver for threads."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

from meshlib.core.listener import Event, Listener
from meshlib.core.outcome import Outcome
from meshlib.core.wait import Wait
from meshlib.drivers import sync
from meshlib.engine import BUFFERED, IDEMPOTENT, REPLAYABLE
from meshlib.errors import MeshError
from meshlib.resilience import BreakerOptions, CircuitBreaker, Limiter, LimitOptions
from meshlib.testing import FakeClock
from tests.rpc import RPC, BrokenError, Reply, Request, Servers, UnreachableError, idle, plan_of, publish

SAFE = IDEMPOTENT | REPLAYABLE | BUFFERED


class Notes(Listener):
    """Writes down what it is told, and whether a lock was held meanwhile."""

    def __init__(self) -> None:
        self.notes: list[Any] = []
        self.locks: list[Any] = []

    def note(self, *what: Any) -> None:
        assert not any(lock.locked() for lock in self.locks)
        self.notes.append(what)

    def call_started(self, call: Any) -> None:
        self.note("call")

    def attempt_started(self, call: Any, attempt: Any) -> dict[str, str]:
        self.note("attempt", attempt.number)
        return {"number": str(attempt.number)}

    def attempt_finished(self, call: Any, attempt: Any, outcome: Outcome) -> None:
        self.note("finished", attempt.number, outcome.cause)

    def call_finished(self, call: Any, outcome: Outcome | None) -> None:
        self.note("over", None if outcome is None else outcome.cause)

    def event(self, event: Event) -> None:
        self.note(event.kind, *event.facts.values())


def run(plan: Any, servers: Servers, clock: FakeClock, flags: int = SAFE) -> Any:
    return sync.drive(plan, Request(), servers.send, clock, flags, 0.0, clock.sleep)


def test_reply_comes_through() -> None:
    """The reply itself; nothing is held."""
    clock, plan = FakeClock(), plan_of("a")
    reply = Reply(message="m")
    assert run(plan, Servers(clock, {"a:1": reply}), clock) is reply
    assert idle(plan)


def test_retry_discards_first_and_pauses() -> None:
    """What a retry replaces is closed and released before the pause."""
    clock, plan = FakeClock(), plan_of("a", "b")
    bad, good = Reply("UNAVAILABLE"), Reply()
    script = [bad, good]
    servers = Servers(clock, {f"{host}:1": lambda attempt, request: script.pop(0) for host in "ab"})

    def sleep(seconds: float) -> None:
        assert bad.closed
        assert idle(plan)
        clock.sleep(seconds)

    assert sync.drive(plan, Request(), servers.send, clock, SAFE, 0.0, sleep) is good
    assert len(clock.sleeps) == 1
    assert len({address for address, *_ in servers.sent}) == 2


def test_retried_stream_is_released_first() -> None:
    """A streamed reply that is not good enough gives its lease back before the next attempt is claimed."""
    clock, plan = FakeClock(), plan_of("a", limiter=Limiter(LimitOptions(concurrency=1)))
    script = [Reply("UNAVAILABLE"), Reply()]
    servers = Servers(clock, {"a:1": lambda attempt, request: script.pop(0)})
    run(plan, servers, clock, IDEMPOTENT | REPLAYABLE)
    assert len(servers.sent) == 2
    assert plan.limiter is not None
    assert plan.limiter.used == 1


@pytest.mark.parametrize("error", [LookupError("a bug"), KeyboardInterrupt()])
def test_foreign_exception_passes_through(error: BaseException) -> None:
    """A caller's bug or signal is nobody's failure; everything is given back."""
    clock, notes = FakeClock(), Notes()
    plan = plan_of("a", listener=notes, limiter=Limiter(LimitOptions(concurrency=1)))
    with pytest.raises(type(error)) as caught:
        run(plan, Servers(clock, {"a:1": error}), clock)
    assert caught.value is error
    assert idle(plan)
    assert notes.notes == [("call",), ("attempt", 1), ("finished", 1, "cancelled"), ("over", None)]


def test_listener_hears_the_whole_story() -> None:
    """In order, outside every lock, with its headers on the attempt; events come before the next call ends."""
    clock, notes = FakeClock(), Notes()
    events: Any = None
    plan = plan_of("a", "b", listener=notes)
    events = plan.events
    breaker = CircuitBreaker("orders", BreakerOptions(consecutive_failures=1), lambda: 0.5, events.append)
    plan.breaker = breaker
    notes.locks = [plan.cluster.lock, breaker._lock]
    servers = Servers(clock, {"a:1": UnreachableError(), "b:1": UnreachableError()})
    with pytest.raises(RPC.errors.AttemptsExhaustedError):
        run(plan, servers, clock)
    assert [headers["number"] for *_, headers in servers.sent] == ["1", "2", "3"]
    told = [note[0] for note in notes.notes]
    assert told == ["call", *["attempt", "finished"] * 3, "over", "breaker"]
    notes.notes.clear()
    with pytest.raises(RPC.errors.CircuitOpenError):
        run(plan, servers, clock)
    assert notes.notes == [("refusal", "breaker")]


def test_events_without_a_listener_are_dropped() -> None:
    """Nobody wants them."""
    clock, plan = FakeClock(), plan_of("a")
    plan.refused("limit", 0.0)
    run(plan, Servers(clock), clock)
    assert not plan.events


def test_rejected_reply_is_closed() -> None:
    """`raise_on_exhausted`: the reply is discarded before the error is raised."""
    clock, plan = FakeClock(), plan_of("a", raise_on_exhausted=True, retry=None)
    reply = Reply("UNAVAILABLE")
    with pytest.raises(RPC.errors.AttemptsExhaustedError):
        run(plan, Servers(clock, {"a:1": reply}), clock)
    assert reply.closed


def test_bad_reply_in_hand_is_returned() -> None:
    """Attempts used up with a reply: the reply."""
    clock, plan = FakeClock(), plan_of("a")
    reply = Reply("UNAVAILABLE")
    assert run(plan, Servers(clock, {"a:1": reply}), clock) is reply


def raised(answer: Any) -> Any:
    if isinstance(answer, Exception):
        try:
            raise answer
        finally:
            del answer
    return answer


def test_calls_leave_no_cycles() -> None:
    """Neither a good nor a failed call waits for the collector to be freed."""

    class Mine(Request):
        pass

    clock, plan = FakeClock(), plan_of("a")
    gc.collect()
    gc.disable()
    try:
        for kind in (Reply, UnreachableError, LookupError):
            request = Mine()
            gone = weakref.ref(request)
            try:
                sync.drive(
                    plan, request, lambda attempt, _, kind=kind: raised(kind()), clock, SAFE, 0.0, clock.sleep
                )
            except Exception:
                pass
            del request
            assert gone() is None, kind
    finally:
        gc.enable()


def test_first_set_may_come_from_another_thread() -> None:
    """A call that waits for its first set is woken by the thread that publishes it."""
    plan = plan_of()
    waiting = threading.Event()
    replies: list[Any] = []

    class Expecting(dict[Any, None]):
        def __setitem__(self, key: Any, value: None) -> None:
            super().__setitem__(key, value)
            waiting.set()

    plan.cluster._expecting = Expecting()
    clock = FakeClock()
    thread = threading.Thread(target=lambda: replies.append(run(plan, Servers(clock), clock)))
    thread.start()
    assert waiting.wait(5)
    publish(plan.cluster, "a")
    thread.join(5)
    assert replies[0].code == "OK"
    assert idle(plan)


def test_wait_returns_at_its_bound() -> None:
    """A Wait in the past returns at once; a granted one too, also without a bound."""
    clock = FakeClock()
    sync.wait(Wait("queue", clock() - 1), clock)
    turn = Wait("queue")
    turn.grant()
    sync.wait(turn, clock)
    late = Wait("queue")
    threading.Timer(0.0, lambda: late.grant() and late.wake()).start()
    sync.wait(late, clock)
    assert late.granted


@pytest.mark.parametrize("refusal", ["limit", "endpoint", "deadline"])
def test_error_before_a_retry_has_the_last_one_as_its_cause(refusal: str) -> None:
    """A retry that finds no slot, no node or no time left ends with ours; what the attempt met is its cause."""
    clock, error = FakeClock(), BrokenError()
    plan = plan_of("a", limiter=Limiter(LimitOptions(concurrency=1)), timeout=5.0)
    limiter = plan.limiter
    assert limiter is not None

    def interfere(seconds: float) -> None:
        if refusal == "limit":
            assert limiter.acquire(0.0) is True
        elif refusal == "endpoint":
            publish(plan.cluster)
        else:
            clock.advance(5.0)

    servers = Servers(clock, {"a:1": error})
    with pytest.raises(MeshError) as caught:
        sync.drive(plan, Request(), servers.send, clock, SAFE, 0.0, interfere)
    assert caught.value.__cause__ is error
