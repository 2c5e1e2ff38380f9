"""ScriptedTransport."""

import asyncio
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from meshlib.core.endpoint import Endpoint
from meshlib.testing import HANG, FakeClock, Reply, ScriptedTransport, VirtualLoop, after

A, B = "10.0.0.1:80", "10.0.0.2:80"


def attempt(address: str = A, until: float = inf) -> Any:
    """What a transport reads of an attempt."""
    host, _, port = address.partition(":")
    node = SimpleNamespace(endpoint=Endpoint(host=host, port=int(port)))
    return SimpleNamespace(node=node, until=until, sent=False, head=0.0)


def test_answers_by_node_in_order() -> None:
    """Each node has its own script; exceptions are raised; requests are on record."""
    ok, busy = Reply(), Reply("UNAVAILABLE")
    transport = ScriptedTransport({A: [busy, ConnectionResetError("cut"), ok], B: [ok]})
    assert transport.send(attempt(A), "first") is busy
    with pytest.raises(ConnectionResetError, match="cut"):
        transport.send(attempt(A), "second")
    assert transport.send(attempt(B), "third") is ok
    assert transport.send(attempt(A), "fourth") is ok
    assert transport.send(attempt(A), "fifth") is ok
    assert transport.counts == {A: 4, B: 1}
    assert [(sent.address, sent.request) for sent in transport.sent][:3] == [
        (A, "first"),
        (A, "second"),
        (B, "third"),
    ]
    assert transport.in_flight == 0


def test_default_answer() -> None:
    """A node without a script answers OK, or what the test said."""
    assert ScriptedTransport().send(attempt(), None).status == "OK"
    assert ScriptedTransport(default="x").send(attempt(), None) == "x"


def test_functions_answer() -> None:
    """A function sees attempt and request; `on` replaces what was there."""
    transport = ScriptedTransport({A: lambda attempt, request: Reply(messages=[request])})
    assert transport.send(attempt(), "ping").message == "ping"
    transport.on(A, lambda attempt, request: OSError)
    with pytest.raises(OSError):  # noqa: PT011 - the class alone was scripted
        transport.send(attempt(), "ping")
    transport.on(A, "x", "y")
    assert [transport.send(attempt(), "ping") for _ in range(3)] == ["x", "y", "y"]


def test_latency_passes_on_the_clock() -> None:
    """The clock is later when the answer comes, and the head says when."""
    clock = FakeClock()
    transport = ScriptedTransport({A: [after(0.2, "slow")]}, clock=clock)
    trying = attempt()
    assert transport.send(trying, None) == "slow"
    assert (clock(), trying.head, trying.sent) == (1000.2, 1000.2, True)


@pytest.mark.parametrize("answer", [after(5.0, "late"), HANG])
def test_attempt_has_an_end(answer: Any) -> None:
    """An answer later than the attempt's end is a timeout at that moment."""
    clock = FakeClock()
    transport = ScriptedTransport({A: [answer]}, clock=clock)
    trying = attempt(until=1000.5)
    with pytest.raises(TimeoutError, match=r"no answer within 0\.5 s"):
        transport.send(trying, None)
    assert (clock(), trying.head, trying.sent) == (1000.5, 0.0, True)


def test_refused_connect_sends_nothing() -> None:
    """The request of a refused connection has not left."""
    transport = ScriptedTransport({A: [after(0.1, ConnectionRefusedError())]})
    trying = attempt()
    with pytest.raises(ConnectionRefusedError):
        transport.send(trying, None)
    assert not trying.sent


def test_async_attempts_overlap() -> None:
    """On a VirtualLoop two attempts take as long as the slower one."""
    clock = FakeClock(0.0)
    transport = ScriptedTransport({A: [after(3.0, "a")], B: [after(2.0, "b")]}, clock=clock)
    loop = VirtualLoop(clock)

    async def main() -> list[Any]:
        return await asyncio.gather(
            transport.asend(attempt(A), 1), transport.asend(attempt(B), 2), transport.asend(attempt(B), 3)
        )

    try:
        assert loop.run_until_complete(main()) == ["a", "b", "b"]
    finally:
        loop.close()
    assert clock() == 3.0
    assert (transport.most_in_flight, transport.in_flight) == (3, 0)


def test_cancelled_attempt_leaves() -> None:
    """Cancelling gives the place in flight back."""
    transport = ScriptedTransport({A: [HANG]})

    async def main() -> None:
        task = asyncio.create_task(transport.asend(attempt(), None))
        await asyncio.sleep(0)
        assert transport.in_flight == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert transport.in_flight == 0
