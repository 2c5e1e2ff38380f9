"""The `log` sink: what changes state, once and rate-limited, under the standard library's logger `meshlib`.

Calls and attempts are not logged: that is what traces and metrics are for. A library configures no logging, so the logger has
a NullHandler and nothing else; its lines go where the application's go.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from meshlib.core.listener import Event, Listener
from meshlib.core.uri import redact_url
from meshlib.resilience.retry import Stop
from meshlib.telemetry.contract import Watched
from meshlib.telemetry.throttle import Throttle

if TYPE_CHECKING:
    from meshlib.core.outcome import Outcome
    from meshlib.engine.call import Call

__all__ = ["INTERVAL", "LOGGER", "Failures", "Log"]

LOGGER = logging.getLogger("meshlib")
LOGGER.addHandler(logging.NullHandler())

INTERVAL = 30.0
"""Seconds in which one subject (a breaker's state, an endpoint, a source) is worth one line."""

_Line = tuple[int, str, str]
"""Level, subject, text."""


class Log(Listener):
    """Writes one line a change, at most one in `interval` seconds for the same kind, service and subject.

    Structured handlers find `meshlib_event`, `meshlib_service` and `meshlib_facts` on the record. Thread-safe.
    """

    def __init__(self, watched: Watched | None = None, *, interval: float = INTERVAL) -> None:
        clock = (Watched() if watched is None else watched).clock
        self._throttle = Throttle(interval, clock)
        self._troubled: set[str] = set()
        self._fed: set[str] = set()

    def call_finished(self, call: Call, outcome: Outcome | None) -> None:
        """Say when retries are held back by an exhausted budget."""
        if call.stop is Stop.BUDGET:
            text = "the retry budget is exhausted: failed attempts are not repeated"
            self._say("budget", call.plan.service, (logging.WARNING, "", text), {})

    def event(self, event: Event) -> None:
        """Say what changed."""
        describe = _LINES.get(event.kind)
        facts = {key: _plain(value) for key, value in event.facts.items()}
        if event.kind == "endpoints":
            line = self._endpoints(event.service, facts)
        elif event.kind == "discovery":
            line = self._discovery(event.service, facts)
        elif describe is not None:
            line = describe(facts)
        else:
            return
        if line is not None:
            self._say(event.kind, event.service, line, facts)

    def _endpoints(self, service: str, facts: Mapping[str, Any]) -> _Line | None:
        """Only the first set is news; a set that became empty is trouble."""
        count, source = facts.get("now"), facts.get("source", "")
        if count == 0:
            return logging.WARNING, "empty", f"{source} lists no endpoint any more"
        if service in self._fed:
            return None
        self._fed.add(service)
        return logging.INFO, "first", f"{count} endpoint{'' if count == 1 else 's'} from {source}"

    def _discovery(self, service: str, facts: Mapping[str, Any]) -> _Line | None:
        problem = facts.get("problem")
        if problem:
            self._troubled.add(service)
            return logging.WARNING, "problem", f"discovery: {problem}; endpoints known before stay in use"
        if service not in self._troubled:
            return None
        self._troubled.discard(service)
        return logging.INFO, "recovered", "discovery works again"

    def _say(self, kind: str, service: str, line: _Line, facts: Mapping[str, Any]) -> None:
        level, subject, text = line
        if not LOGGER.isEnabledFor(level):
            return
        left_out = self._throttle.admit(kind, service, subject)
        if left_out is None:
            return
        more = f" ({left_out} more like it since)" if left_out else ""
        extra = {"meshlib_event": kind, "meshlib_service": service, "meshlib_facts": dict(facts)}
        LOGGER.log(level, "%s%s%s", f"{service}: " if service else "", text, more, extra=extra)


class Failures:
    """What listeners raise, for `Fanout`: counted in `counts` by class, the first of each class logged with its traceback.

    Thread-safe; counts may be a little low when threads meet, which is cheaper than a lock and good enough to see.
    """

    def __init__(self) -> None:
        self.counts: dict[type[Listener], int] = {}

    def __call__(self, listener: Listener, error: Exception) -> None:
        """A listener raised."""
        kind = type(listener)
        known = self.counts.setdefault(kind, 0)
        self.counts[kind] = known + 1
        if not known:
            text = "the listener %s raised %s; the call goes on, and further errors of it are only counted"
            extra = {
                "meshlib_event": "listener",
                "meshlib_service": "",
                "meshlib_facts": {"error": type(error).__name__},
            }
            LOGGER.warning(text, kind.__name__, type(error).__name__, exc_info=error, extra=extra)


def _breaker(facts: Mapping[str, Any]) -> _Line | None:
    to, reason = facts.get("to"), facts.get("reason", "")
    what = "" if facts.get("kind", "service") == "service" else f"{facts.get('kind')} "
    if to == "open":
        return logging.WARNING, "open", f"the {what}circuit breaker opened: {reason}"
    if to == "half-open":
        return logging.INFO, "half-open", f"the {what}circuit breaker is half-open and probes"
    return logging.INFO, "closed", f"the {what}circuit breaker closed: {reason}"


def _ejection(facts: Mapping[str, Any]) -> _Line | None:
    node, seconds = facts.get("node", ""), facts.get("seconds", 0.0)
    text = f"{node} ejected for {seconds:.1f} s: {facts.get('reason', '')} ({facts.get('out')} of {facts.get('nodes')} are out)"
    return logging.WARNING, str(node), text


def _restored(facts: Mapping[str, Any]) -> _Line | None:
    node = facts.get("node", "")
    return logging.INFO, str(node), f"{node} is back ({facts.get('out')} of {facts.get('nodes')} are out)"


def _panic(facts: Mapping[str, Any]) -> _Line | None:
    out, nodes = facts.get("out"), facts.get("nodes")
    if facts.get("on"):
        return logging.WARNING, "on", f"panic: {out} of {nodes} endpoints would be out, so all are used"
    return logging.INFO, "off", f"panic is over: {out} of {nodes} endpoints are out"


def _policy(facts: Mapping[str, Any]) -> _Line | None:
    if facts.get("error"):
        text = f"policy refused, the last good one stays: {facts['error']}"
        return logging.WARNING, str(facts.get("source", "")), text
    version = facts.get("version")
    return logging.INFO, f"in force {version}", f"policy {version} from {facts.get('source', '')} is in force"


def _identity(facts: Mapping[str, Any]) -> _Line | None:
    source = facts.get("source", "")
    if facts.get("error"):
        return logging.WARNING, str(source), f"tls: {facts['error']}; what is in force stays so"
    if "error" in facts:
        return logging.INFO, f"{source} mended", f"tls: {source} is in order again"
    who = f" is {facts['spiffe_id']}" if facts.get("spiffe_id") else ""
    return logging.INFO, f"{source} {facts.get('version')}", f"tls: {source}{who}, a new version is in force"


_LINES: dict[str, Callable[[Mapping[str, Any]], _Line | None]] = {
    "breaker": _breaker,
    "ejection": _ejection,
    "restored": _restored,
    "panic": _panic,
    "policy": _policy,
    "identity": _identity,
}


def _plain(value: Any) -> Any:
    """Text in one line and with its URLs redacted: facts may quote what a name server or a document said."""
    if not isinstance(value, str):
        return value
    return " ".join(redact_url(word) if "://" in word else word for word in _printable(value).split())


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
