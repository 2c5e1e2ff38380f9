"""Our reader of answers and h11's agree on every stream that both accept, however it is cut; what one of them alone accepts
stands in a table with its reason (tests/fuzz/http1.py). What we write, h11 reads."""

from __future__ import annotations

from pathlib import Path

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlib.transport.request_head import NO_BODY, RefusedRequest, body_framing, request_head
from tests.fuzz.http1 import CORPUS, alike, ours, pieces, same, target, theirs

METHODS = ["GET", "HEAD", "POST"]
LINES = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 404",
]
ODD_LINES = [
    b"HTTP/1.1 99 Low", b"HTTP/1.1 099 Low", b"HTTP/2.0 200 OK", b"HTTP/1.2 200 OK", b"RTSP/1.0 200 OK", b"http/1.1 200 OK",
    b"HTTP/1.1 2000 OK", b"HTTP/1.1  200 OK", b"HTTP/1.1 200 O\0K", b"HTTP/1.1 101 Switching Protocols", b"", b" HTTP/1.1 200 OK",
]  # fmt: skip
FIELDS = [
    b"Server: test", b"Empty:", b"Blank:  \t", b"Padded: \t a  b \t", b"Latin: caf\xe9", b"Connection: keep-alive",
    b"Connection: close", b"Connection: Upgrade, CLOSE", b"Keep-Alive: timeout=5, max=100", b"Upgrade: h2c", b"Trailer: Sum",
]  # fmt: skip
ODD_FIELDS = [
    b"Content-Length: 3, 3", b"Content-Length: +3", b"Content-Length: 0x3", b"Content-Length:", b"Content-Length: -1",
    b"Content-Length: 3 3", b"Content-Length: 99999999999999999999", b"Content-Length: 0003", b"Content-Length : 3",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: CHUNKED", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: \x0bchunked", b" folded", b"\tfolded", b"No colon", b": nameless", b"Nul: a\0b", b"Bell: a\7b",
    b"Cr: a\rb", b"N@me: a", b"Content_Length: 3",
]  # fmt: skip
CHUNKS = [
    b"1\r\na\r\n",
    b"3\r\nabc\r\n",
    b"a;name=value\r\n0123456789\r\n",
    b'0000002;a="b"\r\n\r\n\r\n',
    b"A\r\n0123456789\r\n",
]
ODD_CHUNKS = [
    b"1 \r\na\r\n", b"1\na\n", b"1\r\naa\r\n", b"0x1\r\na\r\n", b"-1\r\na\r\n", b"\r\na\r\n", b"1;\na\r\n", b"1;a\0\r\na\r\n",
    b"00000000000000000000000000001\r\na\r\n", b"fffffffffffffffff\r\na\r\n", b"1\r\na", b"1_0\r\n0123456789abcdef\r\n",
]  # fmt: skip


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Mostly an answer, sometimes with something odd in it."""
    odd = draw(st.booleans())
    head = [draw(st.sampled_from(LINES + ODD_LINES * odd))]
    head += draw(st.lists(st.sampled_from(FIELDS + ODD_FIELDS * odd), max_size=4))
    body = draw(st.sampled_from([b"", b"abc", b"abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]))
    framing = draw(st.sampled_from(["length", "chunked", "none", "both"][: 3 + odd]))
    if framing in ("length", "both"):
        head.insert(draw(st.integers(1, len(head))), b"Content-Length: %d" % len(body))
    if framing in ("chunked", "both"):
        head.insert(draw(st.integers(1, len(head))), b"Transfer-Encoding: chunked")
        chunks = draw(st.lists(st.sampled_from(CHUNKS + ODD_CHUNKS * odd), max_size=3))
        trailers = draw(st.lists(st.sampled_from(FIELDS + ODD_FIELDS * odd), max_size=2))
        body = b"".join([*chunks, b"0\r\n", *(line + b"\r\n" for line in trailers), b"\r\n"])
    end = b"\n" if odd and draw(st.integers(0, 9)) == 0 else b"\r\n"
    return end.join([*head, b"", body])


INTERIM = st.sampled_from(
    [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: close\r\n\r\n"]
)
AFTER = st.sampled_from(
    [
        b"",
        b"",
        b"",
        b"\r\n",
        b"\n",
        b"\r",
        b"H",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"0\r\n\r\n",
    ]
)
STREAMS = st.tuples(st.lists(INTERIM, max_size=2).map(b"".join), messages(), AFTER).map(b"".join)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A stream with a few bytes replaced, taken out or put in, or cut short."""
    stream = bytearray(draw(STREAMS))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(stream)))
        gone = draw(st.integers(0, 2))
        stream[at : at + gone] = draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"\0", b" ", b":", b"0", b"\xff", b";", b","])
        )
    return bytes(stream[: draw(st.integers(1, len(stream)))]) if draw(st.booleans()) else bytes(stream)


CUTS = st.lists(st.integers(1, 400), max_size=6)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The stream in pieces, some of them empty."""
    ends = sorted(places)
    return [stream[start:end] for start, end in zip([0, *ends], [*ends, len(stream)], strict=True)]


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(METHODS), STREAMS | mutated(), CUTS)
def test_agrees_with_h11(method: str, stream: bytes, places: list[int]) -> None:
    """Status, headers, body, trailers, interim answers, the end of the message and what becomes of the connection."""
    if stream:
        whole = ours(method, [stream])
        same(whole, theirs(method, [stream]))
        alike(whole, ours(method, cut(stream, places)))
        alike(whole, ours(method, pieces(stream, 1)))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Noise never does worse than being refused."""
    target(b"G\x03" + data)
    target(b"G\x03HTTP/1.1 200 OK\r\n" + data)
    target(b"G\x03HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data)


@pytest.mark.parametrize("seed", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_corpus(seed: Path) -> None:
    """What the fuzzer starts from, and what it once found."""
    target(seed.read_bytes())


PARTS = st.binary(max_size=12) | st.text("abc: \t\r\n/?", max_size=8).map(str.encode)
NAMES = st.sampled_from([b"A", b"X-Text", b"Host", b"Connection"]) | PARTS


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(["GET", "POST", "x-own"]) | st.text(max_size=4),
    st.sampled_from([b"/", b"/a?b=c", b"*"]) | PARTS,
    st.lists(st.tuples(NAMES, st.sampled_from([b"", b"b", b"a \t b", b"\xc3\xa9"]) | PARTS), max_size=4),
)
def test_written_heads(method: str, target: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    """What is written, h11 reads as that one request, to the last byte; and it would have written it too."""
    fields = [(b"Host", b"orders"), *fields]
    try:
        written = request_head(method, target, fields)
        framing = body_framing(fields)
    except RefusedRequest:
        return
    server = h11.Connection(h11.SERVER)
    server.receive_data(written)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target, request.headers.raw_items()) == (method.encode(), target, fields)
    assert server.trailing_data == (b"", False)
    if framing == NO_BODY:
        assert isinstance(server.next_event(), h11.EndOfMessage)
    h11.Connection(h11.CLIENT).send(h11.Request(method=method, target=target, headers=fields))
