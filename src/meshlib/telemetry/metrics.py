"""Metrics: the instruments, one set a process, shared by its meshes.

An SDK takes the callbacks of an observable instrument from its first registration only, so a set a mesh would leave
all but the first without numbers. Logical metrics (`meshlib.*`: calls, with their retries) and wire metrics
(`http.client.request.duration`: attempts) are separate instruments and never added up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

from meshlib.telemetry import names
from meshlib.telemetry.gauges import Reading, read_states
from meshlib.telemetry.http import http_facts, known_methods
from meshlib.telemetry.labels import word_of
from meshlib.telemetry.tally import Tally
from meshlib.world import fork

if TYPE_CHECKING:
    from meshlib.core.listener import Event
    from meshlib.core.outcome import Outcome
    from meshlib.engine.call import Call
    from meshlib.telemetry.contract import Watched

__all__ = ["Metrics", "shared"]

_FRESH = 0.5
"""Seconds for which one look at the states serves all gauges: an exporter asks for them one after the other."""
_LOOK = 1.0
"""Seconds between looks for a provider that the application may have set meanwhile."""
_KEPT = 4096
"""Sets of attributes kept for the wire histogram."""
# Private to the API and only worth something as a short cut: without it everything is recorded, to nobody.
_PROXY = getattr(getattr(metrics, "_internal", None), "_ProxyMeterProvider", None)

_COUNTERS = (
    (names.CALLS, "{call}", "Logical calls that were admitted, by outcome."),
    (names.ATTEMPTS, "{attempt}", "Attempts sent to endpoints, by outcome."),
    (names.RETRIES, "{attempt}", "Attempts beyond the first of their call."),
    (names.REFUSALS, "{call}", "Calls and retries refused by meshlib itself, by reason."),
    (names.BREAKER_TRANSITIONS, "{transition}", "Changes of a circuit breaker, by the state entered."),
    (names.EJECTIONS, "{ejection}", "Endpoints taken out by outlier ejection."),
    (names.DISCOVERY_UPDATES, "{update}", "Endpoint sets that were published."),
    (names.POLICY_REFUSALS, "{refusal}", "Policy documents that were refused."),
)
_LEVELS = (
    (names.ENDPOINTS, "{endpoint}", "Endpoints known, by state."),
    (names.IN_FLIGHT, "{attempt}", "Attempts in flight."),
)
_GAUGES = (
    (names.BUDGET_BALANCE, "{retry}", "Retries that the retry budget would grant now."),
    (names.BREAKER_STATE, "1", "1 for the state that the circuit breaker is in, 0 for the others."),
    (names.DISCOVERY_AGE, "s", "Time since discovery last confirmed the endpoints."),
    (names.POLICY_AGE, "s", "Time since the policy in force was received."),
)


class Metrics:
    """The metric half of the `otel` sink. Thread-safe. Meshes are held weakly: what nobody else keeps is no longer read."""

    def __init__(
        self,
        provider: MeterProvider | None = None,
        version: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tally = Tally()
        self._clock = clock
        self._watched: WeakSet[Watched] = WeakSet()
        self._lock = Lock()
        self._reading: Reading = {}
        self._read_at = -_FRESH
        self._methods = known_methods()
        self._wire: dict[tuple[str, str, int, int, str], dict[str, Any]] = {}
        self._global = provider is None
        self._live = not self._global
        self._look = 0.0
        meter = metrics.get_meter(names.SCOPE, version, provider, names.SCHEMA_URL)
        self._duration = meter.create_histogram(
            names.CALL_DURATION,
            unit="s",
            description="Duration of logical calls, retries and pauses included.",
            explicit_bucket_boundaries_advisory=names.DURATION_BUCKETS,
        )
        self._request = meter.create_histogram(
            names.HTTP_CLIENT_REQUEST_DURATION,
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=names.DURATION_BUCKETS,
        )
        self._observe(meter)
        fork.watch(self)

    def after_in_child(self) -> None:
        """The inherited lock may be held by a thread that does not exist here."""
        self._lock = Lock()

    def watch(self, watched: Watched) -> None:
        """Read this mesh's state, too."""
        with self._lock:
            self._watched.add(watched)

    def forget(self, watched: Watched) -> None:
        """Read it no more."""
        with self._lock:
            self._watched.discard(watched)

    # --- calls and events ------------------------------------------------------------------------------------------------

    def call_finished(self, call: Call, outcome: Outcome | None) -> None:
        """Count the call and its attempts; time them when somebody collects."""
        word = word_of(call, outcome)[0]
        series = self._tally.add(call, word)
        if self._global and call.started >= self._look:
            self._look = call.started + _LOOK
            self._live = metrics.get_meter_provider().__class__ is not _PROXY
        if self._live:
            own: Any = call.context
            context = None if own is None else own.context
            end = call.ended or (call.last.finished if call.last is not None else 0.0) or call.now
            self._duration.record(max(0.0, end - call.started), series.timed(word), context)
            if call.last is not None:
                self._time_attempts(call, context)

    def event(self, event: Event) -> None:
        """Count what happened. Endpoint addresses and reasons in free text stay out: they would be series without end."""
        service, facts, count = (names.SERVICE, event.service), event.facts, self._tally.event
        if event.kind == "refusal":
            count(names.REFUSALS, service, (names.REASON, str(facts.get("reason", ""))))
        elif event.kind == "breaker":
            state, kind = str(facts.get("to", "")), str(facts.get("kind", ""))
            count(names.BREAKER_TRANSITIONS, service, (names.STATE, state), (names.BREAKER_KIND, kind))
        elif event.kind == "ejection":
            count(names.EJECTIONS, service)
        elif event.kind == "endpoints":
            count(names.DISCOVERY_UPDATES, service)
        elif event.kind == "policy" and facts.get("error"):
            count(names.POLICY_REFUSALS)

    def _time_attempts(self, call: Call, context: Any) -> None:
        facts = http_facts(call.plan.family, call.request, self._methods)
        if facts is None:
            return
        attempt = call.last
        while attempt is not None:
            outcome = attempt.outcome
            status = 0 if outcome is None else outcome.status
            error = "" if outcome is None or outcome.ok or status else outcome.cause
            key = (facts.method, facts.host, facts.port, status, error)
            attributes = self._wire.get(key) or self._kept(key)
            self._request.record(max(0.0, attempt.finished - attempt.started), attributes, context)
            attempt = attempt.previous

    def _kept(self, key: tuple[str, str, int, int, str]) -> dict[str, Any]:
        method, host, port, status, error = key
        attributes: dict[str, Any] = {names.HTTP_REQUEST_METHOD: method, names.SERVER_ADDRESS: host}
        if port:
            attributes[names.SERVER_PORT] = port
        if status:
            attributes[names.HTTP_RESPONSE_STATUS_CODE] = status
        if status >= 400 or error:
            attributes[names.ERROR_TYPE] = error or str(status)
        if len(self._wire) >= _KEPT:
            self._wire.clear()
        self._wire[key] = attributes
        return attributes

    # --- collection ------------------------------------------------------------------------------------------------------

    def _observe(self, meter: Meter) -> None:
        for name, unit, description in _COUNTERS:
            meter.create_observable_counter(name, [self._counted(name)], unit, description)
        for name, unit, description in _LEVELS:
            meter.create_observable_up_down_counter(name, [self._gauged(name)], unit, description)
        for name, unit, description in _GAUGES:
            meter.create_observable_gauge(name, [self._gauged(name)], unit, description)

    def _counted(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterator[Observation]:
            for count, attributes in self._tally.read(name):
                yield Observation(count, attributes)

        return observe

    def _gauged(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterator[Observation]:
            for labels, value in self._states().get(name, {}).items():
                yield Observation(value, dict(labels))

        return observe

    def _states(self) -> Reading:
        now = self._clock()
        if now - self._read_at >= _FRESH:
            with self._lock:
                watched = list(self._watched)
            # Outside the lock: `state` is the runtime's code.
            self._reading = read_states([one.state() for one in watched])
            self._read_at = now
        return self._reading


_shared: list[Metrics] = []
_making = Lock()


def shared(version: str) -> Metrics:
    """The process's instruments on the globally configured provider, made at first use."""
    with _making:
        if not _shared:
            _shared.append(Metrics(None, version))
        return _shared[0]
