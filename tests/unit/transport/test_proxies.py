"""Environment proxies are for passed-through hosts."""

from __future__ import annotations

import pytest

from meshlib.transport.proxies import proxy_for


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy for each scheme, one for the rest, and exceptions."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("http_proxy", "proxy:3128")
    monkeypatch.setenv("https_proxy", "http://secure:3129")
    monkeypatch.setenv("no_proxy", "inside.example")


@pytest.mark.parametrize(
    ("passed", "trust", "expected"),
    [
        (("http", "a.example"), True, "http://proxy:3128"),
        (("https", "a.example"), True, "http://secure:3129"),
        (("http", "inside.example"), True, None),
        (("http", "a.example"), False, None),
        (None, True, None),
    ],
)
def test_which_proxy(passed: tuple[str, str] | None, trust: bool, expected: str | None) -> None:
    """By scheme, with its exceptions, and never for a balanced service."""
    assert proxy_for(passed, trust) == expected


def test_all_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a scheme that has none of its own."""
    monkeypatch.delenv("http_proxy")
    monkeypatch.setenv("all_proxy", "socks5://socks:1080")
    assert proxy_for(("http", "a.example"), True) == "socks5://socks:1080"
