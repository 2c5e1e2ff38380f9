"""The virtual-time driver: events, and calls that end in every way a real driver's can."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from meshlib import errors
from meshlib.balancing.round_robin import RoundRobin, RoundRobinOptions
from meshlib.core.endpoint import Endpoint
from meshlib.core.listener import Headers, Listener
from meshlib.core.outcome import CANCELLED, OK, Kind, Outcome
from meshlib.core.snapshot import EndpointSet
from meshlib.drivers.virtual import Answer, Simulation
from meshlib.engine import BUFFERED, IDEMPOTENT, REPLAYABLE, Attempt, CallPlan, Cluster
from meshlib.resilience.breaker import BreakerOptions, CircuitBreaker
from meshlib.resilience.limit import Limiter, LimitOptions
from meshlib.resilience.retry import RetryOptions, RetryPolicy

SAFE = BUFFERED | IDEMPOTENT | REPLAYABLE


class Numbers:
    """A family whose replies are numbers, below 500 for good, and whose only error is OSError."""

    errors = errors
    transport_errors: tuple[type[BaseException], ...] = (OSError,)

    def __init__(self) -> None:
        self.discarded: list[Any] = []

    def classify(self, reply: Any) -> Outcome:
        return OK if reply < 500 else Outcome(Kind.FAILURE, "503", "answered 503", delivered="yes")

    def classify_error(self, error: BaseException, attempt: Attempt) -> Outcome:
        return Outcome(Kind.FAILURE, "timeout", "timed out")

    def describe(self, request: Any) -> str:
        return f"call {request}"

    def mapped(self, error: BaseException, request: Any) -> BaseException:
        return error

    def exhausted(self, error: BaseException, message: str, **facts: Any) -> errors.MeshError:
        return errors.AttemptsExhaustedError(message, **facts)

    def attach(self, error: BaseException, request: Any) -> BaseException:
        return error

    def discard(self, reply: Any) -> None:
        self.discarded.append(reply)

    async def adiscard(self, reply: Any) -> None:
        raise NotImplementedError


class Notes(Listener):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def call_started(self, call: Any) -> None:
        self.said.append("call")

    def attempt_started(self, call: Any, attempt: Any) -> Headers:
        self.said.append(f"attempt {attempt.number}")
        return {"number": str(attempt.number)}

    def attempt_finished(self, call: Any, attempt: Any, outcome: Outcome) -> None:
        self.said.append(outcome.kind.value)

    def call_finished(self, call: Any, outcome: Outcome | None) -> None:
        self.said.append("end")


class World:
    """A simulation, a plan over two nodes, and what calls ended with."""

    def __init__(self, *, ready: bool = True, attempts: int = 1, **options: Any) -> None:
        self.simulation = Simulation(7)
        self.family = Numbers()
        random = self.simulation.random.random
        self.cluster = Cluster("orders", RoundRobin(RoundRobinOptions()), random)
        retry = RetryPolicy(RetryOptions(attempts=attempts)) if attempts > 1 else None
        self.plan = CallPlan(
            "orders", self.cluster, self.family, random, retry=retry, max_attempts=attempts, **options
        )
        self.ends: list[tuple[float, Any]] = []
        if ready:
            self.publish()

    def publish(self) -> None:
        for _ in self.cluster.apply(
            EndpointSet([Endpoint(host="a"), Endpoint(host="b")]), self.simulation.now
        ):
            pass

    def call(
        self, server: Callable[[Attempt, Any, Answer], None], flags: int = SAFE, deadline: float = 0.0
    ) -> Any:
        return self.simulation.call(self.plan, 1, server, flags, deadline, self.end)

    def end(self, result: Any) -> None:
        self.ends.append((self.simulation.now, result))

    @property
    def in_flight(self) -> int:
        return sum(node.in_flight for node in self.cluster.nodes.values())


def at_once(reply: Any) -> Callable[[Attempt, Any, Answer], None]:
    return lambda attempt, request, answer: answer(reply)


def silent(attempt: Attempt, request: Any, answer: Answer) -> None:
    """A server that never answers."""


def test_events_run_in_the_order_of_time_and_then_of_scheduling() -> None:
    """Two events of one instant keep their order, an earlier one comes first, the past means now."""
    simulation, seen = Simulation(), []
    simulation.at(2.0, lambda: seen.append(("first", simulation.now)))
    simulation.at(2.0, lambda: seen.append(("second", simulation.now)))
    simulation.after(1.0, lambda: simulation.at(0.5, lambda: seen.append(("past", simulation.now))))
    simulation.run()
    assert seen == [("past", 1.0), ("first", 2.0), ("second", 2.0)]


def test_run_until_stops_there() -> None:
    """What is due later stays; the clock stands at `until` and never goes back."""
    simulation, seen = Simulation(), []
    simulation.at(1.0, lambda: seen.append(1))
    simulation.at(3.0, lambda: seen.append(3))
    simulation.run(2.0)
    assert (simulation.now, seen) == (2.0, [1])
    simulation.run(1.0)
    assert simulation.now == 2.0
    simulation.run()
    assert (simulation.now, seen) == (3.0, [1, 3])


def test_a_cancelled_event_does_not_happen() -> None:
    """It does not even move the clock; nor does one at the end of time."""
    simulation, seen = Simulation(), []
    timer = simulation.at(5.0, lambda: seen.append(5))
    timer.cancel()
    simulation.at(float("inf"), lambda: seen.append(0))
    simulation.run()
    assert (simulation.now, seen) == (0.0, [])


def test_a_reply_may_come_at_once_or_later() -> None:
    """Both end the call with that reply and give the node back."""
    world = World()
    flight = world.call(at_once(200))
    assert flight.over
    assert flight.result == 200
    world.call(lambda attempt, request, answer: world.simulation.after(0.25, lambda: answer(201)))
    world.simulation.run()
    assert world.ends == [(0.0, 200), (0.25, 201)]
    assert world.in_flight == 0


def test_the_attempt_times_out_at_its_until_and_a_late_answer_is_ignored() -> None:
    """The node is charged at the time out, and what comes afterwards changes nothing."""
    world = World(timeout=1.0)
    world.call(lambda attempt, request, answer: world.simulation.after(5.0, lambda: answer(200)))
    world.simulation.run()
    [(instant, error)] = world.ends
    assert instant == 1.0
    assert isinstance(error, errors.DeadlineExceededError)
    assert isinstance(error.__cause__, TimeoutError)
    assert world.in_flight == 0


def test_a_call_without_any_time_limit_waits_for_ever() -> None:
    """No timer is set for an attempt without an end."""
    world = World()
    flight = world.call(silent)
    world.simulation.run()
    assert not flight.over
    assert world.simulation.now == 0.0


def test_a_failed_attempt_is_followed_by_another_after_its_pause() -> None:
    """The retry goes to the other node, the replaced reply is discarded, back-off passes in virtual time."""
    world, nodes = World(timeout=2.0, attempts=3), []

    def server(attempt: Attempt, request: Any, answer: Answer) -> None:
        nodes.append(attempt.node.host)
        answer(503 if len(nodes) == 1 else 200)

    world.call(server)
    world.simulation.run()
    [(instant, result)] = world.ends
    assert result == 200
    assert 0.0 < instant <= 0.025
    assert sorted(nodes) == ["a", "b"]
    assert world.family.discarded == [503]


def test_attempts_used_up_end_with_the_reply_in_hand() -> None:
    """As a real driver returns it."""
    world = World(timeout=2.0, attempts=2)
    world.call(at_once(503))
    world.simulation.run()
    assert [result for _, result in world.ends] == [503]


def test_a_reply_that_policy_wants_raised_is_discarded() -> None:
    """`raise_on_exhausted` ends with the error instead."""
    world = World(raise_on_exhausted=True)
    flight = world.call(at_once(503))
    assert isinstance(flight.result, errors.AttemptsExhaustedError)
    assert world.family.discarded == [503]


def test_what_is_not_the_transports_passes_through() -> None:
    """A caller's bug ends the call as it is and is nobody's failure."""
    world = World()
    bug = KeyError("x")
    assert world.call(at_once(bug)).result is bug
    assert world.in_flight == 0
    assert all(node.failures == 0 for node in world.cluster.nodes.values())


def test_a_call_waits_for_the_first_endpoints() -> None:
    """It goes on as soon as they are published."""
    world = World(ready=False)
    world.call(at_once(200))
    world.simulation.at(0.75, world.publish)
    world.simulation.run()
    assert world.ends == [(0.75, 200)]


def test_a_wait_ends_with_its_time() -> None:
    """Without endpoints the call fails when it has waited long enough, and the next one again."""
    world = World(ready=False, timeout=0.5)
    world.call(at_once(200))
    world.simulation.run()
    [(instant, error)] = world.ends
    assert instant == 0.5
    assert isinstance(error, errors.MeshError)


def test_a_grant_in_the_instant_of_the_time_out_is_taken_once() -> None:
    """The turn comes between the timer and what the timer set off: one attempt, one end."""
    world = World(ready=False)
    world.call(at_once(200))
    world.simulation.at(5.0, world.publish)
    world.simulation.run()
    assert world.ends == [(5.0, 200)]


def test_a_turn_that_is_there_already_is_taken_at_once() -> None:
    """A queued call whose slot comes back before anybody waits for it goes on in the same instant."""
    limiter = Limiter(LimitOptions(concurrency=1, queue=1))
    world = World(limiter=limiter, timeout=1.0)
    first = world.call(silent)
    acquire = limiter.acquire

    def acquire_and_free(until: float) -> Any:
        turn = acquire(until)
        first.cancel()
        return turn

    world.plan.limiter = _Racing(limiter, acquire_and_free)  # type: ignore[assignment]
    world.call(at_once(200))
    world.simulation.run()
    assert world.ends == [(0.0, 200)]
    assert limiter.used == 0


class _Racing:
    """A limiter whose slot comes back between the refusal and the wait."""

    def __init__(self, limiter: Limiter, acquire: Callable[[float], Any]) -> None:
        self.acquire = acquire
        self.release = limiter.release


def test_a_refusal_at_the_door_ends_the_call() -> None:
    """An open breaker: no call object, the error is the result."""
    breaker = CircuitBreaker("orders", BreakerOptions(consecutive_failures=1), Random(1).random)
    world = World(breaker=breaker)
    world.call(at_once(503))
    flight = world.call(at_once(200))
    assert isinstance(flight.result, errors.CircuitOpenError)
    assert flight.call is None


def test_a_refusal_of_the_limit_ends_the_call() -> None:
    """What `begin` raises is the result too."""
    world = World(limiter=Limiter(LimitOptions(concurrency=1)), timeout=1.0)
    world.call(silent)
    flight = world.call(at_once(200))
    assert isinstance(flight.result, errors.LimitExceededError)


@pytest.mark.parametrize("moment", [0.0, 0.5])
def test_a_cancelled_call_gives_everything_back(moment: float) -> None:
    """In flight or between attempts; `done` is not called and what was scheduled does nothing."""
    world = World(timeout=2.0)
    flight = world.call(silent)
    world.simulation.run(moment)
    flight.cancel()
    flight.cancel()
    world.simulation.run()
    assert flight.over
    assert world.ends == []
    assert world.in_flight == 0
    assert world.simulation.now == moment


def test_a_call_cancelled_in_its_pause_makes_no_further_attempt() -> None:
    """The retry that was scheduled does not happen."""
    world, attempts = World(timeout=2.0, attempts=3), []

    def server(attempt: Attempt, request: Any, answer: Answer) -> None:
        attempts.append(attempt)
        answer(503)

    flight = world.call(server)
    flight.cancel()
    world.simulation.run()
    assert len(attempts) == 1


def test_a_streamed_reply_keeps_its_lease() -> None:
    """The server model, in the place of a response body, gives it back."""
    world, attempts = World(), []

    def server(attempt: Attempt, request: Any, answer: Answer) -> None:
        attempts.append(attempt)
        answer(200)

    world.call(server, IDEMPOTENT)
    assert world.in_flight == 1
    attempts[0].release(world.simulation.now)
    assert world.in_flight == 0


def test_a_listener_is_told_as_by_the_real_drivers() -> None:
    """Call, attempts with their headers, outcomes, end; a cancellation too."""
    notes, headers = Notes(), []
    world = World(timeout=2.0, attempts=2, listener=notes)

    def server(attempt: Attempt, request: Any, answer: Answer) -> None:
        headers.append(attempt.headers)
        answer(503 if attempt.number == 1 else 200)

    world.call(server)
    world.simulation.run()
    assert notes.said == ["call", "attempt 1", "failure", "attempt 2", "success", "end"]
    assert headers == [{"number": "1"}, {"number": "2"}]
    notes.said.clear()
    world.call(silent).cancel()
    assert notes.said == ["call", "attempt 1", CANCELLED.kind.value, "end"]


def test_the_same_seed_gives_the_same_run() -> None:
    """Answers after random times, retried at random pauses: every instant is the same again."""

    def run() -> list[tuple[float, Any]]:
        world = World(timeout=1.0, attempts=3)
        random = world.simulation.random

        def server(attempt: Attempt, request: Any, answer: Answer) -> None:
            reply = 503 if random.random() < 0.5 else 200
            world.simulation.after(random.expovariate(10.0), lambda: answer(reply))

        for number in range(50):
            world.simulation.at(number / 100, lambda: world.call(server))
        world.simulation.run()
        return world.ends

    assert run() == run()
