"""The engine knows no HTTP: a call family without any goes through every feature, sync and async alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from meshlib.core.listener import Listener
from meshlib.drivers import aio, sync
from meshlib.engine import BUFFERED, HOP, IDEMPOTENT, REPLAYABLE
from meshlib.resilience import (
    BreakerOptions,
    BudgetOptions,
    CircuitBreaker,
    EjectionOptions,
    Limiter,
    LimitOptions,
    OutlierDetector,
    RetryBudget,
)
from meshlib.testing import FakeClock, VirtualLoop
from tests.rpc import (
    RPC,
    BrokenError,
    BusyError,
    Reply,
    Request,
    RpcError,
    Servers,
    Stream,
    UnreachableError,
    idle,
    plan_of,
)

SAFE = IDEMPOTENT | REPLAYABLE | BUFFERED
Drive = Callable[..., Any]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000.0)


@pytest.fixture(params=["sync", "async"])
def drive(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[Drive]:
    """One call through one of the drivers."""
    loop = VirtualLoop(clock)

    def driven(plan: Any, servers: Servers, flags: int = SAFE, call: Request | None = None) -> Any:
        asked = call or Request()
        if request.param == "sync":
            return sync.drive(plan, asked, servers.send, clock, flags, 0.0, clock.sleep)
        return loop.run_until_complete(aio.drive(plan, asked, servers.asend, clock, flags, 0.0, clock.asleep))

    yield driven
    loop.close()


def everywhere(answer: Any) -> dict[str, Any]:
    return {f"{host}:1": answer for host in "abc"}


def test_unary_with_metadata(drive: Drive, clock: FakeClock) -> None:
    """The caller's metadata and a listener's reach the server, the reply's comes back."""

    class Tracing(Listener):
        def attempt_started(self, call: Any, attempt: Any) -> dict[str, str]:
            return {"traceparent": "00-1"}

    plan = plan_of("a", listener=Tracing())
    servers = Servers(
        clock, everywhere(lambda attempt, request: Reply(message=request.message * 2, served="a"))
    )
    reply = drive(plan, servers, SAFE, Request("math.Double", 21, tenant="t1"))
    assert (reply.message, reply.metadata) == (42, {"served": "a"})
    [(_, _, metadata)] = servers.sent
    assert metadata == {"tenant": "t1", "traceparent": "00-1"}


@pytest.mark.parametrize("code", ["OK", "NOT_FOUND", "INVALID_ARGUMENT"])
def test_good_codes(drive: Drive, clock: FakeClock, code: str) -> None:
    """An answer that is the caller's business is one attempt and a success."""
    plan = plan_of("a", "b")
    servers = Servers(clock, everywhere(lambda attempt, request: Reply(code)))
    assert drive(plan, servers).code == code
    assert len(servers.sent) == 1


def test_retried_code(drive: Drive, clock: FakeClock) -> None:
    """UNAVAILABLE moves on to another node; INTERNAL, which policy does not list, comes back."""
    plan = plan_of("a", "b", "c")
    servers = Servers(clock, {**everywhere(Reply()), "a:1": Reply("UNAVAILABLE")})
    for _ in range(3):
        assert drive(plan, servers).code == "OK"
    internal = Servers(clock, everywhere(lambda attempt, request: Reply("INTERNAL")))
    assert drive(plan, internal).code == "INTERNAL"
    assert len(internal.sent) == 1


def test_not_idempotent(drive: Drive, clock: FakeClock) -> None:
    """Only what was not sent is repeated."""
    plan = plan_of("a", "b", "c")
    with pytest.raises(BrokenError) as caught:
        drive(plan, Servers(clock, everywhere(BrokenError("reset"))), REPLAYABLE | BUFFERED)
    assert caught.value.request.method == "orders.Get"
    servers = Servers(clock, everywhere(UnreachableError()))
    with pytest.raises(RPC.errors.AttemptsExhaustedError):
        drive(plan, servers, REPLAYABLE | BUFFERED)
    assert sorted(address for address, *_ in servers.sent) == ["a:1", "b:1", "c:1"]


def test_pushback(drive: Drive, clock: FakeClock) -> None:
    """RESOURCE_EXHAUSTED with a wish is obeyed to the second; a negative one ends the call."""
    script = [Reply("RESOURCE_EXHAUSTED", **{"retry-pushback": "2.5"}), Reply()]
    begun = clock()
    assert drive(plan_of("a", "b"), Servers(clock, everywhere(lambda a, r: script.pop(0)))).code == "OK"
    assert clock() - begun == pytest.approx(2.5)
    never = Servers(clock, everywhere(lambda a, r: Reply("RESOURCE_EXHAUSTED", **{"retry-pushback": "-1"})))
    assert drive(plan_of("a", "b"), never).code == "RESOURCE_EXHAUSTED"
    assert len(never.sent) == 1


def test_local_trouble(drive: Drive, clock: FakeClock) -> None:
    """No free connection in this process: not retried, not held against the node."""
    plan = plan_of("a", "b")
    servers = Servers(clock, everywhere(BusyError()))
    with pytest.raises(BusyError):
        drive(plan, servers)
    assert len(servers.sent) == 1
    assert not any(node.failures for node in plan.cluster.nodes.values())


def test_stream(drive: Drive, clock: FakeClock) -> None:
    """The lease lasts to the last message."""
    plan = plan_of("a", limiter=Limiter(LimitOptions(concurrency=1)))
    reply = drive(plan, Servers(clock, {"a:1": ["x", "y"]}), IDEMPOTENT | REPLAYABLE)
    assert isinstance(reply, Stream)
    with pytest.raises(RPC.errors.LimitExceededError):
        drive(plan, Servers(clock))
    assert list(reply) == ["x", "y"]
    assert idle(plan)


def test_stream_that_breaks(drive: Drive, clock: FakeClock) -> None:
    """A failure in the body is the node's, and is not retried."""
    plan = plan_of("a")
    servers = Servers(clock, {"a:1": ["x", BrokenError()]})
    reply = drive(plan, servers, IDEMPOTENT | REPLAYABLE)
    with pytest.raises(BrokenError):
        list(reply)
    assert len(servers.sent) == 1
    assert plan.cluster.nodes["a", 1].failures == 1
    assert idle(plan)


def test_stream_that_is_dropped(drive: Drive, clock: FakeClock) -> None:
    """A reply that nobody reads gives its lease back by way of the next call, under a full limit too."""
    plan = plan_of("a", limiter=Limiter(LimitOptions(concurrency=1)))
    servers = Servers(clock, {"a:1": ["x"]})
    drive(plan, servers, IDEMPOTENT | REPLAYABLE)
    servers.replies.clear()
    drive(plan, Servers(clock))
    assert idle(plan)


def test_deadline(drive: Drive, clock: FakeClock) -> None:
    """A server that hangs costs the deadline, and not more than a tick above it."""
    plan, begun = plan_of("a", "b", timeout=1.0), clock()
    with pytest.raises(RPC.errors.DeadlineExceededError) as caught:
        drive(plan, Servers(clock, everywhere((60.0, Reply()))))
    assert isinstance(caught.value, RpcError)
    assert caught.value.code == "DEADLINE_EXCEEDED"
    assert 1.0 <= clock() - begun <= 1.01 + 1e-6
    assert idle(plan)


def test_breaker(drive: Drive, clock: FakeClock) -> None:
    """Three bad calls open it; later one probe closes it."""
    breaker = CircuitBreaker("orders", BreakerOptions(consecutive_failures=3, open_for=2.0), lambda: 0.5)
    plan = plan_of("a", breaker=breaker, retry=None)
    for _ in range(3):
        drive(plan, Servers(clock, everywhere(Reply("UNAVAILABLE"))))
    with pytest.raises(RPC.errors.CircuitOpenError):
        drive(plan, Servers(clock))
    clock.advance(2.0)
    assert drive(plan, Servers(clock)).code == "OK"
    assert breaker.state.value == "closed"


def test_budget(drive: Drive, clock: FakeClock) -> None:
    """A tenth: of ten failing calls one is retried; hops pay nothing in."""
    plan = plan_of("a", "b", budget=RetryBudget(BudgetOptions(ratio=0.1, floor=0.0)), max_attempts=2)
    servers = Servers(clock, everywhere(UnreachableError()))
    for _ in range(10):
        with pytest.raises(RpcError):
            drive(plan, servers)
    assert len(servers.sent) == 11
    for _ in range(20):
        with pytest.raises(RpcError):
            drive(plan, servers, SAFE | HOP)
    assert len(servers.sent) == 31


def test_ejection(drive: Drive, clock: FakeClock) -> None:
    """A bad node among good ones gets no more traffic, until its probe."""
    detector = OutlierDetector(EjectionOptions(consecutive_failures=2, base=5.0, jitter=0.0), lambda: 0.5)
    plan = plan_of("a", "b", "c", detector=detector)
    servers = Servers(clock, {**everywhere(Reply()), "a:1": Reply("UNAVAILABLE")})
    for _ in range(30):
        assert drive(plan, servers).code == "OK"
    assert sum(address == "a:1" for address, *_ in servers.sent) == 2
    assert plan.cluster.nodes["a", 1].state(clock()) == "ejected"
    clock.advance(5.0)
    servers.answers["a:1"] = Reply()
    for _ in range(30):
        drive(plan, servers)
    assert sum(address == "a:1" for address, *_ in servers.sent) > 8
    assert plan.cluster.nodes["a", 1].state(clock()) == "ready"


def test_no_http_is_imported() -> None:
    """Neither engine nor drivers nor this family bring an HTTP library along."""
    import subprocess
    import sys

    code = "import sys, tests.rpc, meshlib.drivers.aio, meshlib.drivers.attempts; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"httpx", "httpcore", "http.client", "grpc", "opentelemetry"} & set(loaded)
