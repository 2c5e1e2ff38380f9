"""httpcore's errors as httpx's."""

from __future__ import annotations

import httpcore
import httpx
import pytest

from meshlib.transport.translate import HTTPCORE_ERRORS, translate


@pytest.mark.parametrize("kind", HTTPCORE_ERRORS)
def test_by_name(kind: type[Exception]) -> None:
    """Text and request come along."""
    request = httpx.Request("GET", "http://orders/")
    error = translate(kind("why"), request)
    assert type(error).__name__ == kind.__name__
    assert isinstance(error, httpx.TransportError)
    assert str(error) == "why"
    assert error.request is request


def test_subclasses_and_strangers() -> None:
    """A subclass counts as its base; what is not httpcore's stays as it is."""

    class Odd(httpcore.ReadError):
        """A kind of read error."""

    request = httpx.Request("GET", "http://orders/")
    assert type(translate(Odd(), request)) is httpx.ReadError
    stranger = ValueError()
    assert translate(stranger, request) is stranger
