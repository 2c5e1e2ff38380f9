"""The `otel` sink: spans, metrics and propagation by OpenTelemetry.

Only the API is used, with its global getters: the application's own providers and propagators decide what becomes of it
all and are never replaced. docs/reference/telemetry.md lists everything that is emitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshlib import __version__
from meshlib.core.listener import Event, Headers, Listener
from meshlib.telemetry.contract import Watched
from meshlib.telemetry.metrics import Metrics, shared
from meshlib.telemetry.spans import Spans

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from meshlib.core.outcome import Outcome
    from meshlib.engine.attempt import Attempt
    from meshlib.engine.call import Call

__all__ = ["OTel"]


class OTel(Listener):
    """One mesh's spans and metrics. Thread-safe. Uses `call.context` and `attempt.context`.

    The global providers are used unless others are given. Gauges stop when the listener is gone or `close` is called.
    """

    def __init__(
        self,
        watched: Watched | None = None,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._watched = Watched() if watched is None else watched
        self._spans = Spans(tracer_provider, __version__)
        if meter_provider is None:
            self._metrics = shared(__version__)
        else:
            self._metrics = Metrics(meter_provider, __version__, self._watched.clock)
        self._metrics.watch(self._watched)

    def call_started(self, call: Call) -> None:
        """Open the call's span."""
        self._spans.call_started(call)

    def attempt_started(self, call: Call, attempt: Attempt) -> Headers | None:
        """Open the attempt's span; the headers carry it to the server."""
        return self._spans.attempt_started(call, attempt)

    def attempt_finished(self, call: Call, attempt: Attempt, outcome: Outcome) -> None:
        """End the attempt's span."""
        self._spans.attempt_finished(call, attempt, outcome)

    def call_finished(self, call: Call, outcome: Outcome | None) -> None:
        """Measure the call, then end its span (whose context the measurements refer to)."""
        try:
            self._metrics.call_finished(call, outcome)
        finally:
            self._spans.call_finished(call, outcome)

    def event(self, event: Event) -> None:
        """Count it."""
        self._metrics.event(event)

    def close(self) -> None:
        """Read the mesh's state no more."""
        self._metrics.forget(self._watched)
