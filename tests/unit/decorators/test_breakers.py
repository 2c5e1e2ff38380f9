"""`@circuit_breaker`: what is recorded, what is refused."""

import asyncio

import pytest

from meshlib.decorators import circuit_breaker
from meshlib.errors import CircuitOpenError, ConfigError, LimitExceededError, RateLimitedError
from meshlib.resilience.breaker import State


def open_it(decorated, error, times=5):
    """Fails until the breaker opens."""
    for _ in range(times):
        with pytest.raises(error):
            decorated()
    assert decorated.breaker.state is State.OPEN


def test_opens_refuses_probes_closes(mesh, clock, script):
    """The whole circle, with the error's facts and the events that telemetry counts."""
    failing = script(*[ConnectionError()] * 5)
    decorated = circuit_breaker("payments", open_for=2.0, mesh=mesh)(failing)
    open_it(decorated, ConnectionError)
    with pytest.raises(
        CircuitOpenError, match="a call to payments was refused: its circuit breaker is open"
    ) as refused:
        decorated()
    assert failing.calls == 5
    assert refused.value.target == "payments"
    assert refused.value.retry_after == decorated.breaker.retry_after
    assert 1.0 <= refused.value.retry_after <= 3.0
    clock.advance(refused.value.retry_after)
    assert decorated() == "done"
    assert decorated.breaker.state is State.CLOSED
    assert [facts["to"] for facts in mesh.heard.of("breaker")] == ["open", "half-open", "closed"]
    assert mesh.heard.of("refusal") == [{"reason": "breaker", "kind": "function"}]
    assert {event.service for event in mesh.heard.events} == {"payments"}


def test_async_failures_open_it(mesh, run, script):
    """An async function's failures count like a sync one's (pybreaker never opened for them)."""
    failing = script(*[ConnectionError()] * 5)

    @circuit_breaker(mesh=mesh)
    async def charge():
        await asyncio.sleep(0.1)
        return failing()

    async def main():
        for _ in range(5):
            with pytest.raises(ConnectionError):
                await charge()
        with pytest.raises(CircuitOpenError):
            await charge()
        await asyncio.sleep(60)
        return await charge()

    assert run(main()) == "done"
    assert failing.calls == 6


def test_twenty_tasks_one_probe(mesh, run):
    """Of 20 concurrent calls into half-open exactly one is admitted, and the rest are refused at once."""
    broken, entered = [True], []

    @circuit_breaker("payments", consecutive_failures=1, mesh=mesh)
    async def charge():
        entered.append(1)
        await asyncio.sleep(0.2)
        if broken[0]:
            raise ConnectionError

    async def main():
        with pytest.raises(ConnectionError):
            await charge()
        await asyncio.sleep(10)
        broken[0] = False
        entered.clear()
        return await asyncio.gather(*(charge() for _ in range(20)), return_exceptions=True)

    results = run(main())
    assert len(entered) == 1
    assert [type(result) for result in results].count(CircuitOpenError) == 19
    assert charge.breaker.state is State.CLOSED


def test_a_cancelled_probe_gives_its_place_back(mesh, run):
    """Cancellation is nobody's verdict: the next call probes."""
    hang = [False]

    @circuit_breaker("payments", consecutive_failures=1, mesh=mesh)
    async def charge():
        if hang[0]:
            await asyncio.Event().wait()
        raise ConnectionError

    async def main():
        with pytest.raises(ConnectionError):
            await charge()
        await asyncio.sleep(10)
        hang[0] = True
        probe = asyncio.ensure_future(charge())
        await asyncio.sleep(0.1)
        with pytest.raises(CircuitOpenError):
            await charge()
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert charge.breaker.state is State.HALF_OPEN
        hang[0] = False
        with pytest.raises(ConnectionError):
            await charge()

    run(main())


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_signals_say_nothing(mesh, script, error):
    """What is no Exception passes through and is not recorded."""
    decorated = circuit_breaker("payments", consecutive_failures=1, mesh=mesh)(script(*[error()] * 3))
    for _ in range(3):
        with pytest.raises(error):
            decorated()
    assert decorated.breaker.current.describe(0.0)["calls"] == 0


@pytest.mark.parametrize(
    ("ignore", "error"),
    [
        (ValueError, ValueError()),
        ((KeyError, ValueError), ValueError()),
        (lambda error: str(error) == "mine", RuntimeError("mine")),
        (lambda error: False, CircuitOpenError("elsewhere")),
        ((), LimitExceededError()),
        ((), RateLimitedError()),
    ],
)
def test_ignored_errors_are_not_recorded(mesh, script, ignore, error):
    """The user's own mistakes and our own refusals say nothing about what is called."""
    decorated = circuit_breaker("payments", consecutive_failures=1, ignore=ignore, mesh=mesh)(script(error))
    with pytest.raises(type(error)):
        decorated()
    assert decorated.breaker.current.describe(0.0)["calls"] == 0


def test_a_judge_that_raises_gives_the_permit_back(mesh, clock, script):
    """A bug in `ignore` neither opens the breaker nor loses a probe."""

    def judge(error):
        raise TypeError("a bug")

    failing = script(ConnectionError(), ConnectionError())
    decorated = circuit_breaker("payments", consecutive_failures=1, mesh=mesh)(failing)
    open_it(decorated, ConnectionError, 1)
    judged = circuit_breaker("payments", ignore=judge, mesh=mesh)(failing)
    clock.advance(10)
    with pytest.raises(TypeError, match="a bug"):
        judged()
    assert decorated() == "done"


def test_slow_calls_count(mesh, clock, script):
    """`slow_call` sees how long the function took."""
    slow = script(seconds=2.0, clock=clock)
    decorated = circuit_breaker(
        "payments", slow_call=1.0, slow_ratio=1.0, minimum_calls=3, window=60, mesh=mesh
    )(slow)
    for _ in range(3):
        decorated()
    assert decorated.breaker.state is State.OPEN


@pytest.mark.parametrize(
    "options", [{"open_for": -1}, {"half_open_probes": 0}, {"ignore": 7}, {"ignore": KeyboardInterrupt}]
)
def test_bad_options(options):
    """Said when decorating, with what would be right."""
    with pytest.raises(ConfigError, match=r"expected|subclasses of Exception"):
        circuit_breaker("payments", **options)
