"""OpenTelemetry's instrumentation replaces `handle_request` of the family's transports: it sees every attempt.

Where meshlib makes the spans itself it asks for silence by OpenTelemetry's own key, so that each attempt has one CLIENT span and
not two. `instrument_client` wraps the transport of one client instead, which is the mesh: there it sees every logical call.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from tests.integration.tools_kit import ATTEMPTS, CALLS, FAMILIES, ROUNDS, Exchange, alone, needs

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

TOOL = "opentelemetry.instrumentation.httpx"
QUIET = {"OTEL_SEMCONV_STABILITY_OPT_IN": "http"}


def provided() -> tuple[Any, Any]:
    """A tracer provider and the list of what it is told."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    return provider, kept


def instrumentor(family: str) -> Any:
    """The family's."""
    from opentelemetry.instrumentation import httpx

    return httpx.HTTPXClientInstrumentor if family == "httpx" else httpx.HTTPX2ClientInstrumentor


def summary(kept: Any, exchange: Exchange) -> dict[str, Any]:
    """CLIENT spans by who made them, with the address they name, and whose span the server was told of."""
    found = [span for span in kept.get_finished_spans() if span.kind.name == "CLIENT"]
    own = {f"{span.context.span_id:016x}" for span in found}
    return {
        "spans": [
            (
                span.instrumentation_scope.name.partition(".")[0],
                span.attributes["server.address"],
                span.attributes["http.response.status_code"],
            )
            for span in sorted(found, key=lambda span: span.start_time)
        ],
        "statuses": exchange.statuses,
        "requests": len(exchange.requests),
        "marked": sum(headers.get("traceparent", "--").split("-")[2] in own for headers in exchange.requests),
    }


def on_the_class(family: str, before: bool) -> Any:
    """Instrumented with a provider of its own: meshlib makes no spans."""
    if not before:
        __import__("meshlib.httpx2" if family == "httpx2" else "meshlib.transport.client")
    provider, kept = provided()
    instrumentor(family)().instrument(tracer_provider=provider)
    return summary(kept, Exchange(family).run())


def with_meshlibs_own(family: str) -> Any:
    """Both on the global provider, the instrumentation with a hook."""
    from opentelemetry import trace

    provider, kept = provided()
    trace.set_tracer_provider(provider)
    hooked: list[Any] = []
    instrumentor(family)().instrument(request_hook=lambda span, request: hooked.append(request))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = summary(kept, Exchange(family).run())
    return {**found, "hooked": len(hooked), "warnings": [str(one.message) for one in caught]}


def on_one_client(family: str) -> Any:
    """Only the clients of this exchange, with a provider of its own."""
    provider, kept = provided()
    exchange = Exchange(family).run(
        lambda client: instrumentor(family).instrument_client(client, tracer_provider=provider)
    )
    return summary(kept, exchange)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_attempt_is_a_span(family: str, before: bool) -> None:
    """One for each attempt, under the service's name, and the server is told of that very span."""
    needs(TOOL)
    seen = alone(on_the_class, family, before, **QUIET)
    assert seen["statuses"] == [200] * ROUNDS * CALLS
    assert seen["spans"] == [["opentelemetry", "orders", status] for status in [503, 200, 200, 200] * ROUNDS]
    assert seen["requests"] == seen["marked"] == ROUNDS * ATTEMPTS


@pytest.mark.parametrize("family", FAMILIES)
def test_no_attempt_is_two_spans(family: str) -> None:
    """With meshlib's tracing on the spans are meshlib's, one an attempt, and the hook that nobody calls is warned of."""
    needs(TOOL)
    seen = alone(with_meshlibs_own, family, **QUIET)
    assert seen["spans"] == [["meshlib", "orders", status] for status in [503, 200, 200, 200] * ROUNDS]
    assert seen["requests"] == seen["marked"] == ROUNDS * ATTEMPTS
    assert seen["hooked"] == 0
    [said] = seen["warnings"]
    assert "opentelemetry-instrumentation-httpx" in said
    assert "Mesh(telemetry=False)" in said


@pytest.mark.parametrize("family", FAMILIES)
def test_one_instrumented_client(family: str) -> None:
    """One span a logical call, and all its attempts carry it."""
    needs(TOOL)
    seen = alone(on_one_client, family, **QUIET)
    assert seen["spans"] == [["opentelemetry", "orders", 200]] * ROUNDS * CALLS
    assert seen["requests"] == seen["marked"] == ROUNDS * ATTEMPTS
