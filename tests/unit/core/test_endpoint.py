"""Endpoint and Override: immutable values."""

from __future__ import annotations

import pytest

from meshlib.core.endpoint import Endpoint, address_text
from meshlib.core.override import Override


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [("10.0.0.1", 80, "10.0.0.1:80"), ("::1", 80, "[::1]:80"), ("a", 0, "a"), ("::1", 0, "[::1]")],
)
def test_address(host: str, port: int, text: str) -> None:
    """IPv6 in brackets, the default port left out."""
    assert address_text(host, port) == Endpoint(host=host, port=port).address == text


def test_values() -> None:
    """Defaults, the key, and that nothing can be changed."""
    endpoint = Endpoint(host="a", port=1, override=Override(host="orders", headers=(("x", "1"),)))
    assert endpoint.key == ("a", 1)
    assert (endpoint.weight, endpoint.priority, endpoint.zone, dict(endpoint.labels)) == (100.0, 0, "", {})
    for value, name in ((endpoint, "host"), (endpoint.override, "host"), (endpoint.labels, "x")):
        with pytest.raises((AttributeError, TypeError)):
            setattr(value, name, "b")
    with pytest.raises(TypeError):
        endpoint.labels["x"] = "1"  # type: ignore[index]
    assert endpoint == Endpoint(host="a", port=1, override=Override(host="orders", headers=(("x", "1"),)))
    assert Override() == Override(base_path="", query=(), credential=None, tls_name=None)
    assert hash(Override()) == hash(Override())
