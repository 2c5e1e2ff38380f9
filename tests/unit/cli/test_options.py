"""Options that commands share."""

from __future__ import annotations

import argparse

import pytest

from meshlib.cli.options import headers_of, mesh_of, seconds, url_of
from meshlib.errors import ConfigError


def test_headers() -> None:
    """Name and value, trimmed; a value may hold colons and a name may come twice."""
    assert headers_of(["A: b:c", "A:d"]) == [("A", "b:c"), ("A", "d")]
    with pytest.raises(ConfigError, match="Name: value"):
        headers_of(["nonsense"])


@pytest.mark.parametrize(("text", "value"), [("2", 2.0), ("250ms", 0.25), ("1m", 60.0)])
def test_seconds(text: str, value: float) -> None:
    """Durations as documents write them."""
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "1e9"])
def test_no_seconds(text: str) -> None:
    """What is no duration above 0 is wrong usage."""
    with pytest.raises(argparse.ArgumentTypeError):
        seconds(text)


def test_short_url() -> None:
    """A scheme may be left out."""
    assert url_of("orders/v1") == "http://orders/v1"
    assert url_of("https://orders") == "https://orders"


def test_discovery_is_the_targets() -> None:
    """--discovery speaks of the one service that is called."""
    options = argparse.Namespace(config=None, discovery="static://10.0.0.1:80")
    with mesh_of(options, "http://orders/x", telemetry=False) as mesh:
        assert mesh.explain("orders").facts["discovery"]["source"] == "static://10.0.0.1:80"
        assert mesh.explain("shop").facts["discovery"]["source"] == "dns://shop"
