"""Shared wires, counted by their users."""

from meshlib.runtime.pools import Pools


def test_the_last_user_gets_the_wire_back():
    """Two users share one wire; only the second to leave is told to close it."""
    pools = Pools()
    made = []
    first = pools.join("k", lambda: made.append(1) or object())
    assert pools.join("k", lambda: made.append(2) or object()) is first
    assert made == [1]
    assert pools.leave("k") is None
    assert pools.leave("k") is first
    assert pools.leave("k") is None


def test_all_tells_the_owner():
    """`all` and `taken` pair every wire with the loop it lives on; `taken` leaves none."""
    pools = Pools()
    loop = object()
    wire = pools.join("a", object, loop)
    threads = pools.join("b", object)
    assert pools.all() == [(wire, loop), (threads, None)]
    assert pools.taken() == [(wire, loop), (threads, None)]
    assert pools.all() == []
