"""Spans: an INTERNAL one for the logical call, a CLIENT one for each attempt, and the trace context on the wire.

Cost decides the shape. When the call's span does not record, no attempt span is made and the call's context is written into
headers once, whatever the number of attempts; without any SDK only a context that came from elsewhere is passed on.

An attempt's context is made current while it is sent, so that logs and instrumentations below find their parent. It is put
back by setting the former context, never with the token: a token is bound to the task (contextvars.Context) that made it,
and an attempt may end in another one. A context that somebody else has set meanwhile is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.propagate import get_global_textmap
from opentelemetry.trace import ProxyTracerProvider, Span, SpanKind, Status, StatusCode

from meshlib.core.outcome import CANCELLED, Kind, Outcome
from meshlib.telemetry import names
from meshlib.telemetry.http import HttpFacts, http_facts, is_http, known_methods
from meshlib.telemetry.labels import cluster_label, word_of
from meshlib.telemetry.suppress import silenced, suppressed

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider
    from opentelemetry.util.types import AttributeValue

    from meshlib.core.listener import Headers
    from meshlib.engine.attempt import Attempt
    from meshlib.engine.call import Call

__all__ = ["Spans"]

_OPENINGS = 4096
"""Names kept: services times routes times clusters. Beyond it they are made anew."""


class _CallTrace:
    """Kept in `call.context`. `span` is None when it does not record."""

    __slots__ = ("context", "facts", "headers", "inner", "known", "span")

    def __init__(self, span: Span | None, context: Context) -> None:
        self.span = span
        self.context = context
        self.headers: dict[str, str] | None = None
        self.inner: Context | None = None
        self.facts: HttpFacts | None = None
        self.known = False


class _AttemptTrace:
    """Kept in `attempt.context` while the attempt is under way."""

    __slots__ = ("context", "former", "span")

    def __init__(self, span: Span | None, context: Context, former: Context) -> None:
        self.span = span
        self.context = context
        self.former = former


_SILENT = _CallTrace(None, Context())


def _unset() -> bool:
    """Whether the application has set no global provider. Asked for every call, so the API's own getter is the second way: it
    looks into the environment first, which costs more than all the rest of a call without tracing."""
    try:
        return trace._TRACER_PROVIDER is None
    except AttributeError:
        return trace.get_tracer_provider().__class__ is ProxyTracerProvider


class Spans:
    """The tracing half of the `otel` sink. Thread-safe; keeps nothing of a call outside `call.context` and `attempt.context`.

    Without a `provider` the global one is used, whenever the application sets it.
    """

    def __init__(self, provider: TracerProvider | None = None, version: str = "") -> None:
        self._global = provider is None
        trace.get_tracer_provider()  # loads the one that the environment names, if it names one
        self._tracer = trace.get_tracer(names.SCOPE, version, provider, names.SCHEMA_URL)
        self._methods = known_methods()
        self._openings: dict[tuple[str, str, str, str], tuple[str, dict[str, AttributeValue]]] = {}

    # --- the call ----------------------------------------------------------------------------------------------------

    def call_started(self, call: Call) -> None:
        """Open the call's span, when there is a provider and nobody asked for silence."""
        if self._global and _unset():
            return
        current = get_current()
        if silenced(current):
            call.context = _SILENT
            return
        name, attributes = self._opening(call)
        span = self._tracer.start_span(name, current, SpanKind.INTERNAL, attributes)
        call.context = _CallTrace(
            span if span.is_recording() else None, trace.set_span_in_context(span, current)
        )

    def call_finished(self, call: Call, outcome: Outcome | None) -> None:
        """End the call's span, and before it every attempt's that was left open (cancelled, or ended by an alien error)."""
        attempt = call.last
        while attempt is not None:
            if attempt.context is not None:
                self.attempt_finished(call, attempt, attempt.outcome or CANCELLED)
            attempt = attempt.previous
        own: Any = call.context
        call.context = None
        if own is None or own.span is None:
            return
        span: Span = own.span
        word, verdict = word_of(call, outcome)
        # In one go: each set_attribute takes the span's lock.
        attributes: dict[str, AttributeValue] = {names.OUTCOME: word, names.ATTEMPTS_MADE: call.made}
        if call.stop is not None and call.stop.phrase:
            attributes[names.STOP] = call.stop.word
        if verdict is None:
            attributes[names.ERROR_TYPE] = word
            span.set_status(Status(StatusCode.ERROR, "ended before any attempt"))
        elif not verdict.ok:
            _fail(span, verdict, attributes)
        span.set_attributes(attributes)
        span.end()

    def _opening(self, call: Call) -> tuple[str, dict[str, AttributeValue]]:
        """The span's name and first attributes, made once a (service, route, cluster)."""
        plan = call.plan
        cluster = plan.cluster
        key = (plan.service, plan.route, cluster.name, cluster.subset)
        found = self._openings.get(key)
        if found is None:
            attributes: dict[str, AttributeValue] = {names.SERVICE: plan.service}
            if plan.route:
                attributes[names.ROUTE] = plan.route
            attributes[names.CLUSTER] = cluster_label(cluster)
            if len(self._openings) >= _OPENINGS:
                self._openings.clear()
            found = self._openings[key] = (f"{names.CALL_SPAN} {plan.service}", attributes)
        return found

    # --- the attempt -------------------------------------------------------------------------------------------------

    def attempt_started(self, call: Call, attempt: Attempt) -> Headers | None:
        """Open the attempt's span, make it current, and return the headers that carry it."""
        own: Any = call.context
        if own is None or own is _SILENT:
            return _passed_on(call) if own is None else None
        if own.span is None:
            return _unsampled(own, call, attempt)
        name, attributes, http = self._attempt_opening(own, call, attempt)
        span = self._tracer.start_span(name, own.context, SpanKind.CLIENT, attributes)
        context = trace.set_span_in_context(span, own.context)
        headers: dict[str, str] = {}
        get_global_textmap().inject(headers, context)
        _enter(attempt, span, suppressed(context) if http else context)
        return headers

    def attempt_finished(self, call: Call, attempt: Attempt, outcome: Outcome) -> None:
        """End the attempt's span and give the former context back."""
        own: Any = attempt.context
        if own is None:
            return
        attempt.context = None
        if get_current() is own.context:
            attach(own.former)
        span: Span | None = own.span
        if span is None:
            return
        attributes: dict[str, AttributeValue] = {names.OUTCOME: outcome.kind._value_}
        version = getattr(attempt, "protocol", "")
        if version:
            attributes[names.NETWORK_PROTOCOL_VERSION] = version
        if outcome.status:
            attributes[names.HTTP_RESPONSE_STATUS_CODE] = outcome.status
        if outcome.status >= 400:
            # The code says it all, so there is no description (HTTP conventions, "Status").
            attributes[names.ERROR_TYPE] = str(outcome.status)
            span.set_status(Status(StatusCode.ERROR))
        elif not outcome.ok:
            _fail(span, outcome, attributes)
        span.set_attributes(attributes)
        span.end()

    def _attempt_opening(
        self, own: _CallTrace, call: Call, attempt: Attempt
    ) -> tuple[str, dict[str, AttributeValue], bool]:
        plan, node = call.plan, attempt.node
        if not own.known:
            own.known = True
            own.facts = http_facts(plan.family, call.request, self._methods)
        facts = own.facts
        attributes: dict[str, AttributeValue] = {names.SERVICE: plan.service}
        port = node.port
        if facts is None:
            name = f"{names.ATTEMPT_SPAN} {plan.service}"
            host, _, written = plan.service.rpartition(":")
            attributes[names.SERVER_ADDRESS] = host if host and written.isdigit() else plan.service
            attributes[names.ATTEMPT_NUMBER] = attempt.number
        else:
            name = "HTTP" if facts.original else facts.method
            _describe(facts, attributes)
            port = port or facts.port
            if attempt.number > 1:
                attributes[names.HTTP_REQUEST_RESEND_COUNT] = attempt.number - 1
        attributes[names.NETWORK_PEER_ADDRESS] = node.host
        if port:
            attributes[names.NETWORK_PEER_PORT] = port
        return name, attributes, facts is not None


def _describe(facts: HttpFacts, attributes: dict[str, AttributeValue]) -> None:
    attributes[names.HTTP_REQUEST_METHOD] = facts.method
    if facts.original:
        attributes[names.HTTP_REQUEST_METHOD_ORIGINAL] = facts.original
    attributes[names.SERVER_ADDRESS] = facts.host
    if facts.port:
        attributes[names.SERVER_PORT] = facts.port
    attributes[names.URL_FULL] = facts.url


def _passed_on(call: Call) -> Headers | None:
    """Nobody traces here, but a context that came with an inbound request travels on (W3C Trace Context 3.2)."""
    current = get_current()
    if not current or silenced(current):
        return None
    headers: dict[str, str] = {}
    get_global_textmap().inject(headers, current)
    return headers or None


def _unsampled(own: _CallTrace, call: Call, attempt: Attempt) -> Headers:
    """No span: the call's context is written once and serves every attempt."""
    headers, inner = own.headers, own.inner
    if headers is None or inner is None:
        headers = own.headers = {}
        get_global_textmap().inject(headers, own.context)
        # Others must not trace it either: without the parent's decision they would sample it anew and write other headers.
        inner = own.inner = suppressed(own.context) if is_http(call.request) else own.context
    _enter(attempt, None, inner)
    return headers


def _enter(attempt: Attempt, span: Span | None, context: Context) -> None:
    attempt.context = _AttemptTrace(span, context, get_current())
    attach(context)


def _fail(span: Span, outcome: Outcome, attributes: dict[str, AttributeValue]) -> None:
    attributes[names.ERROR_TYPE] = outcome.cause
    # What the caller took back, and what we refused to do, is nobody's error.
    if outcome.kind is not Kind.IGNORED:
        span.set_status(Status(StatusCode.ERROR, outcome.text))
