"""Sessions: the newest of each peer, so many at most."""

from __future__ import annotations

from meshlib.security import session as module
from meshlib.security.session import Sessions


def test_the_oldest_goes_first(monkeypatch):
    """Putting again makes a peer young."""
    monkeypatch.setattr(module, "MOST", 3)
    sessions = Sessions()
    for peer, session in [("a", 1), ("b", 2), ("c", 3), ("a", 4), ("d", 5)]:
        sessions.put(peer, session)
    assert [sessions.get(peer) for peer in "abcd"] == [4, None, 3, 5]
    assert len(sessions) == 3
