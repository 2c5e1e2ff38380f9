"""Wait: a turn is never lost and never given twice."""

from __future__ import annotations

from meshlib.core.wait import Wait


def test_grant_then_wake() -> None:
    """Granted under the owner's lock, woken after it."""
    woken: list[str] = []
    wait = Wait("queue", 5.0)
    assert not wait.attach(lambda: woken.append("x"))
    assert wait.grant()
    assert woken == []
    assert wait.granted
    wait.wake()
    wait.wake()
    assert woken == ["x"]


def test_granted_before_attached() -> None:
    """The waiter is told that it need not wait."""
    wait = Wait("queue")
    wait.grant()
    wait.wake()
    assert wait.attach(lambda: None)


def test_grant_is_refused_by_who_has_left() -> None:
    """An abandoned turn, and one given already, are not taken up."""
    wait = Wait("queue")
    wait.abandon()
    assert not wait.grant()
    assert not wait.granted
    other = Wait("queue")
    assert other.grant()
    assert not other.grant()


def test_abandoned_turn_is_handed_back_once() -> None:
    """Only a turn that was granted, and only once."""
    back: list[str] = []
    wait = Wait("queue", returned=lambda: back.append("x"))
    wait.grant()
    wait.abandon()
    wait.abandon()
    assert back == ["x"]
    Wait("queue", returned=lambda: back.append("y")).abandon()
    assert back == ["x"]


def test_closed_loop_hands_back() -> None:
    """A waker that raises RuntimeError belongs to a closed loop: the turn passes on."""
    back: list[str] = []
    wait = Wait("queue", returned=lambda: back.append("x"))

    def closed() -> None:
        raise RuntimeError("Event loop is closed")

    wait.attach(closed)
    wait.grant()
    wait.wake()
    assert back == ["x"]
    assert not wait.granted
