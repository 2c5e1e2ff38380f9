"""Listener and Fanout: nothing that a listener does reaches a call."""

from __future__ import annotations

from typing import Any

from meshlib.core.listener import Discreet, Event, Fanout, Headers, Listener
from meshlib.core.outcome import OK, Outcome


def test_base_does_nothing() -> None:
    """Every method may be left out."""
    listener = Listener()
    assert listener.call_started(None) is None  # type: ignore[func-returns-value]
    assert listener.attempt_started(None, None) is None
    assert listener.attempt_finished(None, None, OK) is None  # type: ignore[func-returns-value]
    assert listener.call_finished(None, None) is None  # type: ignore[func-returns-value]
    assert listener.event(Event("panic", "orders", 0.0, {})) is None  # type: ignore[func-returns-value]


class Noting(Listener):
    def __init__(self, headers: Any = None) -> None:
        self.told: list[str] = []
        self.headers = headers

    def call_started(self, call: Any) -> None:
        self.told.append("call_started")

    def attempt_started(self, call: Any, attempt: Any) -> Any:
        self.told.append("attempt_started")
        return self.headers

    def attempt_finished(self, call: Any, attempt: Any, outcome: Any) -> None:
        self.told.append("attempt_finished")

    def call_finished(self, call: Any, outcome: Any) -> None:
        self.told.append("call_finished")

    def event(self, event: Event) -> None:
        self.told.append("event")


class Raising(Noting):
    def __getattribute__(self, name: str) -> Any:
        if name in NAMES:
            raise ValueError(name)
        return super().__getattribute__(name)


NAMES = ["call_started", "attempt_started", "attempt_finished", "call_finished", "event"]


def everything(listener: Listener) -> Any:
    listener.call_started(None)
    headers = listener.attempt_started(None, None)
    listener.attempt_finished(None, None, OK)
    listener.call_finished(None, OK)
    listener.event(Event("panic", "orders", 0.0, {}))
    return headers


def test_all_are_told_whatever_one_raises() -> None:
    """What is raised is reported, and the next listener is told all the same."""
    reported: list[tuple[str, str]] = []
    before, after = Noting(), Noting()
    fanout = Fanout(
        [before, Raising(), after], lambda who, error: reported.append((type(who).__name__, str(error)))
    )
    everything(fanout)
    assert before.told == after.told == NAMES
    assert reported == [("Raising", name) for name in NAMES]


def test_headers_are_merged() -> None:
    """The later listener wins where names meet; no headers are None."""
    given: dict[str, str] = {"a": "1", "b": "1"}
    assert everything(Fanout([Noting(given), Noting(), Noting({"b": "2"})], print)) == {"a": "1", "b": "2"}
    assert given == {"a": "1", "b": "1"}
    assert everything(Fanout([Noting()], print)) is None


def test_garbage_for_headers() -> None:
    """A listener that returns something that is no mapping is reported like one that raises."""
    reported: list[Exception] = []
    fanout = Fanout([Noting({"a": "1"}), Noting(7), Noting([1])], lambda who, error: reported.append(error))
    assert everything(fanout) == {"a": "1"}
    assert len(reported) == 2


def test_event_repr() -> None:
    """For people."""
    assert repr(Event("panic", "orders", 1.0, {"on": True})) == "Event('panic', 'orders', {'on': True})"


def test_discreet_sees_all_and_says_nothing() -> None:
    """Every call arrives; the headers it asks for are kept."""
    seen: list[str] = []

    class Talker(Listener):
        def call_started(self, call: Any) -> None:
            seen.append("started")

        def attempt_started(self, call: Any, attempt: Any) -> Headers | None:
            seen.append("attempt")
            return {"x-secret": "1"}

        def attempt_finished(self, call: Any, attempt: Any, outcome: Outcome) -> None:
            seen.append("attempted")

        def call_finished(self, call: Any, outcome: Outcome | None) -> None:
            seen.append("finished")

        def event(self, event: Event) -> None:
            seen.append(event.kind)

    quiet = Discreet(Talker())
    quiet.call_started(None)
    assert quiet.attempt_started(None, None) is None
    quiet.attempt_finished(None, None, OK)
    quiet.call_finished(None, OK)
    quiet.event(Event("panic", "orders", 0.0, {}))
    assert seen == ["started", "attempt", "attempted", "finished", "panic"]
