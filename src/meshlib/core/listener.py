"""Listener: how telemetry, logs and users watch calls without being able to harm them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshlib.core.outcome import Outcome

__all__ = ["Discreet", "Event", "Fanout", "Headers", "Listener"]

Headers = Mapping[str, str]


class Event:
    """Something that happened outside one attempt: an ejection, a breaker transition, a new endpoint set.

    `kind` is one of breaker, ejection, restored, panic, endpoints, discovery, policy, identity, budget, hint; `service`
    names whose it is, `at` is monotonic seconds, `facts` are plain values without secrets.
    """

    __slots__ = ("at", "facts", "kind", "service")

    def __init__(self, kind: str, service: str, at: float, facts: Mapping[str, Any]) -> None:
        self.kind: str = kind
        self.service: str = service
        self.at: float = at
        self.facts: Mapping[str, Any] = facts

    def __repr__(self) -> str:
        return f"Event({self.kind!r}, {self.service!r}, {dict(self.facts)!r})"


class Listener:
    """The base of every listener; each method does nothing until overridden.

    Called by the drivers, from the calling thread or loop, never under a lock and in the order of the request.
    What a listener raises is counted and logged once and never reaches the call. `call` and `attempt` are the engine's
    own objects: read them, do not keep them.
    """

    def call_started(self, call: Any) -> None:
        """A logical call was admitted."""

    def attempt_started(self, call: Any, attempt: Any) -> Headers | None:
        """A node was picked and the attempt is about to be sent; returned headers are added to it."""
        return None

    def attempt_finished(self, call: Any, attempt: Any, outcome: Outcome) -> None:
        """The attempt was classified (at the head for a streamed response)."""

    def call_finished(self, call: Any, outcome: Outcome | None) -> None:
        """The call is over; `outcome` is None when the engine itself refused it."""

    def event(self, event: Event) -> None:
        """State changed: see Event."""


class Fanout(Listener):
    """Several listeners behind one, each call guarded: `report(listener, error)` gets what they raise, every time.

    `report` counts, says it once for each class, and must not raise itself.
    """

    def __init__(self, listeners: Iterable[Listener], report: Callable[[Listener, Exception], None]) -> None:
        every = tuple(listeners)
        self._report = report
        # Only who has something of his own to do is called: this stands in the way of every call.
        self._call_started = _doing("call_started", every)
        self._attempt_started = _doing("attempt_started", every)
        self._attempt_finished = _doing("attempt_finished", every)
        self._call_finished = _doing("call_finished", every)
        self._event = _doing("event", every)

    def call_started(self, call: Any) -> None:
        """Pass on to each."""
        for listener in self._call_started:
            try:
                listener.call_started(call)
            except Exception as error:
                self._report(listener, error)

    def attempt_started(self, call: Any, attempt: Any) -> Headers | None:
        """Pass on to each; later listeners win where header names meet."""
        merged: dict[str, str] | None = None
        for listener in self._attempt_started:
            try:
                headers = listener.attempt_started(call, attempt)
                if headers:
                    merged = {**merged, **headers} if merged else dict(headers)
            except Exception as error:
                self._report(listener, error)
        return merged

    def attempt_finished(self, call: Any, attempt: Any, outcome: Outcome) -> None:
        """Pass on to each."""
        for listener in self._attempt_finished:
            try:
                listener.attempt_finished(call, attempt, outcome)
            except Exception as error:
                self._report(listener, error)

    def call_finished(self, call: Any, outcome: Outcome | None) -> None:
        """Pass on to each."""
        for listener in self._call_finished:
            try:
                listener.call_finished(call, outcome)
            except Exception as error:
                self._report(listener, error)

    def event(self, event: Event) -> None:
        """Pass on to each."""
        for listener in self._event:
            try:
                listener.event(event)
            except Exception as error:
                self._report(listener, error)


def _doing(name: str, listeners: Iterable[Listener]) -> tuple[Listener, ...]:
    """The listeners that override this method, in their class or in themselves."""
    idle = getattr(Listener, name)
    return tuple(
        listener
        for listener in listeners
        if getattr(type(listener), name, None) is not idle or name in getattr(listener, "__dict__", ())
    )


class Discreet(Listener):
    """A listener's eyes without its voice: it sees everything, and the headers it asks for are not sent.

    For hosts that are neither named in policy nor found by discovery: what we tell our own services about a call is
    nobody else's business.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def call_started(self, call: Any) -> None:
        """Pass on."""
        self._listener.call_started(call)

    def attempt_started(self, call: Any, attempt: Any) -> Headers | None:
        """Pass on, and keep the answer."""
        self._listener.attempt_started(call, attempt)
        return None

    def attempt_finished(self, call: Any, attempt: Any, outcome: Outcome) -> None:
        """Pass on."""
        self._listener.attempt_finished(call, attempt, outcome)

    def call_finished(self, call: Any, outcome: Outcome | None) -> None:
        """Pass on."""
        self._listener.call_finished(call, outcome)

    def event(self, event: Event) -> None:
        """Pass on."""
        self._listener.event(event)
