"""Errors of the pools as the family's."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib.transport.binding import Binding

NAMES = ["ConnectError", "ConnectTimeout", "LocalProtocolError", "PoolTimeout", "ProxyError", "ReadError"]
NAMES += ["ReadTimeout", "RemoteProtocolError", "UnsupportedProtocol", "WriteError", "WriteTimeout"]


@pytest.mark.parametrize("name", NAMES)
def test_by_name(http: Any, binding: Binding, name: str) -> None:
    """Text and request come along."""
    request = http.Request("GET", "http://orders/")
    error: Any = binding.pooling.translate(getattr(binding.pooling.module, name)("why"), request)
    assert type(error) is getattr(http, name)
    assert isinstance(error, http.TransportError)
    assert str(error) == "why"
    assert error.request is request


def test_nothing_else_is_translated(binding: Binding) -> None:
    """Those are all that a wire has to catch."""
    assert sorted(kind.__name__ for kind in binding.pooling.errors) == NAMES


def test_subclasses_and_strangers(http: Any, binding: Binding) -> None:
    """A subclass counts as its base; what is not the library's stays as it is."""

    class Odd(binding.pooling.module.ReadError):  # type: ignore[misc]
        """A kind of read error."""

    request, translate = http.Request("GET", "http://orders/"), binding.pooling.translate
    assert type(translate(Odd(), request)) is http.ReadError
    stranger = ValueError()
    assert translate(stranger, request) is stranger
