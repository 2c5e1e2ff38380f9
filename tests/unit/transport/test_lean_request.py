"""What is written for one attempt, in both families."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from meshlib.transport.lean_errors import LeanError
from meshlib.transport.lean_request import Written, written
from meshlib.transport.request_head import CHUNKED, NO_BODY

HOST = {"Host": "orders"}


@pytest.fixture
def write(begun: Any, binding: Any) -> Any:
    """`write(method, headers, added={}, without="", **request)` gives what is written for it."""

    def make(method: str, headers: Any = None, added: Any = None, without: str = "", **more: Any) -> Written:
        request = binding.Request(method, "http://orders/a?b=1", headers=headers, **more)
        request.headers.pop(without, None)  # httpx adds a length beside the coding, which is refused
        attempt = begun(request)
        attempt.headers = added
        return written(attempt, request, binding.ByteStream)

    return make


def test_without_a_body(write: Any) -> None:
    """The head, and nothing behind it."""
    out = write("GET", HOST)
    assert out.data == b"GET /a?b=1 HTTP/1.1\r\nHost: orders\r\n\r\n"
    assert (out.closes, out.framing, out.parts, out.waits) == (False, NO_BODY, None, False)


def test_a_body_at_hand_goes_with_the_head(write: Any) -> None:
    """In one piece."""
    out = write("POST", HOST, content=b"abc")
    assert out.data.endswith(b"Content-Length: 3\r\n\r\nabc")
    assert out.parts is None


def test_the_attempts_headers_are_in_it(write: Any) -> None:
    """They replace the request's own."""
    out = write("GET", {**HOST, "traceparent": "old"}, {"traceparent": "new"})
    assert out.data == b"GET /a?b=1 HTTP/1.1\r\nHost: orders\r\ntraceparent: new\r\n\r\n"


def test_a_streamed_body_is_left_to_the_wire(write: Any) -> None:
    """Its parts, and how they are framed."""
    parts = [b"a", b"b"]
    out = write("POST", HOST, content=iter(parts))
    assert out.framing == CHUNKED
    assert list(out.parts) == parts
    sized = write("POST", {**HOST, "Content-Length": "2"}, content=iter(parts))
    assert sized.framing == 2


def test_a_body_at_hand_may_still_be_chunked(write: Any) -> None:
    """When the headers say so; an empty one is its last chunk alone."""
    chunked = {**HOST, "Transfer-Encoding": "chunked"}
    out = write("POST", chunked, without="Content-Length", content=b"abc")
    assert (out.framing, out.parts) == (CHUNKED, (b"abc",))
    empty = write("POST", chunked, without="Content-Length", content=b"")
    assert (empty.framing, empty.parts, empty.waits) == (CHUNKED, (), False)


@pytest.mark.parametrize("streamed", [True, False])
def test_the_peer_may_be_asked_first(write: Any, streamed: bool) -> None:
    """`Expect: 100-continue`, in any case of letters; a request without a body has nothing to wait for."""
    expecting = {**HOST, "Expect": "100-Continue"}
    out = write("POST", expecting, content=iter([b"abc"]) if streamed else b"abc")
    assert out.waits
    assert list(out.parts) == [b"abc"]
    assert not write("GET", expecting).waits


@pytest.mark.parametrize(
    ("value", "closes"), [("close", True), ("Close", True), ("upgrade, close", True), ("keep-alive", False)]
)
def test_the_request_may_ask_for_the_end(write: Any, value: str, closes: bool) -> None:
    """`Connection: close`."""
    assert write("GET", {**HOST, "Connection": value}).closes is closes


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({**HOST, "X-A": b"a\r\nX-B: b"}, "X-A"),
        ({**HOST, "Content-Length": "9"}, "the body has 3 bytes, and its Content-Length says 9"),
        ({**HOST, "Content-Length": "3", "Transfer-Encoding": "chunked"}, "both"),
        ([("Host", "orders"), ("Host", "payments")], "one Host"),
    ],
)
def test_what_must_not_be_written(write: Any, headers: Any, text: str) -> None:
    """Two readers could disagree about it: refused before a byte has left."""
    with pytest.raises(LeanError, match=text) as raised:
        write("POST", headers, content=b"abc")
    assert raised.value.kind == "LocalProtocolError"


def test_a_method_is_a_token(write: Any) -> None:
    """Nothing in it can begin a second line."""
    with pytest.raises(LeanError, match="not a method"):
        write("GET /\r\n", HOST)


@pytest.mark.parametrize(
    ("method", "headers"), [("GET", {**HOST, "Upgrade": "websocket"}), ("CONNECT", HOST)]
)
def test_what_this_wire_does_not_speak(write: Any, method: str, headers: Any) -> None:
    """Never silently wrong: the error names the wire that does."""
    with pytest.raises(LeanError, match='wire = "httpx" does') as raised:
        write(method, headers)
    assert raised.value.kind == "LocalProtocolError"


def test_the_host_comes_first(write: Any) -> None:
    """RFC 9110 7.2; the others keep their order."""
    out = write("GET", [("B", "1"), ("Host", "orders"), ("A", "2")])
    assert out.data == b"GET /a?b=1 HTTP/1.1\r\nHost: orders\r\nB: 1\r\nA: 2\r\n\r\n"


# As our clients make them.


@pytest.fixture
def lazy(begun: Any, binding: Any) -> Any:
    """`lazy(added={}, **changes)` gives what is written for a request that is as our client made it, but for these."""

    def make(added: Any = None, **changes: Any) -> bytes:
        kind = import_module(f"meshlib.transport.lazy_{binding.name}").Request
        request = kind(
            "POST", "http://orders/seen", headers={"Host": "orders", "X-Seen": "1"}, content=b"seen"
        )
        made = {
            "_target": b"/made?b=1",
            "_block": b"Host: orders\r\nX-Made: 1\r\nContent-Length: 3\r\n",
            "_body": b"abc",
            "_names": frozenset((b"x-made",)),
        }
        for name, value in {**made, **changes}.items():
            setattr(request, name, value)
        attempt = begun(request)
        attempt.headers = added
        out = written(attempt, request, binding.ByteStream)
        assert (out.closes, out.parts) == (False, None)
        return out.data

    return make


def test_what_nobody_touched_is_written_as_it_was_made(lazy: Any) -> None:
    """Without a look at URL, headers or stream."""
    assert lazy() == b"POST /made?b=1 HTTP/1.1\r\nHost: orders\r\nX-Made: 1\r\nContent-Length: 3\r\n\r\nabc"


def test_the_attempts_headers_come_behind(lazy: Any) -> None:
    """As long as they replace none."""
    data = lazy({"Traceparent": "new"})
    assert data.endswith(b"Content-Length: 3\r\ntraceparent: new\r\n\r\nabc")


@pytest.mark.parametrize(
    ("added", "changes"),
    [(None, {"_target": None}), (None, {"_block": None}), (None, {"_body": None}), ({"x-made": "2"}, {})],
)
def test_what_somebody_touched_is_written_as_it_looks_now(lazy: Any, added: Any, changes: Any) -> None:
    """Also when the attempt has a header that replaces one of the request's."""
    data = lazy(added, **changes)
    assert data.startswith(b"POST /seen HTTP/1.1\r\nHost: orders\r\nX-Seen: 1\r\n")
    assert data.endswith(b"\r\n\r\nseen")


@pytest.mark.parametrize(
    ("added", "changes", "text"),
    [
        ({"x-a": "a\r\nb"}, {}, "x-a"),
        (None, {"_target": b"/a b"}, "target"),
        (None, {"method": "A B"}, "method"),
    ],
)
def test_what_must_not_be_written_is_refused_here_too(lazy: Any, added: Any, changes: Any, text: str) -> None:
    """Methods, targets and what listeners add were not checked before."""
    with pytest.raises(LeanError, match=text) as raised:
        lazy(added, **changes)
    assert raised.value.kind == "LocalProtocolError"
