"""An attempt as httpcore's request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from meshlib.engine.attempt import Attempt
from meshlib.transport.outgoing import loosened, outgoing

Begun = Callable[..., Attempt]
NO_TIMEOUTS: dict[str, float | None] = {}


def test_the_address_is_the_nodes_and_the_host_the_services(begun: Begun) -> None:
    """The server cannot tell that somebody chose it."""
    request = httpx.Request("POST", "http://orders/a%20b?c=1", content=b"x")
    made, _ = outgoing(begun(request), request, NO_TIMEOUTS, 100.0)
    assert (made.url.host, made.url.port, made.url.target) == (b"10.0.0.1", 8080, b"/a%20b?c=1")
    assert dict(made.headers)[b"Host"] == b"orders"
    assert made.stream is request.stream
    assert "sni_hostname" not in made.extensions


@pytest.mark.parametrize(
    ("url", "host", "port", "expected"),
    [
        ("http://orders/", "::1", 0, (b"::1", 80)),
        ("https://orders/", "10.0.0.1", 0, (b"10.0.0.1", 443)),
        ("http://orders:8000/", "10.0.0.1", 0, (b"10.0.0.1", 8000)),
        ("http://b\u00fccher.example/", "b\u00fccher.example", 0, (b"xn--bcher-kva.example", 80)),
    ],
)
def test_ports_and_names(begun: Begun, url: str, host: str, port: int, expected: tuple[bytes, int]) -> None:
    """The endpoint's port, the URL's, the scheme's; names in ASCII."""
    request = httpx.Request("GET", url)
    made, _ = outgoing(begun(request, host=host, port=port), request, NO_TIMEOUTS, 100.0)
    assert (made.url.host, made.url.port) == expected


@pytest.mark.parametrize(
    ("url", "given", "name"),
    [
        ("https://orders/", {}, "orders"),
        ("https://orders.example./", {}, "orders.example"),
        ("https://b\u00fccher.example/", {}, "xn--bcher-kva.example"),
        ("https://orders/", {"sni_hostname": "other"}, "other"),
    ],
)
def test_tls_name(begun: Begun, url: str, given: dict[str, Any], name: str) -> None:
    """The logical one, as a certificate writes it, unless the caller knows better."""
    request = httpx.Request("GET", url, extensions=given)
    made, _ = outgoing(begun(request), request, NO_TIMEOUTS, 100.0)
    assert made.extensions["sni_hostname"] == name
    assert request.extensions == given


def test_every_timeout_is_bounded_by_the_attempt(begun: Begun) -> None:
    """And connecting by its own timeout as well."""
    attempt = begun(timeout=2.0, connect_timeout=0.5)
    made, _ = outgoing(attempt, attempt.call.request, {"connect": 5.0, "read": 1.0, "write": None}, 100.5)
    assert made.extensions["timeout"] == {"connect": 0.5, "read": 1.0, "write": 1.5, "pool": 1.5}


def test_listeners_headers_replace_the_requests(begun: Begun) -> None:
    """On the wire only: a request that is sent again starts clean."""
    request = httpx.Request("GET", "http://orders/", headers={"Traceparent": "old", "X-A": "1"})
    attempt = begun(request)
    attempt.headers = {"traceparent": "new"}
    made, _ = outgoing(attempt, request, NO_TIMEOUTS, 100.0)
    names = [name.lower() for name, _ in made.headers]
    assert names.count(b"traceparent") == 1
    assert dict(made.headers)[b"traceparent"] == b"new"
    assert request.headers["traceparent"] == "old"


def test_after_the_head_of_a_stream_only_its_own_timeouts_count(begun: Begun) -> None:
    """Between chunks, and `stream_timeout` for all of them."""
    free, bounded = begun(timeout=2.0), begun(timeout=2.0, stream_timeout=30.0)
    for attempt, left in ((free, 5.0), (bounded, 5.0)):
        _, bounds = outgoing(attempt, attempt.call.request, {"read": 5.0}, 100.0)
        loosened(bounds, attempt, 101.0)
        assert bounds[0].left(120.0) == left
    assert bounds[0].left(129.0) == 2.0
