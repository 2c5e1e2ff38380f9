"""How connections are secured: policy first, then the URL and the client."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from meshlib.engine.attempt import Attempt
from meshlib.transport.binding import Binding
from meshlib.transport.handshake import ClientTls, Handshakes

Begun = Callable[..., Attempt]


class Policy:
    """A service's security that secures what it is told to."""

    def __init__(self, secured: object | None) -> None:
        self.secured = secured
        self.version = 7
        self.asked: list[tuple[Any, ...]] = []

    def connection(self, *asked: Any) -> Any:
        self.asked.append(asked[1:])
        return self.secured


def made(binding: Binding, policy: Any = None) -> tuple[Handshakes, list[ssl.SSLContext]]:
    contexts: list[ssl.SSLContext] = []

    def context() -> ssl.SSLContext:
        contexts.append(ssl.create_default_context())
        return contexts[-1]

    return Handshakes(binding, lambda: policy, context, ("http/1.1",)), contexts


def test_http_is_in_clear(binding: Binding, begun: Begun) -> None:
    """And makes no context."""
    handshakes, contexts = made(binding)
    request = binding.Request("GET", "http://orders/")
    assert handshakes.of(begun(request), request) is None
    assert not contexts


@pytest.mark.parametrize(
    ("url", "given", "name"),
    [
        ("https://orders/", {}, "orders"),
        ("https://orders.example./", {}, "orders.example"),
        ("https://b\u00fccher.example/", {}, "xn--bcher-kva.example"),
        ("https://orders/", {"sni_hostname": "other"}, "other"),
    ],
)
def test_the_name_of_https(
    binding: Binding, begun: Begun, url: str, given: dict[str, Any], name: str
) -> None:
    """The logical one, as a certificate writes it, unless the caller knows better."""
    handshakes, _ = made(binding)
    request = binding.Request("GET", url, extensions=given)
    tls = handshakes.of(begun(request), request)
    assert tls is not None
    assert tls.server_hostname == name


def test_one_context_for_all_names(binding: Binding, begun: Begun) -> None:
    """Made once, and each name keeps its session."""
    handshakes, contexts = made(binding)
    one, two = (binding.Request("GET", f"https://{host}/") for host in ("a", "b"))
    first = handshakes.of(begun(one), one)
    assert handshakes.of(begun(two), two) is not first
    assert handshakes.of(begun(one), one) is first
    assert len(contexts) == 1


def test_policy_comes_first(binding: Binding, begun: Begun) -> None:
    """It may secure what the URL writes as http://."""
    secured = SimpleNamespace()
    policy = Policy(secured)
    handshakes, contexts = made(binding, policy)
    request = binding.Request("GET", "http://orders/")
    assert handshakes.of(begun(request), request) is secured  # type: ignore[comparison-overlap]
    assert policy.asked == [("http", "orders", ("http/1.1",))]
    assert handshakes.version == 7
    assert not contexts


def test_policy_may_leave_it_to_the_url(binding: Binding, begun: Begun) -> None:
    """In clear for http, the client's own for https."""
    handshakes, _ = made(binding, Policy(None))
    clear, secure = (binding.Request("GET", f"{scheme}://orders/") for scheme in ("http", "https"))
    assert handshakes.of(begun(clear), clear) is None
    assert isinstance(handshakes.of(begun(secure), secure), ClientTls)


def test_an_odd_scheme_is_refused(binding: Binding, begun: Begun) -> None:
    """As the family refuses it."""
    handshakes, _ = made(binding)
    request = binding.Request("GET", "ftp://orders/")
    with pytest.raises(binding.module.UnsupportedProtocol, match="ftp://"):
        handshakes.of(begun(request), request)


def test_sessions_are_kept_for_the_next_connection() -> None:
    """If the server gave a ticket for them."""
    tls: Any = ClientTls(ssl.create_default_context(), "orders")
    assert tls.session is None
    tls.check(SimpleNamespace())
    for session in (None, SimpleNamespace(has_ticket=False)):
        tls.remember(SimpleNamespace(session=session))
        assert tls.session is None
    given = SimpleNamespace(has_ticket=True)
    tls.remember(SimpleNamespace(session=given))
    assert tls.session is given
