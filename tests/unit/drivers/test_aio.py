"""The driver for asyncio, on virtual time."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from meshlib.core.listener import Listener
from meshlib.core.outcome import Outcome
from meshlib.core.wait import Wait
from meshlib.drivers import aio
from meshlib.engine import BUFFERED, IDEMPOTENT, REPLAYABLE
from meshlib.errors import MeshError
from meshlib.resilience import Limiter, LimitOptions
from meshlib.testing import FakeClock, VirtualLoop
from tests.rpc import (
    RPC,
    BrokenError,
    Reply,
    Request,
    RpcError,
    Servers,
    UnreachableError,
    idle,
    plan_of,
    publish,
)

SAFE = IDEMPOTENT | REPLAYABLE | BUFFERED
Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000.0)


@pytest.fixture
def run(clock: FakeClock) -> Iterator[Run]:
    loop = VirtualLoop(clock)
    yield loop.run_until_complete
    loop.close()


def drive(plan: Any, servers: Servers, clock: FakeClock, flags: int = SAFE) -> Coroutine[Any, Any, Any]:
    return aio.drive(plan, Request(), servers.asend, clock, flags, 0.0, clock.asleep)


def test_reply_comes_through(run: Run, clock: FakeClock) -> None:
    """The reply itself; nothing is held."""
    plan, reply = plan_of("a"), Reply()
    assert run(drive(plan, Servers(clock, {"a:1": reply}), clock)) is reply
    assert idle(plan)


def test_hanging_attempt_is_retried_elsewhere(run: Run, clock: FakeClock) -> None:
    """The wheel ends it at half of the time left; the next attempt answers; the task is not left cancelled."""
    plan = plan_of("a", "b", timeout=2.0)
    servers = Servers(clock, {f"{host}:1": [(60.0, Reply()), Reply()] for host in "ab"})
    first: list[str] = []
    servers.answers = {
        f"{host}:1": lambda attempt, request: (60.0 if not first else 0.0, first.append("x") or Reply())
        for host in "ab"
    }

    async def main() -> float:
        begun = clock()
        await drive(plan, servers, clock)
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        return clock() - begun

    assert 1.0 <= run(main()) <= 1.0 + 0.01 + 0.025
    assert len({address for address, *_ in servers.sent}) == 2
    assert idle(plan)


def test_deadline_bounds_everything(run: Run, clock: FakeClock) -> None:
    """A service that hangs on all attempts fails within the deadline and a tick."""
    plan = plan_of("a", "b", timeout=1.0)
    servers = Servers(clock, {"a:1": (60.0, Reply()), "b:1": (60.0, Reply())})

    async def main() -> float:
        begun = clock()
        with pytest.raises(RPC.errors.DeadlineExceededError):
            await drive(plan, servers, clock)
        return clock() - begun

    assert run(main()) <= 1.011
    assert idle(plan)


def test_timeout_counts_whatever_the_family_catches(
    run: Run, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheel's timeout is an attempt's failure also in a family that does not list TimeoutError."""
    plan = plan_of("a", retry=None, timeout=1.0)
    plan.transport_errors = (RpcError,)
    with pytest.raises(RPC.errors.DeadlineExceededError) as caught:
        run(drive(plan, Servers(clock, {"a:1": (60.0, Reply())}), clock))
    assert str(caught.value.__cause__) == aio.TIME_IS_UP


def test_callers_cancellation_passes_through(run: Run, clock: FakeClock) -> None:
    """Cancelled by its caller: CancelledError, everything given back, and the listener told."""
    told: list[Any] = []

    class Notes(Listener):
        def attempt_finished(self, call: Any, attempt: Any, outcome: Outcome) -> None:
            told.append(outcome.cause)

        def call_finished(self, call: Any, outcome: Outcome | None) -> None:
            told.append(outcome)

    plan = plan_of("a", limiter=Limiter(LimitOptions(concurrency=1)), listener=Notes())
    servers = Servers(clock, {"a:1": (5.0, Reply())})

    async def main() -> None:
        task = asyncio.ensure_future(drive(plan, servers, clock))
        await asyncio.sleep(1.0)
        assert not idle(plan)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())
    assert idle(plan)
    assert told == ["cancelled", None]


def test_asyncio_timeout_around_a_call(run: Run, clock: FakeClock) -> None:
    """A caller's own `asyncio.timeout` at the very instant of ours still reports as the caller's."""
    plan = plan_of("a", retry=None, timeout=1.0)
    servers = Servers(clock, {"a:1": (60.0, Reply())})

    async def main() -> None:
        async with asyncio.timeout(0.5):
            await drive(plan, servers, clock)

    with pytest.raises(TimeoutError):
        run(main())
    assert idle(plan)


def test_rejected_and_replaced_replies_are_closed(run: Run, clock: FakeClock) -> None:
    """Each reply that is not handed out is discarded."""
    plan = plan_of("a", "b", raise_on_exhausted=True)
    replies = [Reply("UNAVAILABLE") for _ in range(3)]
    script = list(replies)
    servers = Servers(clock, {f"{host}:1": lambda attempt, request: script.pop(0) for host in "ab"})
    with pytest.raises(RPC.errors.AttemptsExhaustedError):
        run(drive(plan, servers, clock))
    assert all(reply.closed for reply in replies)
    plan = plan_of("a")
    assert run(drive(plan, Servers(clock, {"a:1": replies[0]}), clock)) is replies[0]


def test_listener_and_refusals(run: Run, clock: FakeClock) -> None:
    """Headers reach the attempt; a refusal is told before it is raised; immediate retries do not sleep."""
    told: list[str] = []

    class Notes(Listener):
        def call_started(self, call: Any) -> None:
            told.append("call")

        def attempt_started(self, call: Any, attempt: Any) -> dict[str, str]:
            return {"x-attempt": str(attempt.number)}

        def event(self, event: Any) -> None:
            told.append(event.kind)

    plan = plan_of("a", "b", listener=Notes())
    servers = Servers(clock, {"a:1": UnreachableError(), "b:1": UnreachableError()})
    with pytest.raises(RPC.errors.AttemptsExhaustedError):
        run(drive(plan, servers, clock))
    assert clock.sleeps == []
    assert [headers["x-attempt"] for *_, headers in servers.sent] == ["1", "2", "3"]

    class Refusing:
        state = type("State", (), {"value": "open"})

        def admit(self, now: float) -> int:
            return 0

        def retry_after(self, now: float) -> float:
            return 1.0

    plan.breaker = Refusing()  # type: ignore[assignment]
    with pytest.raises(RPC.errors.CircuitOpenError):
        run(drive(plan, servers, clock))
    assert told == ["call", "refusal"]


def test_first_set_arrives_while_waiting(run: Run, clock: FakeClock) -> None:
    """Published on the same loop, and by another thread."""
    plan = plan_of()

    async def same() -> Any:
        task = asyncio.ensure_future(drive(plan, Servers(clock), clock))
        await asyncio.sleep(1.0)
        publish(plan.cluster, "a")
        return await task

    assert run(same()).code == "OK"

    other = plan_of()

    async def threaded() -> Any:
        task = asyncio.ensure_future(aio.drive(other, Request(), Servers(clock).asend, clock, SAFE))
        while not other.cluster._expecting:
            await asyncio.sleep(0)
        thread = threading.Thread(target=publish, args=(other.cluster, "a"))
        thread.start()
        thread.join()
        return await task

    assert run(threaded()).code == "OK"
    assert idle(plan)
    assert idle(other)


def test_first_set_does_not_arrive(run: Run, clock: FakeClock) -> None:
    """After 5 s: no endpoint, with the reason."""
    plan = plan_of()
    begun = clock()
    with pytest.raises(RPC.errors.NoEndpointError, match="no answer from discovery yet"):
        run(drive(plan, Servers(clock), clock))
    assert clock() - begun == pytest.approx(5.0, abs=0.02)


def test_queue_turns(run: Run, clock: FakeClock) -> None:
    """Ten calls through a limit of one, in order; none is lost."""
    plan = plan_of("a", limiter=Limiter(LimitOptions(concurrency=1, queue=9)))
    servers = Servers(clock, {"a:1": lambda attempt, request: (0.1, Reply())})

    async def main() -> float:
        begun = clock()
        await asyncio.gather(*(drive(plan, servers, clock) for _ in range(10)))
        return clock() - begun

    assert run(main()) == pytest.approx(1.0)
    assert idle(plan)


def test_wait_without_a_bound(run: Run, clock: FakeClock) -> None:
    """Granted before, granted later, and with its bound in the past."""

    async def main() -> None:
        turn = Wait("queue")
        turn.grant()
        await aio.wait(turn, clock)
        turn = Wait("queue")
        asyncio.get_running_loop().call_later(1.0, lambda: turn.grant() and turn.wake())
        await aio.wait(turn, clock)
        assert turn.granted
        turn = Wait("queue", clock() - 1)
        await aio.wait(turn, clock)
        turn.grant()
        turn.wake()  # the waiter has gone on: nobody is harmed

    run(main())


def test_destroyed_task_takes_no_lock(clock: FakeClock) -> None:
    """A coroutine that the collector destroys leaves its call to the next one, because it may hold the very lock."""
    plan = plan_of("a", limiter=Limiter(LimitOptions(concurrency=1)))
    servers = Servers(clock, {"a:1": [(5.0, Reply()), Reply()]})
    loop = VirtualLoop(clock)

    async def start() -> Any:
        coroutine = drive(plan, servers, clock)
        coroutine.send(None)
        return coroutine

    coroutine = loop.run_until_complete(start())
    assert plan.limiter is not None
    assert plan.limiter.used == 1
    with plan.cluster.lock, plan.limiter._lock:
        coroutine.close()
        del coroutine
        gc.collect()
    assert plan.limiter.used == 1
    assert loop.run_until_complete(drive(plan, servers, clock)).code == "OK"
    assert idle(plan)
    loop.close()


def test_error_before_a_retry_has_the_last_one_as_its_cause(run: Run, clock: FakeClock) -> None:
    """A retry that finds no node ends with ours; what the attempt met is its cause."""
    plan, error = plan_of("a"), BrokenError()

    async def sleep(seconds: float) -> None:
        publish(plan.cluster)

    with pytest.raises(MeshError) as caught:
        run(aio.drive(plan, Request(), Servers(clock, {"a:1": error}).asend, clock, SAFE, 0.0, sleep))
    assert caught.value.__cause__ is error
