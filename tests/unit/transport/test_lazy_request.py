"""Requests that are kept as what goes onto the wire."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from meshlib.engine.call import IDEMPOTENT, REPLAYABLE
from meshlib.transport.lazy_request import raw_headers
from tests.fast_clients import FAMILIES, Answer, Family

pytestmark = pytest.mark.parametrize("family", FAMILIES, ids=repr)


def built(family: Family, method: str = "POST", url: str = "/v1/orders?a=1", **arguments: Any) -> Any:
    """A request of a client whose base URL is http://orders:8080/api."""
    client = family.ours([Answer()], base_url="http://orders:8080/api", headers={"X-Team": "a"})
    return client.build_request(method, url, **arguments)


def test_what_a_wire_needs_is_there(family: Family) -> None:
    """Before anybody has looked, and looking at the URL, the body and the repr takes none of it away."""
    request = built(family, json={"id": 42})
    assert isinstance(request, family.module.Request)
    assert repr(request) == "<Request('POST', 'http://orders:8080/api/v1/orders?a=1')>"
    assert request.read() == request.content == b'{"id":42}'
    assert b"".join(request.stream) == b'{"id":42}'
    assert request._origin == ("http", "orders", 8080)
    assert request._target == b"/api/v1/orders?a=1"
    assert request._body == b'{"id":42}'
    assert request._block.startswith(b"Host: orders:8080\r\nAccept: */*\r\n")
    assert request._block.endswith(b"X-Team: a\r\nContent-Length: 9\r\nContent-Type: application/json\r\n")
    assert request._names >= {b"accept", b"user-agent", b"x-team"}
    assert request._flags == REPLAYABLE


def test_flags(family: Family) -> None:
    """An idempotent method, or a key that makes it so."""
    assert built(family, "GET")._flags == built(family, "put")._flags == REPLAYABLE | IDEMPOTENT
    assert built(family, headers={"Idempotency-Key": "1"})._flags == REPLAYABLE | IDEMPOTENT


def test_headers_handed_out(family: Family) -> None:
    """May be changed at any time: the block is gone, and all other readers see the same ones."""
    request = built(family)
    request.headers["X-Late"] = "1"
    assert request._block is None
    assert request.headers["x-late"] == "1"
    assert request.peek() is request.headers


def test_peeking_changes_nothing(family: Family) -> None:
    """For routes, which only read; what is handed out later is the same."""
    request = built(family)
    seen = request.peek()
    assert seen.raw == raw_headers(request._block)
    assert request.headers is seen
    assert request._block is None


def test_another_url(family: Family) -> None:
    """Leads elsewhere, and the headers stay, Host too, as in the family."""
    request = built(family)
    request.url = family.module.URL("http://other/x")
    assert (request._origin, request._target) == (None, None)
    assert request.path() == "/x"
    assert request.headers["host"] == "orders:8080"


def test_other_headers(family: Family) -> None:
    """Assigned before anybody has looked."""
    request = built(family)
    request.headers = family.module.Headers({"host": "other"})
    assert request._block is None
    assert request.headers.raw == [(b"host", b"other")]


def test_another_stream(family: Family) -> None:
    """Is what is sent; what was read before stays readable, as in the family."""
    request = built(family, content=b"old")
    request.stream = family.module.ByteStream(b"new")
    assert request._body is None
    assert b"".join(request.stream) == b"new"
    assert request.content == b"old"


def test_path(family: Family) -> None:
    """Decoded, without its query."""
    assert built(family, url="/a%20b?x=%20").path() == "/api/a b"
    assert built(family, url="/a?x=1").path() == "/api/a"


def test_made_by_hand(family: Family) -> None:
    """As the family's class: nothing is lazy then."""
    request = family.lazy.Request("POST", "http://orders/x", content=b"x", headers={"a": "1"})
    assert (request._block, request._target, request._origin, request._body) == (None, None, None, None)
    assert (str(request.url), request.headers["a"], request.content) == ("http://orders/x", "1", b"x")
    assert request.path() == "/x"


def test_async_body(family: Family) -> None:
    """The stream serves both colours."""

    async def run() -> None:
        request = built(family, content=b"x")
        assert await request.aread() == b"x"
        assert [part async for part in request.stream] == [b"x"]

    asyncio.run(run())


def test_looked_at_by_threads(family: Family) -> None:
    """All get the same headers."""
    with ThreadPoolExecutor(4) as pool:
        for _ in range(50):
            request = built(family)
            seen = list(pool.map(lambda _, request=request: request.headers, range(4)))
            assert all(one is seen[0] for one in seen)
