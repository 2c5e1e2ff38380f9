"""Targets: what a resolver is asked to watch."""

from __future__ import annotations

import pytest

from meshlib.core.uri import parse
from meshlib.discovery import Target, find
from meshlib.errors import ConfigError


@pytest.mark.parametrize(
    ("service", "name", "port"),
    [
        ("orders", "orders", 0),
        ("orders:8080", "orders", 8080),
        ("[::1]:80", "::1", 80),
        ("::1", "::1", 0),
        ("", "", 0),
    ],
)
def test_name_and_port_of_the_service(service: str, name: str, port: int) -> None:
    """The key's port is the default of endpoints that bring none."""
    target = Target(uri=parse("dns://"), service=service)
    assert (target.name, target.port_of(None), target.port_of(5)) == (name, port, 5)


def test_stated_port_wins_over_the_key() -> None:
    """And one written beside the endpoint over both."""
    target = Target(uri=parse("dns://"), service="orders:1", port=2)
    assert (target.port_of(None), target.port_of(3)) == (2, 3)


def test_unknown_scheme_lists_the_known_ones() -> None:
    """With the nearest one."""
    with pytest.raises(
        ConfigError, match=r"unknown discovery scheme 'dsn'.*dns, file, srv, static.*did you mean 'dns'"
    ):
        find(Target(uri=parse("dsn://a")))


def test_find_checks_the_uri() -> None:
    """A wrong option is found before anything runs."""
    with pytest.raises(ConfigError, match="family"):
        find(Target(uri=parse("dns://a?famly=4")))
    assert find(Target(uri=parse("dns://a"))) is find(Target(uri=parse("dns://b")))
