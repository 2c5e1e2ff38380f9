"""Building the listener."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib.core.listener import Event, Listener
from meshlib.errors import ConfigError
from meshlib.telemetry import LISTENERS, Watched, listeners


class Seen(Listener):
    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)


def test_names_and_extra() -> None:
    """Named sinks are made with what they watch, the user's own come after them, doubles are made once."""
    made: list[Watched] = []

    def factory(watched: Watched) -> Listener:
        made.append(watched)
        return Seen()

    LISTENERS.register("seen", factory)
    try:
        watched, own = Watched(), Seen()
        fanout = listeners(["seen", "seen"], watched, [own])
    finally:
        LISTENERS._members.pop("seen")
    assert made == [watched]
    fanout.event(Event("panic", "orders", 0.0, {}))
    assert len(own.events) == 1


def test_unknown_name() -> None:
    """The error lists the known ones."""
    with pytest.raises(ConfigError, match="known are log, otel; did you mean 'otel'"):
        listeners(["otle"])


def test_failures_are_reported_by_default(caplog: pytest.LogCaptureFixture) -> None:
    """Without a report of the caller's own the failure is logged."""

    class Broken(Listener):
        def event(self, event: Event) -> None:
            raise ValueError("bad")

    fanout = listeners([], extra=[Broken()])
    fanout.event(Event("panic", "orders", 0.0, {}))
    fanout.event(Event("panic", "orders", 0.0, {}))
    assert len(caplog.records) == 1


def test_report_of_the_callers_own() -> None:
    """A given report gets listener and error."""

    class Broken(Listener):
        def event(self, event: Event) -> None:
            raise ValueError("bad")

    told: list[Any] = []
    broken = Broken()
    fanout = listeners([], extra=[broken], report=lambda listener, error: told.append((listener, str(error))))
    fanout.event(Event("panic", "orders", 0.0, {}))
    assert told == [(broken, "bad")]
