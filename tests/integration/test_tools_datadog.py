"""Datadog replaces `send` and `_send_single_request` of the clients: one span a logical call, its headers on every attempt."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.tools_kit import ATTEMPTS, CALLS, FAMILIES, ROUNDS, Exchange, alone, needs

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

QUIET = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_CRASHTRACKING_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false",
}


def scenario(family: str, before: bool) -> Any:
    """The HTTP spans of an exchange, patched before or after meshlib is imported."""
    if not before:
        __import__("meshlib.httpx2" if family == "httpx2" else "meshlib.transport.client")
    import ddtrace
    from ddtrace.trace import TraceFilter, tracer

    spans: list[Any] = []

    class Kept(TraceFilter):
        def process_trace(self, trace: Any) -> None:
            spans.extend(span for span in trace if span.name == "http.request")

    tracer.configure(trace_processors=[Kept()])
    ddtrace.patch(**{family: True})
    with tracer.trace("test"):
        exchange = Exchange(family).run()
    return {
        "spans": [
            (span.get_tag("http.method"), span.get_tag("http.url"), span.get_tag("http.status_code"))
            for span in sorted(spans, key=lambda span: span.start)
        ],
        "statuses": exchange.statuses,
        "requests": len(exchange.requests),
        "marked": sum("x-datadog-trace-id" in headers for headers in exchange.requests),
    }


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_call_is_a_span(family: str, before: bool) -> None:
    """Retries are in the span of their call, and carry its trace; streams count too."""
    needs("ddtrace")
    seen = alone(scenario, family, before, **QUIET)
    assert seen["statuses"] == [200] * ROUNDS * CALLS
    calls = [("GET", "first"), ("POST", "second"), ("GET", "third")]
    assert seen["spans"] == [[method, f"http://orders/{path}", "200"] for method, path in calls * ROUNDS]
    assert seen["requests"] == seen["marked"] == ROUNDS * ATTEMPTS
