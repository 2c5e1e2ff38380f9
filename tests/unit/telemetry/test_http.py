"""What is read from a request."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from meshlib.telemetry.http import HttpFacts, http_facts, is_http, known_methods

KNOWN = known_methods()


@pytest.mark.parametrize(
    ("url", "host", "port", "shown"),
    [
        ("http://orders/a?token=1#f", "orders", 80, "http://orders/a"),
        ("https://user:pass@orders/a", "orders", 443, "https://orders/a"),
        ("http://orders:8080", "orders", 8080, "http://orders:8080"),
        ("http://[::1]:81/x", "::1", 81, "http://[::1]:81/x"),
    ],
)
def test_httpx_request(url: str, host: str, port: int, shown: str) -> None:
    """Host, port and a URL without secrets come from an httpx request as it is."""
    facts = http_facts(None, httpx.Request("POST", url), KNOWN)
    assert facts is not None
    assert (facts.method, facts.original, facts.host, facts.port, facts.url) == (
        "POST",
        "",
        host,
        port,
        shown,
    )


def test_no_http() -> None:
    """Other requests have no facts."""
    assert http_facts(None, b"PING", KNOWN) is None
    assert not is_http(None)


def test_family_knows_better() -> None:
    """A family's own description wins."""

    class Family:
        def describe_http(self, request: Any) -> HttpFacts:
            return HttpFacts("GET", "", "billing", 8443, lambda: "https://billing/x?secret=1")

    facts = http_facts(Family(), b"", KNOWN)
    assert facts is not None
    assert (facts.host, facts.url) == ("billing", "https://billing/x")


def test_known_methods_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The conventions' variable replaces the list."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET, BREW,")
    assert known_methods() == {"GET", "BREW"}
