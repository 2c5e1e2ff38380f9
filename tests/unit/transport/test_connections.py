"""What a wire knows of its connections."""

from __future__ import annotations

import gc
import os

from meshlib.core.deadline import NEVER
from meshlib.testing import FakeClock
from meshlib.transport.connections import Connections


class Stream:
    """Stands for an open connection."""

    def __init__(self, descriptor: int) -> None:
        self.number = descriptor

    def descriptor(self) -> int:
        """A file descriptor, -1 when closed."""
        return self.number


def test_age_is_drawn_for_each_connection() -> None:
    """Relative to its birth; without `max_age` there is none."""
    ages = iter([10.0, 20.0])
    connections = Connections(lambda: 100.0, lambda: next(ages))
    assert (connections.expiry(), connections.expiry()) == (110.0, 120.0)
    assert Connections(lambda: 100.0).expiry() == float("inf")


def test_open_ones_are_counted_weakly() -> None:
    """Closed and dropped ones are not."""
    connections, one, two = Connections(), Stream(3), Stream(4)
    connections.add(one)
    connections.add(two)
    assert len(connections) == 2
    one.number = -1
    assert len(connections) == 1
    del two
    gc.collect()
    assert len(connections) == 0


def test_a_child_lets_go_of_the_descriptors() -> None:
    """They point nowhere afterwards, and no new connection is kept."""
    reading, writing = os.pipe()
    connections, stream, closed = Connections(), Stream(writing), Stream(-1)
    connections.add(stream)
    connections.add(closed)
    connections.after_in_child()
    assert os.read(reading, 1) == b""
    assert connections.retired
    assert connections.inherited
    os.close(reading)
    os.close(writing)


def test_an_older_identity_is_over_after_a_grace() -> None:
    """Counted from when the newer one was seen; connections in clear have none."""
    clock = FakeClock()
    connections, version = Connections(clock), [1]
    connections.version = lambda: version[0]
    connections.grace = 0.5
    assert not connections.over(NEVER, 1)
    version[0] = 2
    clock.advance(10.0)
    assert [connections.over(NEVER, one) for one in (1, 2, None)] == [False, False, False]
    clock.advance(0.5)
    assert [connections.over(NEVER, one) for one in (1, 2, None)] == [True, False, False]
