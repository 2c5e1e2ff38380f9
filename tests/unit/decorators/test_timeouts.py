"""`@timeout`: async cancels, sync cooperates, isolated leaves."""

import asyncio
from contextvars import ContextVar
from threading import Event, current_thread

import pytest

from meshlib import deadline
from meshlib.core.deadline import AMBIENT, NEVER
from meshlib.decorators import timeout
from meshlib.errors import ConfigError, DeadlineExceededError, LimitExceededError


def test_sync_in_time(mesh, clock, script):
    """The result comes back, and the deadline is gone again."""
    assert timeout(2.0, mesh=mesh)(script(seconds=1.0, clock=clock))() == "done"
    assert AMBIENT.get() == NEVER


def test_sync_late(mesh, clock, script):
    """A function that returns late raises, because nobody could stop it."""
    with pytest.raises(
        DeadlineExceededError, match=r"exceeded its deadline of 2 s: 3\.00 s after .* done, but too late"
    ) as late:
        timeout(2.0, name="report", mesh=mesh)(script(seconds=3.0, clock=clock))()
    assert late.value.target == "report"
    assert late.value.delivered == "yes"


def test_sync_sets_the_ambient_deadline(mesh, clock):
    """What runs inside sees the sooner of its own and its caller's deadline; also when it fails."""

    def left():
        return AMBIENT.get() - clock()

    def inner():
        return [
            left(),
            timeout(1.0, mesh=mesh)(left)(),
            timeout(9.0, mesh=mesh)(left)(),
            timeout(None, mesh=mesh)(left)(),
        ]

    assert timeout(2.0, mesh=mesh)(inner)() == [2.0, 1.0, 2.0, 2.0]
    assert timeout(None, mesh=mesh)(left)() == NEVER
    assert deadline.remaining() is None


def test_late_failures_pass_through(mesh, clock, script):
    """The function's own error says more than that it was late."""
    with pytest.raises(ValueError, match="own"):
        timeout(1.0, mesh=mesh)(script(ValueError("own"), seconds=5.0, clock=clock))()
    assert AMBIENT.get() == NEVER


@pytest.mark.parametrize("isolate", [False, True])
def test_a_passed_deadline_calls_nothing(mesh, clock, script, isolate):
    """When the caller's time is up already, the function does not begin."""
    function = script()
    token = AMBIENT.set(clock() - 1.0)
    try:
        with pytest.raises(DeadlineExceededError, match="was not called") as late:
            timeout(1.0, isolate=isolate, mesh=mesh)(function)()
    finally:
        AMBIENT.reset(token)
    assert function.calls == 0
    assert late.value.retry_safe is True
    assert mesh.heard.of("refusal") == [{"reason": "deadline", "kind": "function"}]


def test_async_is_cancelled(mesh, clock, run):
    """At its deadline, wherever it waits, and what it holds is let go."""
    left = []

    @timeout("250ms", mesh=mesh)
    async def slow():
        try:
            await asyncio.sleep(10)
        finally:
            left.append(clock())

    start = clock()
    with pytest.raises(DeadlineExceededError, match="not done") as late:
        run(slow())
    assert left[0] - start == pytest.approx(0.25, abs=0.011)
    assert late.value.delivered == "maybe"
    assert isinstance(late.value.__cause__, asyncio.CancelledError)


def test_async_in_time(mesh, clock, run):
    """The result, the deadline inside, and none after."""

    @timeout(2.0, mesh=mesh)
    async def quick():
        await asyncio.sleep(1.0)
        return AMBIENT.get() - clock()

    async def main():
        return await quick(), AMBIENT.get()

    assert run(main()) == (1.0, NEVER)


def test_the_callers_cancellation_passes(mesh, run):
    """Cancelled from outside, it is a cancellation and not a timeout."""

    @timeout(5.0, mesh=mesh)
    async def slow():
        await asyncio.sleep(10)

    async def main():
        task = asyncio.ensure_future(slow())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await slow()

    run(main())


@pytest.mark.parametrize(("outer", "inner"), [(1.0, 5.0), (5.0, 1.0), (1.0, 1.0)])
def test_nested_async(mesh, clock, run, outer, inner):
    """The sooner one counts, and the outcome is one error."""

    @timeout(outer, mesh=mesh)
    @timeout(inner, mesh=mesh)
    async def slow():
        await asyncio.sleep(10)

    async def main():
        start = clock()
        with pytest.raises(DeadlineExceededError):
            await slow()
        await asyncio.sleep(0)
        return clock() - start

    assert run(main()) == pytest.approx(1.0, abs=0.02)


def test_isolated_in_time(mesh):
    """On another thread, in a copy of the caller's context, with the deadline in it."""
    who = ContextVar("who", default="nobody")
    seen = []

    @timeout(5.0, isolate=True, mesh=mesh)
    def work(number, *, more):
        seen.append((who.get(), current_thread().name, AMBIENT.get()))
        who.set("changed inside")
        return number + more

    who.set("caller")
    assert work(1, more=2) == 3
    [(name, thread, until)] = seen
    assert (name, who.get()) == ("caller", "caller")
    assert thread == f"meshlib-{work.timeout.name}"
    assert until == mesh.runtime.clock() + 5.0


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_isolated_failures(mesh, script, error):
    """What the function raises is raised to the caller."""
    with pytest.raises(error):
        timeout(None, isolate=True, mesh=mesh)(script(error()))()


def test_isolated_late_and_full(mesh):
    """The caller goes on in time; the thread keeps its place until it is through, and a full pool refuses."""
    go, through = Event(), Event()

    @timeout(0.001, name="report", isolate=1, mesh=mesh)
    def stuck():
        go.wait(5)
        through.set()

    with pytest.raises(DeadlineExceededError, match="not done"):
        stuck()
    with pytest.raises(LimitExceededError, match="a call to report was refused: all 1 threads"):
        stuck()
    assert mesh.heard.of("refusal") == [{"reason": "limit", "kind": "function"}]
    go.set()
    assert through.wait(5)


def test_isolation_is_for_sync():
    """An async function needs no thread."""

    async def slow(): ...

    with pytest.raises(ConfigError, match="is async"):
        timeout(1.0, isolate=True)(slow)


@pytest.mark.parametrize("arguments", [(0,), (-1.0,), ("soon",), (1e9,)])
def test_bad_seconds(arguments):
    """Said when decorating."""
    with pytest.raises(ConfigError, match="seconds"):
        timeout(*arguments)
    with pytest.raises(ConfigError, match="threads"):
        timeout(1.0, isolate=-3)
