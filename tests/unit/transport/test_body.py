"""Streamed bodies carry their attempt's lease."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from meshlib.core.outcome import OK
from meshlib.engine.attempt import Attempt
from meshlib.engine.node import Node
from meshlib.transport.body import OpenBodies, SyncLeased

Begun = Callable[..., Attempt]


class Source:
    """A stream that counts its closings; None among its parts breaks it."""

    gone: Any = OSError

    def __init__(self, *parts: bytes | None) -> None:
        self.parts = parts
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for part in self.parts:
            if part is None:
                raise self.gone("gone")
            yield part

    def close(self) -> None:
        """Once more."""
        self.closed += 1


def opened(begun: Begun, source: Source, bodies: OpenBodies) -> tuple[SyncLeased, Node]:
    """A body whose attempt succeeded and is held."""
    attempt = begun()
    attempt.call.finish(attempt, OK, 101.0)
    family = attempt.call.plan.family
    source.gone = family.module.ReadError
    body = family.leased(source, attempt, attempt.call.request, bodies, lambda error, _: error)
    assert isinstance(body, family.SyncByteStream)
    return body, attempt.node


def test_closing_gives_the_lease_back_once(begun: Begun) -> None:
    """Read or not."""
    bodies, source = OpenBodies(lambda: 102.0), Source(b"a", b"b")
    body, node = opened(begun, source, bodies)
    assert (node.in_flight, len(bodies)) == (1, 1)
    assert b"".join(body) == b"ab"
    assert node.in_flight == 1
    body.close()
    body.close()
    assert (node.in_flight, len(bodies)) == (0, 0)


def test_a_broken_body_is_the_nodes_failure(begun: Begun, http: Any) -> None:
    """Reported when it breaks, not only when it is closed."""
    bodies = OpenBodies(lambda: 102.0)
    body, node = opened(begun, Source(b"a", None), bodies)
    with pytest.raises(http.ReadError):
        list(body)
    assert (node.in_flight, node.failures) == (0, 1)
    body.close()
    assert (node.in_flight, node.failures) == (0, 1)


def test_a_dropped_body_runs_no_code_of_the_stream(begun: Begun) -> None:
    """The finaliser only leaves word; whoever comes by closes the stream."""
    bodies, source = OpenBodies(lambda: 102.0), Source(b"a", b"b")
    body, _ = opened(begun, source, bodies)
    assert next(iter(body)) == b"a"
    assert not bodies.orphaned
    del body
    gc.collect()
    assert source.closed == 0
    assert bodies.orphaned
    assert bodies.orphans() == [source]
    assert (bodies.orphans(), len(bodies)) == ([], 0)


def test_a_dropped_body_gives_its_lease_back(begun: Begun) -> None:
    """With the next look at the cluster."""
    attempt = begun()
    attempt.call.finish(attempt, OK, 101.0)
    cluster, node = attempt.call.plan.cluster, attempt.node
    bodies = OpenBodies(lambda: 102.0)
    attempt.call.plan.family.leased(Source(), attempt, attempt.call.request, bodies, lambda error, _: error)
    gc.collect()
    cluster.collect(103.0)
    assert node.in_flight == 0


def test_what_the_collector_closes_takes_no_lock(begun: Begun) -> None:
    """A generator in a cycle closes the body in its `finally`, wherever the thread stands: here inside the lock."""
    bodies, source = OpenBodies(lambda: 102.0), Source(b"a", b"b")
    body, node = opened(begun, source, bodies)
    cluster = body._attempt.call.plan.cluster

    def reading() -> Iterator[bytes]:
        try:
            yield from body
        finally:
            body.close()

    parts = reading()
    assert next(parts) == b"a"
    cycle: list[Any] = [parts]
    cycle.append(cycle)
    del parts, cycle
    with cluster.lock:
        gc.collect()
    assert (source.closed, bodies.orphaned, node.in_flight) == (0, True, 1)
    assert bodies.orphans() == [source]
    cluster.collect(103.0)
    assert node.in_flight == 0


def test_async_bodies_closed_outside_of_a_loop(begun: Begun) -> None:
    """By a generator that no loop knew of: the same."""

    class Async:
        def __aiter__(self) -> Any:
            return self

    attempt = begun()
    attempt.call.finish(attempt, OK, 101.0)
    bodies, source = OpenBodies(lambda: 102.0), Async()
    family = attempt.call.plan.family
    body = family.async_leased(source, attempt, attempt.call.request, bodies, lambda error, _: error)
    assert isinstance(body, family.AsyncByteStream)
    with pytest.raises(StopIteration):
        body.aclose().send(None)
    assert bodies.orphans() == [source]


def test_a_closed_body_leaves_no_orphan(begun: Begun) -> None:
    """Also when it is dropped afterwards; the wire hears of the closing."""
    heard: list[int] = []
    bodies, source = OpenBodies(lambda: 102.0, lambda: heard.append(1)), Source(b"a")
    body, _ = opened(begun, source, bodies)
    body.close()
    del body
    gc.collect()
    assert not bodies.orphaned
    assert (heard, source.closed) == ([1], 1)


def test_in_the_child_of_a_fork_nothing_is_touched(begun: Begun, http: Any) -> None:
    """Stream and lease are the parent's."""
    bodies, source = OpenBodies(lambda: 102.0), Source(b"a", None)
    body, node = opened(begun, source, bodies)
    bodies.forked = True
    with pytest.raises(http.ReadError):
        list(body)
    body.close()
    assert (source.closed, node.in_flight, node.failures) == (0, 1, 0)
