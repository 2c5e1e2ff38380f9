"""`@retry`: what is repeated, when, how often, and what is left of it in the error."""

import asyncio

import pytest
import tenacity

from meshlib import deadline
from meshlib.core.deadline import AMBIENT
from meshlib.decorators import circuit_breaker, retry, timeout
from meshlib.errors import (
    AttemptsExhaustedError,
    CircuitOpenError,
    ConfigError,
    DeadlineExceededError,
    RateLimitedError,
)
from meshlib.resilience.backoff import Constant


def notes(error):
    """The notes of an exception."""
    return getattr(error, "__notes__", [])


def test_succeeds_in_the_end(mesh, clock, script, unhurried):
    """Failures are swallowed, the pauses are the policy's."""
    flaky = script(ConnectionError(), TimeoutError())
    assert retry(attempts=3, mesh=mesh, **unhurried)(flaky)(1, key=2) == "done"
    assert flaky.calls == 3
    assert clock.sleeps == [1.0, 2.0]


def test_the_last_error_is_raised_with_its_history(mesh, clock, script, unhurried):
    """The function's own exception, with one note that lists the attempts, and without the others as context."""
    last = ConnectionError("third")
    flaky = script(ConnectionError("first"), TimeoutError("second"), last, seconds=0.012, clock=clock)
    with pytest.raises(ConnectionError, match="third") as raised:
        retry("fetch", mesh=mesh, **unhurried)(flaky)()
    assert raised.value is last
    [note] = notes(last)
    assert note == (
        "fetch failed after 3 attempts in 3.04 s: attempt 1 raised ConnectionError in 12 ms; attempt 2 raised "
        "TimeoutError in 12 ms; attempt 3 raised ConnectionError in 12 ms; attempts used up"
    )
    assert last.__context__ is None


def test_async(mesh, clock, run, script, unhurried):
    """The same for coroutine functions."""
    flaky = script(ConnectionError(), ConnectionError())

    @retry(mesh=mesh, **unhurried)
    async def fetch():
        return flaky()

    start = clock()
    assert run(fetch()) == "done"
    assert clock() - start == pytest.approx(3.0)
    flaky.steps = [ConnectionError(), ConnectionError(), ValueError("no")]
    with pytest.raises(ValueError, match="no"):
        run(fetch())


def test_async_off(mesh, run, script):
    """Turned off by the document, an async function runs once."""
    flaky = script(ConnectionError())

    @retry("orders", mesh=mesh)
    async def fetch():
        return flaky()

    mesh.adopt(orders={"retry": False})
    with pytest.raises(ConnectionError):
        run(fetch())
    assert flaky.calls == 1


@pytest.mark.parametrize(
    ("on", "error", "calls"),
    [
        (ConnectionError, ConnectionRefusedError(), 2),
        (ConnectionError, ValueError(), 1),
        ((KeyError, OSError), TimeoutError(), 2),
        (lambda error: "again" in str(error), ValueError("again"), 2),
        (lambda error: "again" in str(error), ValueError("never"), 1),
    ],
)
def test_on(mesh, script, on, error, calls):
    """Classes or a judge say what is repeated; the rest passes through as it is."""
    flaky = script(error)
    decorated = retry(on=on, mesh=mesh)(flaky)
    if calls == 1:
        with pytest.raises(type(error)):
            decorated()
        assert not notes(error)
    else:
        assert decorated() == "done"
    assert flaky.calls == calls


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_is_no_exception_passes(mesh, script, error):
    """Signals and cancellation are never repeated."""
    flaky = script(error())
    with pytest.raises(error):
        retry(mesh=mesh)(flaky)()
    assert flaky.calls == 1


def test_cancellation_during_the_pause(mesh, run, script, unhurried):
    """The caller may leave while nothing runs."""
    flaky = script(*[ConnectionError()] * 3)

    @retry(mesh=mesh, **unhurried)
    async def fetch():
        return flaky()

    async def main():
        task = asyncio.ensure_future(fetch())
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert flaky.calls == 1


def test_waits(mesh, clock, script):
    """tenacity's wait objects and Backoffs are taken as they are."""
    for wait in (tenacity.wait_fixed(3) + tenacity.wait_fixed(1), Constant(4.0)):
        assert retry(wait=wait, mesh=mesh)(script(ConnectionError()))() == "done"
    assert clock.sleeps == [4.0, 4.0]


def test_default_waits_are_jittered(mesh, clock, script):
    """Full jitter below 25, then 50 ms."""
    retry(mesh=mesh)(script(ConnectionError(), ConnectionError()))()
    assert 0.0 <= clock.sleeps[0] <= 0.025
    assert 0.0 <= clock.sleeps[1] <= 0.05


def test_the_budget_is_shared_by_name(mesh, script):
    """All functions of a name withdraw from one budget; an empty one ends the retries and is told."""
    thrifty = {"budget": {"ratio": 0.0, "floor": 0.2}, "mesh": mesh}
    one, two = script(*[ConnectionError()] * 9), script(*[ConnectionError()] * 9)
    first, second = retry("fetch", **thrifty)(one), retry("fetch", mesh=mesh)(two)
    unbound = retry("fetch", budget=False, mesh=mesh)(script(ConnectionError()))
    with pytest.raises(ConnectionError):
        first()
    assert one.calls == 3
    with pytest.raises(ConnectionError) as raised:
        second()
    assert two.calls == 1
    assert notes(raised.value)[0].endswith("no budget left for another retry")
    assert mesh.heard.of("refusal") == [{"reason": "budget", "kind": "function"}]
    assert first.retry.budget is second.retry.budget
    assert (unbound(), unbound.retry.budget) == ("done", None)
    mesh.adopt()
    assert second.retry.budget.options.floor == 0.2


def test_every_call_makes_one_deposit(mesh, clock, script):
    """Retries are paid for by calls, not by themselves."""
    decorated = retry("fetch", attempts=2, budget={"ratio": 1.0, "floor": 0.0}, mesh=mesh)(
        script(*[ConnectionError()] * 8)
    )
    for _ in range(4):
        with pytest.raises(ConnectionError):
            decorated()
    assert decorated.retry.budget.balance(clock()) == 0.0


def test_no_retry_beyond_the_deadline(mesh, clock, script, unhurried):
    """The ambient deadline ends it before a pause that would reach it; an earlier one costs nothing."""
    flaky = script(*[ConnectionError()] * 9)
    decorated = retry(attempts=9, mesh=mesh, **unhurried)(flaky)
    token = AMBIENT.set(clock() + 4.0)
    try:
        with pytest.raises(ConnectionError) as raised:
            decorated()
    finally:
        AMBIENT.reset(token)
    assert clock.sleeps == [1.0, 2.0]
    assert notes(raised.value)[0].endswith("the deadline leaves no time for another")
    assert deadline.remaining() is None


class AskingError(Exception):
    """Says when to come back."""

    def __init__(self, retry_after):
        super().__init__()
        self.retry_after = retry_after


@pytest.mark.parametrize(
    ("asked", "sleeps"),
    [(7, [7.0]), (0.5, [1.0]), ("7", [1.0]), (True, [1.0]), (None, [1.0]), (1e9, [300.0])],
)
def test_retry_after_is_honoured(mesh, clock, script, unhurried, asked, sleeps):
    """The longer of what the error asks for and the policy's wait, within reason; texts are not read."""
    assert retry(mesh=mesh, **unhurried)(script(AskingError(asked)))() == "done"
    assert clock.sleeps == sleeps


@pytest.mark.parametrize("asked", [-1, float("nan")])
def test_retry_after_can_forbid(mesh, script, asked):
    """A negative or meaningless pause means no."""
    flaky = script(AskingError(asked))
    with pytest.raises(AskingError) as raised:
        retry(mesh=mesh)(flaky)()
    assert flaky.calls == 1
    assert "asked not to be tried again" in notes(raised.value)[0]


def test_unsafe_errors_are_not_repeated(mesh, script):
    """A MeshError that says so, also as the cause or context of the user's own."""
    spent = AttemptsExhaustedError("all failed", retry_safe=False)

    def explicit():
        raise ConnectionError from spent

    def implicit():
        try:
            raise spent
        except AttemptsExhaustedError:
            raise ConnectionError  # noqa: B904 - that is the case

    for function in (script(spent), explicit, implicit):
        calls = []

        def counted(function=function, calls=calls):
            calls.append(1)
            return function()

        with pytest.raises((ConnectionError, AttemptsExhaustedError)):
            retry(mesh=mesh)(counted)()
        assert len(calls) == 1
    repeatable = script(AttemptsExhaustedError("one of many"), DeadlineExceededError("late"))
    assert retry(mesh=mesh)(repeatable)() == "done"


def test_what_the_caller_handles_is_not_ours(mesh, script):
    """A fallback called while an error is handled may be retried, although Python hangs that error on its own."""
    try:
        raise AttemptsExhaustedError("primary", retry_safe=False)
    except AttemptsExhaustedError:
        fallback = script(ConnectionError())

        def suppressing():
            try:
                return fallback()
            except ConnectionError:
                raise TimeoutError from None

        assert retry(mesh=mesh)(suppressing)() == "done"
        assert retry(mesh=mesh)(script(ConnectionError()))() == "done"


def test_spent_retries_are_not_multiplied(mesh, script):
    """An outer retry leaves alone what an inner one has tried; also when it comes wrapped."""
    inner = script(*[ConnectionError()] * 99)
    tried = retry("inner", attempts=3, mesh=mesh)(inner)

    def wrapping():
        try:
            return tried()
        except ConnectionError as error:
            raise RuntimeError("no luck") from error

    with pytest.raises(RuntimeError, match="no luck"):
        retry("outer", attempts=4, mesh=mesh)(retry("middle", mesh=mesh)(wrapping))()
    assert inner.calls == 3


def test_an_error_object_may_be_raised_again(mesh, script):
    """A module's one exception instance is retried in each call anew, and does not collect histories."""
    error = ConnectionError("the one and only")
    error.add_note("the user's own")
    flaky = script(*[error] * 6)
    decorated = retry("fetch", mesh=mesh)(flaky)
    for calls in (3, 6):
        with pytest.raises(ConnectionError):
            decorated()
        assert flaky.calls == calls
    assert len(notes(error)) == 2


def test_long_chains_are_followed_in_part(mesh, script):
    """A chain of causes without an end does not hold us up."""
    first, second = ConnectionError("a"), ConnectionError("b")
    first.__cause__, second.__cause__ = second, first
    assert retry(mesh=mesh)(script(first))() == "done"


def test_immutable_errors(mesh, script):
    """An exception that takes no note is raised as it is."""

    class FrozenError(Exception):
        def __setattr__(self, name, value):
            raise AttributeError(name)

    with pytest.raises(FrozenError):
        retry(mesh=mesh)(script(*[FrozenError()] * 3))()


def test_refusals_are_not_repeated_unless_named(mesh, clock, script):
    """An open breaker is not knocked at; whoever names the error waits for it."""
    failing = script(ConnectionError(), ConnectionError(), RateLimitedError("slow down", retry_after=2.0))
    broken = circuit_breaker("payments", consecutive_failures=1, mesh=mesh)(failing)
    patient = retry("patient", on=(CircuitOpenError, ConnectionError), mesh=mesh)(broken)
    with pytest.raises(CircuitOpenError) as raised:
        retry("hasty", mesh=mesh)(broken)()
    assert failing.calls == 1
    assert "after 2 attempts" in notes(raised.value)[0]
    failing.steps.pop(0)
    failing.steps.insert(0, RateLimitedError("slow down", retry_after=2.0))
    clock.sleeps.clear()
    with pytest.raises(RateLimitedError):
        patient()
    assert clock.sleeps == [pytest.approx(raised.value.retry_after)]
    failing.steps.clear()
    judged = retry("judged", on=lambda error: True, mesh=mesh)(script(CircuitOpenError("", retry_after=3.0)))
    clock.sleeps.clear()
    assert judged() == "done"
    assert clock.sleeps == [3.0]


def test_timeouts_of_attempts_are_repeated(mesh, clock, script):
    """`@retry` outside `@timeout`: each attempt has its own bound."""
    slow = script(seconds=2.0, clock=clock)

    def sometimes():
        if slow.calls == 0:
            return slow()
        return "fast"

    assert retry(mesh=mesh)(timeout(1.0, mesh=mesh)(sometimes))() == "fast"


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"on": 7},
        {"on": (ValueError, KeyboardInterrupt)},
        {"wait": 3},
        {"wait": {"bse": 1}},
        {"wait": lambda: 1},
        {"budget": {"ratio": -1}},
    ],
)
def test_bad_options(options):
    """Said when decorating."""
    with pytest.raises(ConfigError, match=r"expected|subclasses of Exception|cannot be used|unknown key"):
        retry("fetch", **options)
