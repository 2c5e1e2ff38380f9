"""Sentry replaces `send` of the clients: one span a logical call, its headers on every attempt."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.tools_kit import ATTEMPTS, CALLS, FAMILIES, ROUNDS, Exchange, alone, needs

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def scenario(family: str, before: bool) -> Any:
    """The HTTP spans of one transaction around an exchange, set up before or after meshlib is imported."""
    if not before:
        __import__("meshlib.httpx2" if family == "httpx2" else "meshlib.transport.client")
    import sentry_sdk
    from sentry_sdk.integrations.httpx import HttpxIntegration
    from sentry_sdk.integrations.httpx2 import Httpx2Integration

    events: list[Any] = []
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",
        traces_sample_rate=1.0,
        before_send_transaction=lambda event, hint: events.append(event),
        trace_propagation_targets=[".*"],
        # Both are on by themselves; named, because looking for all the others that are takes seconds.
        auto_enabling_integrations=False,
        integrations=[HttpxIntegration() if family == "httpx" else Httpx2Integration()],
    )
    with sentry_sdk.start_transaction(name="test"):
        exchange = Exchange(family).run()
    spans = [span for event in events for span in event["spans"] if span["op"] == "http.client"]
    return {
        "spans": [(span["description"], span["data"]["http.response.status_code"]) for span in spans],
        "statuses": exchange.statuses,
        "requests": len(exchange.requests),
        "marked": sum("sentry-trace" in headers for headers in exchange.requests),
    }


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_call_is_a_span(family: str, before: bool) -> None:
    """Retries are in the span of their call, and carry its trace; streams count too."""
    needs("sentry_sdk")
    seen = alone(scenario, family, before)
    assert seen["statuses"] == [200] * ROUNDS * CALLS
    names = ["GET http://orders/first", "POST http://orders/second", "GET http://orders/third"]
    assert seen["spans"] == [[name, 200] for name in names * ROUNDS]
    assert seen["requests"] == seen["marked"] == ROUNDS * ATTEMPTS
