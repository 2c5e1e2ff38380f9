"""An attempt as a request of the pools' library."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from meshlib.engine.attempt import Attempt
from meshlib.transport.binding import Binding
from meshlib.transport.handshake import ClientTls
from meshlib.transport.outgoing import loosened, outgoing

Begun = Callable[..., Attempt]


def test_the_url_is_the_services(binding: Binding, begun: Begun) -> None:
    """Neither the server nor a tool in the pools can tell that somebody chose the node; the backend knows its address."""
    request = binding.Request("POST", "http://orders/a%20b?c=1", content=b"x")
    made, _ = outgoing(binding.pooling, begun(request), request, None, 100.0)
    assert (made.url.host, made.url.port, made.url.target) == (b"orders", 80, b"/a%20b?c=1")
    assert dict(made.headers)[b"Host"] == b"orders"
    assert made.stream is request.stream
    assert "sni_hostname" not in made.extensions


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://orders:8000/", (b"orders", 8000)),
        ("http://b\u00fccher.example/", (b"xn--bcher-kva.example", 80)),
    ],
)
def test_ports_and_names(binding: Binding, begun: Begun, url: str, expected: tuple[bytes, int]) -> None:
    """The URL's port, else the scheme's; names in ASCII."""
    request = binding.Request("GET", url)
    made, _ = outgoing(binding.pooling, begun(request, port=0), request, None, 100.0)
    assert (made.url.host, made.url.port) == expected


def test_a_secured_connection_asks_for_its_name(binding: Binding, begun: Begun) -> None:
    """And says how it is secured to whoever makes it; the URL may be http://."""
    tls = ClientTls(ssl.create_default_context(), "orders")
    given = {"sni_hostname": "other"}
    request = binding.Request("GET", "http://orders/", extensions=given)
    made, _ = outgoing(binding.pooling, begun(request, port=0), request, tls, 100.0)
    assert made.extensions["sni_hostname"] == "orders"
    assert (made.url.scheme, made.url.port) == (b"https", 443)
    assert made.extensions["timeout"]["connect"].tls is tls
    assert made.extensions["timeout"]["read"].tls is None
    assert request.extensions == given


def test_every_timeout_is_bounded_by_the_attempt(binding: Binding, begun: Begun) -> None:
    """And connecting by its own timeout as well."""
    request = binding.Request("GET", "http://orders/")
    request.extensions = {"timeout": {"connect": 5.0, "read": 1.0, "write": None}}
    attempt = begun(request, timeout=2.0, connect_timeout=0.5)
    made, _ = outgoing(binding.pooling, attempt, request, None, 100.5)
    assert made.extensions["timeout"] == {"connect": 0.5, "read": 1.0, "write": 1.5, "pool": 1.5}


def test_listeners_headers_replace_the_requests(binding: Binding, begun: Begun) -> None:
    """On the wire only: a request that is sent again starts clean."""
    request = binding.Request("GET", "http://orders/", headers={"Traceparent": "old", "X-A": "1"})
    attempt = begun(request)
    attempt.headers = {"traceparent": "new"}
    made, _ = outgoing(binding.pooling, attempt, request, None, 100.0)
    names = [name.lower() for name, _ in made.headers]
    assert names.count(b"traceparent") == 1
    assert dict(made.headers)[b"traceparent"] == b"new"
    assert request.headers["traceparent"] == "old"


def test_after_the_head_of_a_stream_only_its_own_timeouts_count(binding: Binding, begun: Begun) -> None:
    """Between chunks, and `stream_timeout` for all of them."""
    request = binding.Request("GET", "http://orders/", extensions={"timeout": {"read": 5.0}})
    free, bounded = begun(request, timeout=2.0), begun(request, timeout=2.0, stream_timeout=30.0)
    for attempt, left in ((free, 5.0), (bounded, 5.0)):
        _, bounds = outgoing(binding.pooling, attempt, attempt.call.request, None, 100.0)
        loosened(bounds, attempt, 101.0)
        assert bounds[0].left(120.0) == left
    assert bounds[0].left(129.0) == 2.0
