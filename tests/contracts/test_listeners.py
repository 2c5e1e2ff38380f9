"""What every registered listener keeps, and what no listener can do."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from meshlib.balancing import BALANCERS
from meshlib.core.endpoint import Endpoint
from meshlib.core.listener import Event, Fanout, Listener
from meshlib.core.outcome import OK, Outcome
from meshlib.core.snapshot import EndpointSet
from meshlib.drivers import aio, sync
from meshlib.engine import BUFFERED, CallPlan, Cluster
from meshlib.telemetry import LISTENERS, Watched
from meshlib.testing import FakeClock, ScriptedTransport

KINDS = (
    "breaker",
    "ejection",
    "restored",
    "panic",
    "endpoints",
    "discovery",
    "policy",
    "budget",
    "hint",
    "refusal",
    "new",
)


class Family:
    """A protocol with nothing but good replies."""

    errors = None
    transport_errors: tuple[type[BaseException], ...] = ()

    def classify(self, reply: Any) -> Outcome:
        return OK

    def classify_error(self, error: BaseException, attempt: Any) -> Outcome:
        raise AssertionError


class Raising(Listener):
    """Raises wherever it can."""

    def call_started(self, call: Any) -> None:
        raise ValueError("call_started")

    def attempt_started(self, call: Any, attempt: Any) -> None:
        raise ValueError("attempt_started")

    def attempt_finished(self, call: Any, attempt: Any, outcome: Outcome) -> None:
        raise ValueError("attempt_finished")

    def call_finished(self, call: Any, outcome: Outcome | None) -> None:
        raise ValueError("call_finished")

    def event(self, event: Event) -> None:
        raise ValueError("event")


def plan(listener: Listener, clock: FakeClock) -> CallPlan:
    random = Random(1).random
    balancer = BALANCERS.get("random")
    cluster = Cluster("orders", balancer(balancer.options()), random)
    for _ in cluster.apply(EndpointSet((Endpoint(host="10.0.0.1", port=80),)), clock()):
        pass
    family: Any = Family()
    return CallPlan("orders", cluster, family, random, timeout=5.0, listener=listener)


@pytest.fixture(params=list(LISTENERS))
def listener(request: pytest.FixtureRequest) -> Listener:
    return LISTENERS.get(request.param)(Watched(dict, FakeClock()))


def test_follows_a_call(listener: Listener) -> None:
    """A registered listener follows a call without an exception, on a request it knows nothing of."""
    raised: list[Exception] = []
    clock = FakeClock()
    guarded = Fanout([listener], lambda listener, error: raised.append(error))
    sync.drive(plan(guarded, clock), object(), ScriptedTransport(clock=clock).send, clock)
    assert raised == []


def test_takes_any_event(listener: Listener) -> None:
    """Events without facts, and of kinds that do not exist yet, are taken in silence."""
    for kind in KINDS:
        listener.event(Event(kind, "orders", 1.0, {}))


def test_leaves_nothing_behind(listener: Listener) -> None:
    """After the call the listener holds on to neither call nor attempt."""
    clock = FakeClock()
    compiled = plan(listener, clock)
    call = sync.opened(compiled, object(), clock(), 0, 0.0)
    attempt: Any = call.begin(clock())
    listener.attempt_started(call, attempt)
    call.finish(attempt, OK, clock())
    listener.attempt_finished(call, attempt, OK)
    call.close(clock())
    listener.call_finished(call, call.outcome)
    assert call.context is None
    assert attempt.context is None


def test_raising_listener_harms_no_call(listener: Listener) -> None:
    """Whatever a listener raises, the call runs, the other listener sees all of it, each error is reported."""
    raised: list[str] = []
    clock = FakeClock()
    fanout = Fanout([Raising(), listener, Raising()], lambda listener, error: raised.append(str(error)))
    compiled = plan(fanout, clock)
    compiled.events.append(Event("panic", "orders", 0.0, {"on": True}))
    transport = ScriptedTransport(clock=clock, default="fine")
    assert sync.drive(compiled, object(), transport.send, clock, BUFFERED) == "fine"
    told = ["call_started", "attempt_started", "attempt_finished", "call_finished", "event"]
    assert sorted(raised) == sorted(2 * told)
    assert next(iter(compiled.cluster.nodes.values())).in_flight == 0


@pytest.mark.asyncio
async def test_raising_listener_harms_no_async_call() -> None:
    """The same for the asyncio driver."""
    raised: list[str] = []
    clock = FakeClock()
    compiled = plan(Fanout([Raising()], lambda listener, error: raised.append(str(error))), clock)
    transport = ScriptedTransport(clock=clock, default="fine")
    assert await aio.drive(compiled, object(), transport.asend, clock) == "fine"
    assert raised == ["call_started", "attempt_started", "attempt_finished", "call_finished"]
