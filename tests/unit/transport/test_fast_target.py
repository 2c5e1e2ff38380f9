"""Targets without parsing."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib.transport import fast_target
from meshlib.transport.fast_target import Place, Places, below, query
from tests.fast_clients import FAMILIES, Family

families = pytest.mark.parametrize("family", FAMILIES, ids=repr)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("/v1/orders", b"/api/v1/orders"),
        ("v1/orders", b"/api/v1/orders"),
        ("/", b"/api/"),
        ("", b"/api/"),
        ("?a=1", b"/api/?a=1"),
        ("/a?", b"/api/a?"),
        ("/a//b", b"/api/a//b"),
        ("/a%2Fb?c=%20", b"/api/a%2Fb?c=%20"),
        ("/a:b", b"/api/a:b"),
    ],
)
def test_plain_urls_are_joined(url: str, target: bytes) -> None:
    """Below the base URL's path."""
    assert below(b"/api/", url) == target
    assert below(b"/", url) == target.removeprefix(b"/api")


@pytest.mark.parametrize(
    "url",
    [
        "//host/a",
        "a:b",
        "./a",
        "../a",
        "/a/../b",
        "/a/.",
        "/a b",
        "/ü",
        "/a#b",
        '/"',
        "/a\n",
        "/|",
        "/" + "a" * 9000,
    ],
)
def test_others_are_parsed(url: str) -> None:
    """By the family."""
    assert below(b"/", url) is None


def test_queries() -> None:
    """Plain values only; the rest is the family's."""
    assert query({"a": 1, "b": "x y", "c": True, "d": False, "e&": "ü", "f": "-._~", "g": -2}) == (
        b"a=1&b=x+y&c=true&d=false&e%26=%C3%BC&f=-._~&g=-2"
    )
    assert query({"a": ["1", "2"]}) is None
    assert query({"a": None}) is None
    assert query({"a": 1.5}) is None
    assert query({1: "a"}) is None


@families
def test_origins(family: Family) -> None:
    """As the family reads them."""
    place = Place(family.module.URL("https://ORDERS:8443/api/"))
    assert (place.origin, place.prefix, place.host) == (
        ("https", "orders", 8443),
        b"/api/",
        b"Host: orders:8443\r\n",
    )
    for url in ("", "/api/", "http://u:p@orders/", "ftp://orders/", "http://orders/a?b/", "http://orders/a"):
        with pytest.raises(ValueError, match="not a"):
            Place(family.module.URL(url))


@families
def test_absolute_urls(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their authorities are parsed once, and a bounded number is kept."""
    places = Places(family.module)
    found: Any = places.absolute("http://orders:80/v1?x=1")
    assert found[0].origin == ("http", "orders", None)
    assert found[1] == b"/v1?x=1"
    assert places.absolute("http://orders:80/")[0] is found[0]  # type: ignore[index]
    for url in (
        "http://orders",
        "http://orders?a=/b",
        "http://orders#a/b",
        "http://u@orders/",
        "http://orders:no/",
        "http://999.1.1.1/",
        "http:////a",
        "ftp://orders/",
        "http://orders/a/../b",
    ):
        assert places.absolute(url) is None, url
    monkeypatch.setattr(fast_target, "_KEPT", 2)
    assert places.of("http://orders:80") is found[0]
    assert places.of("http://new") is not None
    assert places.of("http://orders:80") is not found[0]
