"""Header blocks, merged and kept."""

from __future__ import annotations

from typing import Any

import pytest

from meshlib.transport import fast_headers
from meshlib.transport.fast_headers import HeaderBlocks
from tests.fast_clients import FAMILIES, Family

pytestmark = pytest.mark.parametrize("family", FAMILIES, ids=repr)


def blocks(family: Family, client: Any) -> HeaderBlocks:
    """Of a client with these headers."""
    headers = family.module.Headers(client)
    return HeaderBlocks(list(headers._list), family.module.Headers)


def test_merged_as_the_family_merges(family: Family) -> None:
    """What the call gives replaces what has the same name, and comes last."""
    found = blocks(family, {"Accept": "*/*", "X-A": "1"})
    assert found.plain is not None
    assert found.plain.block == b"Accept: */*\r\nX-A: 1\r\n"
    for given in ({"x-a": "2", "B": "3"}, family.module.Headers({"x-a": "2", "B": "3"})):
        lines = found.of(given)
        assert lines is not None
        assert (lines.block, lines.names) == (b"Accept: */*\r\nx-a: 2\r\nB: 3\r\n", {b"accept", b"x-a", b"b"})
    more = found.of({"Content-Type": "text/plain", "Idempotency-Key": "1"})
    assert more is not None
    assert more.block == b"Accept: */*\r\nX-A: 1\r\nContent-Type: text/plain\r\nIdempotency-Key: 1\r\n"
    assert (more.typed, more.repeatable, more.names) == (
        True,
        True,
        {b"accept", b"x-a", b"content-type", b"idempotency-key"},
    )
    assert found.of({}).block == found.plain.block  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "other"},
        {"content-length": "3"},
        {"Transfer-Encoding": "chunked"},
        {"expect": "100-continue"},
        {"Upgrade": "websocket"},
        {"Connection": "close"},
        {"a": "b\r\nc: d"},
        {"a b": "c"},
        {"a": "ü"},
        {"ü": "a"},
        {"a": 1},
        {1: "a"},
        {"a": ["unhashable"]},
        {b"a": b"1"},
        [("a", "1")],
    ],
)
def test_left_to_the_family(family: Family, headers: Any) -> None:
    """What means more than a line, what is no header, and what is no dict of str."""
    found = blocks(family, {})
    assert found.of(headers) is None
    assert found.of(headers) is None


def test_left_to_the_family_whatever_the_call_gives(family: Family) -> None:
    """Where the client's own headers mean more than lines; unless the call replaces them."""
    for headers in ({"Host": "other"}, {"Connection": "close"}, {"a": "b\r\nc: d"}):
        found = blocks(family, headers)
        assert found.plain is None
        assert found.of({"x": "1"}) is None
    assert blocks(family, {"Connection": "close"}).of({"connection": "keep-alive"}) is not None


def test_the_usual_connection_header(family: Family) -> None:
    """Is only a line."""
    found = blocks(family, {"Connection": "keep-alive"})
    assert found.plain is not None
    assert found.of({"connection": "Keep-Alive"}) is not None


def test_a_bounded_number_is_kept(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no large ones."""
    monkeypatch.setattr(fast_headers, "_KEPT", 2)
    monkeypatch.setattr(fast_headers, "_LARGEST", 40)
    found = blocks(family, {})
    first = found.of({"a": "1"})
    assert found.of({"a": "1"}) is first
    large = found.of({"a": "1" * 50})
    assert found.of({"a": "1" * 50}) is not large
    for number in range(3):
        found.of({"b": str(number)})
    assert found.of({"a": "1"}) is not first
