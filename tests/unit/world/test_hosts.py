"""The hosts file and names that need no look-up."""

from __future__ import annotations

import pytest

from meshlib.world.hosts import is_literal, is_localhost, parse_hosts


def test_names_aliases_comments_and_nonsense() -> None:
    """Every alias counts, lines without sense are passed over."""
    found = parse_hosts(
        b"127.0.0.1 localhost\n::1 localhost ip6 # x\n10.0.0.1\tOrders.  alias\n# 1.1.1.1 no\nx y\n10.0.0.1\n\xff \xfe\n"
        b"10.0.0.2 orders\n10.0.0.1 orders"
    )
    assert found["localhost"] == ("127.0.0.1", "::1")
    assert found["orders"] == ("10.0.0.1", "10.0.0.2")
    assert found["alias"] == ("10.0.0.1",)
    assert set(found) == {"localhost", "ip6", "orders", "alias"}


@pytest.mark.parametrize(
    ("name", "literal"),
    [("1.2.3.4", True), ("::1", True), ("fe80::1%eth0", True), ("1.2.3", False), ("a", False), ("", False)],
)
def test_literals(name: str, literal: bool) -> None:
    """Four numbers or an IPv6 address; short forms are names."""
    assert is_literal(name) is literal


@pytest.mark.parametrize(
    ("name", "local"),
    [("localhost", True), ("a.LOCALHOST.", True), ("notlocalhost", False), ("localhost.com", False)],
)
def test_localhost(name: str, local: bool) -> None:
    """RFC 6761 6.3."""
    assert is_localhost(name) is local
